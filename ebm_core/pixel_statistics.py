"""A score without any model, for scale: how unusual six plain statistics of a picture are among held-out ones.

Of an energy it is expected to tell pictures apart better than this does; where it does not, it has learned less than
what six numbers say.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

NAMES = (
    "mean brightness",
    "spread of brightness",
    "mean saturation",
    "spread of saturation",
    "horizontal gradient",
    "vertical gradient",
)
RIDGE = 1e-6  # of the mean variance: statistics that never vary, such as a grey set's saturation, divide by no zero


def pixel_statistics(u8: Tensor) -> Tensor:
    """The six of ``NAMES``, float64 ``(B, 6)``, of pictures uint8 ``(B, C, H, W)``.

    Brightness is the mean over channels, saturation the largest less the smallest one, both in [0, 1]; spreads are
    standard deviations over pixels, gradients mean absolute differences of neighbours' brightness.
    """
    x = (u8.double() + 0.5) / 256
    brightness, saturation = x.mean(dim=1), x.amax(dim=1) - x.amin(dim=1)
    columns = [f(plane.flatten(1), dim=1) for plane in (brightness, saturation) for f in (torch.mean, _spread)]
    columns += [brightness.diff(dim=dim).abs().flatten(1).mean(dim=1) for dim in (2, 1)]
    return torch.stack(columns, dim=1)


def _spread(x: Tensor, dim: int) -> Tensor:
    return x.std(dim=dim, correction=0)


@dataclass(frozen=True)
class PixelStatistics:
    """The statistics of held-out pictures: their mean ``(6,)`` and inverse covariance ``(6, 6)``."""

    mean: Tensor
    precision: Tensor

    @classmethod
    def fit(cls, held_out: Tensor) -> Self:
        """Of pictures uint8 ``(N, C, H, W)``, never those to be scored. Raises ValueError for fewer than two."""
        if len(held_out) < 2:
            raise ValueError(f"pixel statistics need two held-out pictures or more, got {len(held_out)}")
        values = pixel_statistics(held_out)
        covariance = values.T.cov()
        ridge = RIDGE * covariance.diagonal().mean().clamp(min=RIDGE)
        return cls(values.mean(dim=0), torch.linalg.inv(covariance + ridge * torch.eye(len(NAMES), dtype=values.dtype)))

    def score(self, u8: Tensor) -> Tensor:
        """The Mahalanobis distance ``(B,)`` of pictures' statistics to those of the held-out ones."""
        apart = pixel_statistics(u8) - self.mean
        return torch.einsum("bi,ij,bj->b", apart, self.precision, apart).clamp(min=0).sqrt()
