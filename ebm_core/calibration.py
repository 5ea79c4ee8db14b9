"""What scores are compared with: those of held-out pictures, kept in a model's file, the joint score's beside it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ebm_core import features
from ebm_core.arguments import Bounds
from ebm_core.checkpoint import CheckpointError, ModelInfo, replace_calibration
from ebm_core.files import replacing
from ebm_core.hub import calibration_file
from ebm_core.joint import JOINT, Joint, load_joint
from ebm_core.residual import Residual

NUM_QUANTILES = 201  # from 0 to 1 in equal steps
RATE = Bounds(0, 1, open=True)  # of false alarms


@dataclass(frozen=True)
class Calibration:
    """Scores of held-out in-distribution pictures, never those that were trained on; kept in the checkpoint."""

    data: str  # which pictures
    num: int
    energy_median: float
    bits_slope: float  # energy for one more bit per pixel
    quantiles: Mapping[str, tuple[float, ...]]  # of each score, from the smallest to the largest in equal steps
    residual: Residual | None = None  # None where it was calibrated before there was one
    joint_digest: str = ""  # of the joint score's file; "" = it was calibrated without
    joint: Joint | None = None
    note: str = ""  # why there is no joint score although it was calibrated with one

    @property
    def judge(self) -> str:
        """The score that judges where nobody chooses: all of them together if it can be had, else the energy."""
        return JOINT if self.joint is not None and JOINT in self.quantiles else "energy"

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
        return {
            "data": self.data,
            "num": self.num,
            "energy_median": self.energy_median,
            "bits_slope": self.bits_slope,
            "quantiles": {name: list(values) for name, values in self.quantiles.items()},
            "residual": self.residual.to_plain() if self.residual else None,
            "joint": self.joint_digest,
        }

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
                str(value.get("joint", "")),
            )
            calibration._check()
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            what = f"it has no {error}" if isinstance(error, KeyError) else error
            raise ValueError(f"the model's calibration cannot be read ({what}); calibrate it again") from error
        return calibration

    def _without_joint(self, note: str) -> "Calibration":
        return replace(self, quantiles={n: grid for n, grid in self.quantiles.items() if n != JOINT}, note=note)

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
        if name == JOINT and self.note:
            raise ValueError(self.note)
        if name not in self.quantiles:
            raise ValueError(f"there is no calibrated score '{name}'; there are: {', '.join(self.quantiles)}")
        return self.quantiles[name]


def open_calibration(model: Path, info: ModelInfo) -> Calibration | None:
    """The calibration of a model's file; None for one that has none.

    Where its joint score cannot be had, for its file is missing, damaged or of another calibration or the features are
    not installed, it has none, and ``note`` says why. Raises ValueError as ``Calibration.from_plain`` does.
    """
    calibration = Calibration.from_plain(info.calibration, info.weights)
    if calibration is None or not calibration.joint_digest:
        return calibration
    path = calibration_file(model)
    try:
        if not path.is_file():
            raise CheckpointError(f"{path} is missing; calibrate the model again, or fetch the whole of it")
        joint = load_joint(path)
        if joint.digest != calibration.joint_digest:
            raise CheckpointError(f"{path} is of another calibration than {model} has; calibrate the model again")
        if not features.are_installed():
            raise CheckpointError(f"its features are not installed: {features.NEEDED}")
    except CheckpointError as error:
        return calibration._without_joint(f"there is no joint score: {error}")
    return replace(calibration, joint=joint)


def save_calibration(model: Path, calibration: Calibration) -> None:
    """Keep a calibration in a model's file, and its joint score beside it.

    Raises CheckpointError when it is not a model file and FileError when the disk refuses; both are then as before.
    """
    path = calibration_file(model)
    if calibration.joint is None:
        replace_calibration(model, calibration.to_plain())
        path.unlink(missing_ok=True)
        return
    with replacing(path) as file:
        file.write(calibration.joint.to_bytes())
        file.flush()
        # It takes its name when the model's file says that it belongs there: a full disk must not part the two.
        replace_calibration(model, calibration.to_plain())
