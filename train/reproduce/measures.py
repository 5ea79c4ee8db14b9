"""The figures that experiments compare, as pure functions of what runs leave."""

import math
from collections.abc import Sequence

import torch


def divergence_time(iterations: Sequence[int], gaps: Sequence[float], limit: float) -> int | None:
    """The first iteration at which the energy gap is further than ``limit`` from zero, or not finite; None if never."""
    outside = (i for i, gap in zip(iterations, gaps, strict=True) if not math.isfinite(gap) or abs(gap) > limit)
    return next(outside, None)


def lower_by(one: float | None, other: float | None) -> float:
    """How much lower one distance is than another; None, of a run that ended without numbers, is above all others."""
    if one is None:
        return -math.inf
    return math.inf if other is None else other - one


def median(values: Sequence[float]) -> float:
    """Of an even number of values the mean of the middle two. Raises ValueError when there are none."""
    if not values:
        raise ValueError("nothing was logged, so there is no median; let the run log more often")
    return float(torch.tensor(values, dtype=torch.float64).quantile(0.5))


def saturated_share(x: torch.Tensor) -> float:
    """Share of the values of images that are at an end: 0 or 255 for uint8, within 1/256 of it in [0, 1]."""
    if x.dtype == torch.uint8:
        x = (x.float() + 0.5) / 256
    return float(((x < 1 / 256) | (x > 255 / 256)).float().mean())
