"""How well an energy leads back from noise to a picture: the matching residual, a score without outside examples.

A picture is mixed with noise, ``x_t = (1 - t) noise + t x``, and at ``x_t`` the slope of the energy should point along
``x - noise``, as the warm start trains it (``matching_loss``). To a picture of a kind that the model knows it leads
back well, at every share ``t``; to another it does not, or at some shares better than it ever does for its own kind.
So neither a low nor a high residual is unusual, but one that held-out pictures do not have.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from ebm_core.energy import EnergyFn, energy_and_grad
from ebm_core.space import Space

SHARES = (0.3, 0.5, 0.7, 0.9)  # of the picture in the mixture
NUM_NOISES, SEED = 2, 0  # the same noise for every picture, so that a score is no matter of luck
RIDGE = 1e-6  # of the mean variance, added to each: held-out pictures that are all alike still have an inverse


def slopes(energy: EnergyFn, x: Tensor, space: Space) -> Tensor:
    """Of points ``x (B, ...)``: at each share the mean squares of the slope and of the way back, and the mean of their
    product, over coordinates and noises: ``(B, 4, 3)``."""
    noises = space.noise(NUM_NOISES, torch.Generator().manual_seed(SEED)).to(x)
    rows = []
    for t in SHARES:
        columns = []
        for noise in noises:
            way = x - noise
            grad = energy_and_grad(energy, noise + t * way).grad
            columns.append(torch.stack([_mean(grad * grad), _mean(way * way), _mean(grad * way)], dim=1))
        rows.append(torch.stack(columns).mean(dim=0))
    return torch.stack(rows, dim=1)


@dataclass(frozen=True)
class Residual:
    """What the residuals of held-out pictures are: ``reaches`` turn a slope into a way, at each share the best on
    them; ``mean`` and ``precision`` (rows) are those of the logarithms of what is then left."""

    reaches: tuple[float, ...]
    mean: tuple[float, ...]
    precision: tuple[tuple[float, ...], ...]

    @classmethod
    def fit(cls, measured: Tensor) -> "Residual":
        """Of the ``slopes`` of held-out pictures ``(N, 4, 3)``, two or more."""
        squares, _, products = measured.double().mean(dim=0).unbind(1)
        reaches = -products / squares.clamp(min=1e-300)
        logs = _logs(measured.double(), reaches)
        covariance = torch.cov(logs.T)
        ridge = RIDGE * covariance.diagonal().mean().clamp(min=1e-12)
        precision = torch.linalg.inv(covariance + ridge * torch.eye(len(covariance), dtype=torch.float64))
        return cls(tuple(reaches.tolist()), tuple(logs.mean(dim=0).tolist()), tuple(map(tuple, precision.tolist())))

    def __call__(self, measured: Tensor) -> Tensor:
        """Squared Mahalanobis distance ``(B,)`` of the residuals from the held-out ones, for ``slopes (B, 4, 3)``."""
        mean, precision = (torch.tensor(values, dtype=torch.float64) for values in (self.mean, self.precision))
        apart = self.logs(measured) - mean
        return ((apart @ precision) * apart).sum(dim=1)

    def logs(self, measured: Tensor) -> Tensor:
        """The logarithm of the residual at each share, float64 ``(B, 4)``, for ``slopes (B, 4, 3)``."""
        return _logs(measured.double(), torch.tensor(self.reaches, dtype=torch.float64))

    def to_plain(self) -> dict[str, Any]:
        """For JSON."""
        return {"reaches": [*self.reaches], "mean": [*self.mean], "precision": [[*row] for row in self.precision]}

    @classmethod
    def from_plain(cls, value: Mapping[str, Any]) -> "Residual":
        """The inverse of ``to_plain``. Raises KeyError, TypeError or ValueError for what is none."""
        own = cls(
            tuple(map(float, value["reaches"])),
            tuple(map(float, value["mean"])),
            tuple(tuple(map(float, row)) for row in value["precision"]),
        )
        rows = [own.reaches, own.mean, *own.precision]
        if len(rows) != len(SHARES) + 2 or any(len(row) != len(SHARES) or not all(map(isfinite, row)) for row in rows):
            raise ValueError(f"its residual is not {len(SHARES)} by {len(SHARES)} finite numbers")
        return own


def _logs(measured: Tensor, reaches: Tensor) -> Tensor:
    squares, ways, products = measured.unbind(2)
    left = ways + 2 * reaches * products + reaches.square() * squares
    return left.clamp(min=1e-12).log()


def _mean(x: Tensor) -> Tensor:
    return x.flatten(1).mean(dim=1)
