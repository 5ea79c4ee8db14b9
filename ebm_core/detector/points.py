"""From pictures to points: frozen features of a picture, whitened by those of normal ones.

The space in which the learned energy's chains walk: a picture is one point (pooled features), or a map of points, one
for each place (patch features of the middle layers, as in PatchCore, Roth et al., 2022, arXiv:2106.08265).
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ebm_core.features import BLOCKS, Activations
from ebm_core.space import Space

LIMIT = 30.0  # of points, in standard deviations
TINY = 1e-6
LEAST_SPREAD = 0.05  # of a feature, as a share of the mean of all


class Features(NamedTuple):
    """``whole (B, F)``: pooled, of length 1, for how strong they are says little of what they are of; ``places
    (B, C, h, w)``: of each place with its neighbours."""

    whole: Tensor
    places: Tensor


class Extractor(nn.Module):
    """Features of pictures ``(B, 3, H, W)`` in [0, 1], whose sides are multiples of 32."""

    def __init__(self) -> None:
        super().__init__()
        self.activations = Activations()

    def forward(self, x: Tensor) -> Features:
        *middle, head = self.activations(x, BLOCKS)
        sides = middle[0].shape[-2:]
        near = [F.avg_pool2d(h, 3, 1, 1, count_include_pad=False) for h in middle]  # a place and its eight neighbours
        places = torch.cat([F.interpolate(h, size=sides, mode="bilinear") for h in near], dim=1)
        return Features(F.normalize(head.mean(dim=(2, 3)), dim=1), places)

    @torch.no_grad()
    def of(self, u8: Tensor, device: str) -> Features:
        """Of pictures uint8 ``(B, 3, H, W)``, on the CPU; ``device`` is the network's."""
        return Features(*(part.cpu() for part in self((u8.to(device).float() + 0.5) / 256)))


class Whitening(nn.Module):
    """Features ``(N, F)`` as points ``(N, dim)``: zero mean, unit variance, no correlation over the normal ones.

    The leading principal components of the standardised features, and one coordinate more for all that they leave out:
    the logarithm of its length, for normal pictures differ little in it and others much.
    """

    mean: Tensor  # (F,)
    scale: Tensor  # (F,): standard deviations
    axes: Tensor  # (F, k): principal components of the standardised features, unit vectors
    spread: Tensor  # (k,): the standard deviations along them
    rest: Tensor  # (2,): mean and standard deviation of the logarithm

    def __init__(self, features: int, components: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.register_buffer("axes", torch.zeros(features, components))
        self.register_buffer("spread", torch.ones(components))
        self.register_buffer("rest", torch.tensor([0.0, 1.0]))

    @classmethod
    def fit(cls, x: Tensor, components: int) -> "Whitening":
        """Of normal features ``(N, F)``; no more components than half of N, nor as many as F."""
        own = cls(x.shape[1], max(1, min(components, len(x) // 2, x.shape[1] - 1)))
        own.mean.copy_(x.mean(dim=0))
        spread = x.std(dim=0)
        # What hardly ever moves in normal pictures must not drown all else where it moves a little.
        own.scale.copy_(spread.clamp(min=max(TINY, LEAST_SPREAD * float(spread.mean()))))
        s = (x - own.mean) / own.scale
        k = own.axes.shape[1]
        values, vectors = _components(s.double())
        own.axes.copy_(vectors[:, :k])
        own.spread.copy_(values[:k].clamp(min=TINY).sqrt())
        log_rest = own._log_rest(s, s @ own.axes)
        own.rest.copy_(torch.stack([log_rest.mean(), log_rest.std().clamp(min=TINY)]))
        return own

    @property
    def dim(self) -> int:
        """Coordinates of a point."""
        return self.axes.shape[1] + 1

    def forward(self, x: Tensor) -> Tensor:
        s = (x - self.mean) / self.scale
        components = s @ self.axes
        rest = (self._log_rest(s, components) - self.rest[0]) / self.rest[1]
        return torch.cat([components / self.spread, rest[:, None]], dim=1).clamp(-LIMIT, LIMIT)

    def _log_rest(self, s: Tensor, components: Tensor) -> Tensor:
        return (s.square().sum(dim=1) - components.square().sum(dim=1)).clamp(min=TINY).log() / 2


def _components(s: Tensor) -> tuple[Tensor, Tensor]:
    """Variances along the principal components of ``s (N, F)``, descending, and these as columns.

    By way of the smaller of the two products of ``s`` with itself.
    """
    if len(s) >= s.shape[1]:
        values, vectors = torch.linalg.eigh(s.T @ s)
        return values.flip(0) / len(s), vectors.flip(1)
    values, vectors = torch.linalg.eigh(s @ s.T)
    values, axes = values.flip(0), s.T @ vectors.flip(1)
    return values / len(s), axes / torch.linalg.vector_norm(axes, dim=0).clamp(min=TINY)


def point_space(whitening: Whitening) -> Space:
    """Points ``(B, dim, 1, 1)``; chains start from independent normal numbers, the distribution that whitening aims at.

    Only a chain's part of a space: a point is no picture, so nothing packs, moves or decodes one.
    """
    shape = (whitening.dim, 1, 1)

    def none(*_: object) -> Tensor:
        raise ValueError("the points of a detector are features, from which no picture comes back")

    return Space(
        shape,
        shape,
        (-LIMIT, LIMIT),
        noise=lambda num, rng: torch.randn(num, *shape, generator=rng, device=rng.device),
        jolt=lambda x, moves, rng: x,
        pack_pictures=none,
        pack=lambda x: x.half(),
        unpack=lambda half, rng: half.float(),
        decode=none,
        preview=none,
    )
