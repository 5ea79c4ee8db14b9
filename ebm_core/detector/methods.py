"""Three energies of points, fitted on normal ones alone: a Gaussian's, the distance to the nearest, a learned one.

All are energies ``(N,)`` of vectors ``(N, dim)``, higher for what belongs less.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor, nn

ENERGY, MAHALANOBIS, NEIGHBOURS = "energy", "mahalanobis", "neighbours"
METHODS = (ENERGY, MAHALANOBIS, NEIGHBOURS)
AT_ONCE = 8192  # points that are compared with the bank in one go
PROJECTED = 32  # dimensions in which a bank is chosen


class Mahalanobis(nn.Module):
    """``E = |z|^2 / 2`` of whitened points: minus the logarithm of a Gaussian, whose distance this is."""

    def forward(self, z: Tensor) -> Tensor:
        return z.square().sum(dim=1) / 2


class Neighbours(nn.Module):
    """Distance to the nearest of a bank of normal points, as PatchCore does it (Roth et al., 2022)."""

    bank: Tensor  # (M, dim), float16: distances differ by less than a thousandth

    def __init__(self, num: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("bank", torch.zeros(num, dim, dtype=torch.float16))

    @classmethod
    def of(cls, points: Tensor) -> "Neighbours":
        """With the bank ``points (M, dim)``."""
        own = cls(*points.shape)
        own.bank.copy_(points)
        return own

    def forward(self, x: Tensor) -> Tensor:
        bank = self.bank.float()
        return torch.cat([torch.cdist(part, bank).amin(dim=1) for part in x.split(AT_ONCE)])


class BentGaussian(nn.Module):
    """The learned energy ``E = |z|^2 / 2 + f(z)``: the Gaussian's, bent by a small network that begins at 0.

    So it begins where Mahalanobis ends, and contrastive divergence has only to learn what a Gaussian gets wrong.
    """

    def __init__(self, dim: int, width: int, rng: Generator | None = None) -> None:
        super().__init__()
        self.width = width
        layers = [nn.Linear(dim, width), nn.Linear(width, width), nn.Linear(width, 1)]
        for layer in layers[:-1]:
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu", generator=rng)
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(layers[-1].weight)
        nn.init.zeros_(layers[-1].bias)
        self.bend = nn.Sequential(layers[0], nn.SiLU(), layers[1], nn.SiLU(), layers[2])

    def forward(self, z: Tensor) -> Tensor:
        """Of points ``(N, dim)``, or ``(N, dim, 1, 1)`` as a chain has them."""
        z = z.flatten(1)
        bend: Tensor = self.bend(z)[:, 0]
        return z.square().sum(dim=1) / 2 + bend


def farthest(x: Tensor, most: int, rng: Generator) -> Iterator[int]:
    """Indices of ``most`` points, each the farthest from those before it, in a random projection; all if no more.

    The greedy coreset of PatchCore, its section 3.2: within twice the least covering radius there is.
    """
    if len(x) <= most:
        yield from range(len(x))
        return
    p = x @ torch.randn(x.shape[1], min(PROJECTED, x.shape[1]), generator=rng)
    lengths, nearest = p.square().sum(dim=1), torch.full((len(p),), torch.inf)
    index = int(torch.randint(len(p), (), generator=rng))
    for _ in range(most):
        yield index
        nearest = torch.minimum(nearest, lengths + lengths[index] - 2 * (p @ p[index]))  # squared distances
        index = int(nearest.argmax())
