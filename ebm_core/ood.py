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
joint          how unlike those of held-out pictures residuals and what a classifier of photographs sees are together
               (``ebm_core.joint``)
============== ========================================================================================================
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from ebm_core import images
from ebm_core.calibration import NUM_QUANTILES, Calibration
from ebm_core.energy import EnergyFn, energy_and_grad
from ebm_core.features import DEPTHS, are_installed, shared_features
from ebm_core.held_out import held_out_quantile, without_itself
from ebm_core.joint import COMPARED, JOINT, LEAST, Joint
from ebm_core.residual import Residual, slopes
from ebm_core.space import Space

CALIBRATED = ("typicality", "complexity", "residual", JOINT)  # scores that exist only beside held-out pictures


class Measured(NamedTuple):
    """What a model says of ``B`` pictures, on the CPU.

    ``energy (B,)``, ``scale_energies (B, S)``, ``grad_norm (B,)``, ``heat (B, h, w)``: for each pixel, or each position
    of the latents, the norm over channels of the energy's gradient, ``bits (B,)``: bits per pixel of the picture as a
    PNG, ``slopes (B, 4, 3)``: what ``ebm_core.residual`` reads, and ``features (B, F)``; None where they were not asked
    for, and ``lost (B,)``: the mean squared error of the picture once it is coded and decoded; None for pixels.
    """

    energy: Tensor
    scale_energies: Tensor
    grad_norm: Tensor
    heat: Tensor
    bits: Tensor
    slopes: Tensor | None = None
    features: Tensor | None = None
    lost: Tensor | None = None

    def part(self, index: int) -> "Measured":
        """What it says of one picture, ``B = 1``."""
        own = slice(index, index + 1)
        return Measured._make(None if column is None else column[own] for column in self)


class Needs(NamedTuple):
    """What is measured for scores that need more than an energy and its gradient."""

    slopes: bool  # for a residual: eight more passes of the energy
    features: Callable[[Tensor], Tensor] | None  # for the joint score: of pictures (B, 3, H, W) in [0, 1]


SLOPES = Needs(True, None)


def needs_of(calibration: "Calibration | None", device: str) -> Needs:
    """What scoring beside a calibration needs."""
    if calibration is None:
        return Needs(False, None)
    return Needs(calibration.residual is not None, shared_features(device) if calibration.joint else None)


def all_needs(device: str) -> Needs:
    """What calibrating needs, so that there is every score; no features where they are not installed."""
    return Needs(True, shared_features(device) if are_installed() else None)


def measure(energy: EnergyFn, u8: Tensor, space: Space, device: str = "cpu", needs: Needs = SLOPES) -> Measured:
    """Measure pictures uint8 ``(B, C, H, W)`` in one batch by an energy of the points of ``space``.

    Raises ValueError for pictures of another kind, and when an energy is not finite.
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
    ways = slopes(energy, x, space).cpu() if needs.slopes else None
    features = _features(needs.features, u8.to(device)).cpu() if needs.features else None
    energies = result.energy.cpu(), result.scale_energies.cpu()
    return Measured(*energies, grad_norm.cpu(), heat.cpu(), bits, ways, features, lost)


@torch.no_grad()
def _features(of: Callable[[Tensor], Tensor], u8: Tensor) -> Tensor:
    return of(((u8.float() + 0.5) / 256).expand(-1, 3, -1, -1))  # a grey picture's three colours are one


def complexity(picture: Tensor) -> float:
    """Bits per pixel of one picture uint8 ``(C, H, W)`` as a PNG file, its header included."""
    return 8 * len(images.encode(images.to_pil(picture), "PNG", optimize=True)) / picture[0].numel()


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
            if calibration.joint is not None and measured.features is not None:
                by_name[JOINT] = calibration.joint(measured.features, calibration.residual.logs(measured.slopes))
    return by_name


def calibrate(measured: Measured, data: str) -> Calibration:
    """The calibration of measured held-out pictures; ``data`` names them. Raises ValueError for fewer than two.

    It has a joint score where features were measured of enough of them, whose quantiles are of those that its
    components do not know. Of it and of the residual each picture is beside the others.
    """
    num = len(measured.energy)
    if num < 2:
        raise ValueError(f"a calibration needs two held-out pictures or more, got {num}")
    energy, bits = measured.energy.double(), measured.bits.double()
    spread = (bits - bits.mean()).square().sum()
    slope = ((bits - bits.mean()) * (energy - energy.mean())).sum() / spread if spread > 0 else torch.zeros(())
    median = energy.quantile(0.5)  # Tensor.median would be the lower of the two in the middle
    residual = None if measured.slopes is None else Residual.fit(measured.slopes)
    joint = None
    if residual is not None and measured.slopes is not None and measured.features is not None and num >= LEAST:
        joint = Joint.fit(measured.features, residual.logs(measured.slopes), DEPTHS)
    draft = Calibration(data, num, float(median), float(slope), {}, residual, joint.digest if joint else "", joint)
    grid = torch.linspace(0, 1, NUM_QUANTILES, dtype=torch.float64)
    values = scores(measured, draft)
    if joint is not None:
        values[JOINT] = without_itself(values[JOINT][COMPARED])
    if residual is not None:
        values["residual"] = without_itself(values["residual"])
    quantiles = {name: tuple(held_out_quantile(column, grid).tolist()) for name, column in values.items()}
    return replace(draft, quantiles=quantiles)


def joined(parts: list[Measured]) -> Measured:
    """Several batches as one."""
    columns = zip(*parts, strict=True)
    return Measured._make(None if column[0] is None else torch.cat(column) for column in columns)
