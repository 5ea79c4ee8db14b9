"""How unlike the training data a picture is: scores, and what they mean beside held-out data.

A higher score means more out-of-distribution. The residual takes eight more passes of the energy and its gradient.
Pictures are scored as files hold them: uint8, at the middle of their dequantisation, so that a score is no matter of
luck.

============== ========================================================================================================
score          what it is
============== ========================================================================================================
energy         ``E(x)``: minus log p up to a constant (ICD section 4.3)
scale_0, ...   the term of each resolution, full first
reconstruction mean squared error of ``decode(encode(picture))``, pixels in [0, 1]: what the codec of a model of latents
               cannot keep, so that the energy never sees it
grad_norm      ``|grad E(x)|``, "approximate mass" (Grathwohl et al., 2020, arXiv:1912.03263, there with a minus)
typicality     ``|E(x) - median|``: far from the held-out energies, on either side (after Nalisnick et al., 2019)
complexity     ``E(x) - slope * bits``: the energy less what the picture's complexity explains of it, in bits per pixel
               of a PNG (after Serrà et al., 2020). Their slope is 1, since a likelihood is in bits; an energy has no
               unit, so the slope is that of the held-out pictures.
residual       how unlike those of held-out pictures the ways back from noise are (``ebm_core.residual``)
============== ========================================================================================================
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from math import isfinite
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ebm_core import images
from ebm_core.arguments import Bounds
from ebm_core.energy import EnergyFn, energy_and_grad
from ebm_core.residual import Residual, slopes
from ebm_core.space import Space

NUM_QUANTILES = 201  # from 0 to 1 in equal steps
RATE = Bounds(0, 1, open=True)  # of false alarms
CALIBRATED = ("typicality", "complexity", "residual")  # scores that exist only beside held-out pictures


class Measured(NamedTuple):
    """What a model says of ``B`` pictures, on the CPU.

    ``energy (B,)``, ``scale_energies (B, S)``, ``grad_norm (B,)``, ``heat (B, h, w)``: for each pixel, or each position
    of the latents, the norm over channels of the energy's gradient, ``bits (B,)``: bits per pixel of the picture as a
    PNG, ``slopes (B, 4, 3)``: what ``ebm_core.residual`` reads; None where it was not asked for, and ``lost (B,)``: the
    mean squared error of the picture once it is coded and decoded; None for pixels.
    """

    energy: Tensor
    scale_energies: Tensor
    grad_norm: Tensor
    heat: Tensor
    bits: Tensor
    slopes: Tensor | None = None
    lost: Tensor | None = None

    def part(self, index: int) -> "Measured":
        """What it says of one picture, ``B = 1``."""
        own = slice(index, index + 1)
        return Measured._make(None if column is None else column[own] for column in self)


def measure(energy: EnergyFn, u8: Tensor, space: Space, device: str = "cpu", with_slopes: bool = True) -> Measured:
    """Measure pictures uint8 ``(B, C, H, W)`` in one batch by an energy of the points of ``space``.

    ``with_slopes`` is for a residual alone and takes eight more passes of the energy. Raises ValueError for pictures of
    another kind, and when an energy is not finite.
    """
    if u8.dtype != torch.uint8 or u8.dim() != 4:
        raise ValueError(f"pictures to score are uint8 (B, C, H, W), got {u8.dtype} of shape {tuple(u8.shape)}")
    x = space.encode(u8.to(device))
    result = energy_and_grad(energy, x)
    grad_norm = torch.linalg.vector_norm(result.grad.flatten(1), dim=1)
    if not bool(torch.isfinite(result.energy + grad_norm).all()):
        raise ValueError("the model gives a picture an energy that is not a finite number; use another checkpoint")
    heat = torch.linalg.vector_norm(result.grad, dim=1)
    bits = torch.tensor([complexity(picture) for picture in u8])
    lost = None
    if space.is_coded:
        lost = ((u8.float() + 0.5) / 256 - space.decode(x).cpu()).square().flatten(1).mean(dim=1)
    ways = slopes(energy, x, space).cpu() if with_slopes else None
    return Measured(result.energy.cpu(), result.scale_energies.cpu(), grad_norm.cpu(), heat.cpu(), bits, ways, lost)


def has_residual(calibration: "Calibration | None") -> bool:
    """Whether scoring beside it needs the slopes."""
    return calibration is not None and calibration.residual is not None


def complexity(picture: Tensor) -> float:
    """Bits per pixel of one picture uint8 ``(C, H, W)`` as a PNG file, its header included."""
    return 8 * len(images.encode(images.to_pil(picture), "PNG", optimize=True)) / picture[0].numel()


@dataclass(frozen=True)
class Calibration:
    """Scores of held-out in-distribution pictures, never those that were trained on; kept in the checkpoint."""

    data: str  # which pictures
    num: int
    energy_median: float
    bits_slope: float  # energy for one more bit per pixel
    quantiles: Mapping[str, tuple[float, ...]]  # of each score, from the smallest to the largest in equal steps
    residual: Residual | None = None  # None where it was calibrated before there was one

    def percentile(self, name: str, scores: Tensor) -> Tensor:
        """The share, 0 to 1, of held-out pictures that score lower, for ``scores (B,)``; linear between quantiles."""
        grid = torch.tensor(self._of(name), dtype=torch.float64)
        last = len(grid) - 1
        at = scores.double()
        right = torch.searchsorted(grid, at).clamp(1, last)  # of equal quantiles the first: equal is not lower
        low, high = grid[right - 1], grid[right]
        inside = ((at - low) / (high - low).clamp(min=1e-300)).clamp(0, 1)
        return ((right - 1 + inside) / last).clamp(0, 1)

    def threshold(self, name: str, false_alarm_rate: float) -> float:
        """The score above which a picture is called out-of-distribution, so that this share of held-out ones is too.

        Raises ValueError for a rate that is not between 0 and 1.
        """
        RATE.check(false_alarm_rate, "the false-alarm rate")
        grid = self._of(name)
        place = (1 - false_alarm_rate) * (len(grid) - 1)
        low = min(int(place), len(grid) - 2)
        return grid[low] + (place - low) * (grid[low + 1] - grid[low])

    def to_plain(self) -> dict[str, Any]:
        """For a checkpoint's ``calibration``."""
        plain = asdict(self) | {"quantiles": {name: list(values) for name, values in self.quantiles.items()}}
        return plain | {"residual": self.residual.to_plain() if self.residual else None}

    @classmethod
    def from_plain(cls, value: Mapping[str, Any], weights: str = "") -> "Calibration | None":
        """The inverse of ``to_plain``; None for an empty one.

        Raises ValueError when it cannot be understood, or was made of other ``weights`` (``ModelInfo.weights``).
        """
        if not value:
            return None
        if weights and value.get("weights", weights) != weights:
            raise ValueError("the model's calibration is of other weights than it has now; calibrate it again")
        try:
            calibration = cls(
                str(value["data"]),
                int(value["num"]),
                float(value["energy_median"]),
                float(value["bits_slope"]),
                {str(name): tuple(float(v) for v in values) for name, values in value["quantiles"].items()},
                Residual.from_plain(value["residual"]) if value.get("residual") else None,
            )
            calibration._check()
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            what = f"it has no {error}" if isinstance(error, KeyError) else error
            raise ValueError(f"the model's calibration cannot be read ({what}); calibrate it again") from error
        return calibration

    def _check(self) -> None:
        if self.num < 2:
            raise ValueError(f"it is of {self.num} pictures")
        if not isfinite(self.energy_median) or not isfinite(self.bits_slope):
            raise ValueError("its numbers are not finite")
        if "energy" not in self.quantiles:
            raise ValueError("it has no quantiles of the energy")
        for name, grid in self.quantiles.items():
            if len(grid) < 2 or not all(map(isfinite, grid)) or not all(a <= b for a, b in pairwise(grid)):
                raise ValueError(f"its quantiles of '{name}' are not numbers in order")

    def _of(self, name: str) -> tuple[float, ...]:
        if name not in self.quantiles:
            raise ValueError(f"there is no calibrated score '{name}'; there are: {', '.join(self.quantiles)}")
        return self.quantiles[name]


def scores(measured: Measured, calibration: Calibration | None) -> dict[str, Tensor]:
    """Every score by name, ``(B,)`` each; those of ``CALIBRATED`` only with a calibration."""
    by_name = {"energy": measured.energy}
    by_name |= {f"scale_{i}": terms for i, terms in enumerate(measured.scale_energies.unbind(1))}
    by_name["grad_norm"] = measured.grad_norm
    if measured.lost is not None:
        by_name["reconstruction"] = measured.lost
    if calibration is not None:
        by_name["typicality"] = (measured.energy - calibration.energy_median).abs()
        by_name["complexity"] = measured.energy - calibration.bits_slope * measured.bits
        if calibration.residual is not None and measured.slopes is not None:
            by_name["residual"] = calibration.residual(measured.slopes)
    return by_name


def calibrate(measured: Measured, data: str) -> Calibration:
    """The calibration of measured held-out pictures; ``data`` names them. Raises ValueError for fewer than two."""
    num = len(measured.energy)
    if num < 2:
        raise ValueError(f"a calibration needs two held-out pictures or more, got {num}")
    energy, bits = measured.energy.double(), measured.bits.double()
    spread = (bits - bits.mean()).square().sum()
    slope = ((bits - bits.mean()) * (energy - energy.mean())).sum() / spread if spread > 0 else torch.zeros(())
    median = energy.quantile(0.5)  # Tensor.median would be the lower of the two in the middle
    residual = None if measured.slopes is None else Residual.fit(measured.slopes)
    draft = Calibration(data, num, float(median), float(slope), {}, residual)
    grid = torch.linspace(0, 1, NUM_QUANTILES, dtype=torch.float64)
    quantiles = {
        name: tuple(torch.quantile(values.double(), grid).tolist()) for name, values in scores(measured, draft).items()
    }
    return replace(draft, quantiles=quantiles)


def joined(parts: list[Measured]) -> Measured:
    """Several batches as one."""
    columns = zip(*parts, strict=True)
    return Measured._make(None if column[0] is None else torch.cat(column) for column in columns)
