"""The parts of a detector: three energies of a picture as a whole, three of each of its places, and what joins them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ebm_core.arguments import whole
from ebm_core.compose import Through
from ebm_core.detector.methods import ENERGY, MAHALANOBIS, METHODS, NEIGHBOURS, BentGaussian, Mahalanobis, Neighbours
from ebm_core.detector.points import Features, Whitening
from ebm_core.energy import EnergyFn

STRIDE = 32
SIZES = whole(64, 256)  # of pictures, and multiples of the network's stride
PARTS = whole(1, 2**13)  # of anything, twice what a fit makes: a file is no reason to fill the memory
WORST = 0.03  # share of a picture's places whose mean is the picture's: a defect is small, and one place is luck


class Levels(NamedTuple):
    """What one method says of pictures: ``whole (B,)``, and ``places (B, h, w)``, a map of where."""

    whole: Tensor
    places: Tensor

    def worst(self) -> Tensor:
        """The places in one number, ``(B,)``: the mean of the highest ``WORST`` of them."""
        flat = self.places.flatten(1)
        return flat.topk(max(1, round(WORST * flat.shape[1])), dim=1).values.mean(dim=1)


@dataclass(frozen=True)
class LevelConfig:
    """How large the parts of one level are."""

    features: int
    components: int
    bank: int
    width: int
    near_in_points: bool  # whether neighbours are near as whitened points; else as features

    def __post_init__(self) -> None:
        for name in ("features", "components", "bank", "width"):
            PARTS.check(getattr(self, name), name)


@dataclass(frozen=True)
class DetectorConfig:
    """How large a detector is; saved with its weights."""

    size: int  # of pictures, which are scored in colour
    whole: LevelConfig
    places: LevelConfig

    def __post_init__(self) -> None:
        check_size(self.size)


def check_size(size: int) -> int:
    """The size itself. Raises ValueError for one that pictures of a detector cannot have."""
    if SIZES.check(size, "the size of a detector's pictures") % STRIDE:
        raise ValueError(f"the size of a detector's pictures must be a multiple of {STRIDE}, got {size}")
    return size


class Level(nn.Module):
    """The three energies of one kind of features ``(N, F)``."""

    def __init__(
        self, whitening: Whitening, neighbours: Neighbours, learned: BentGaussian, *, near_in_points: bool
    ) -> None:
        super().__init__()
        self.whitening, self.neighbours, self.learned = whitening, neighbours, learned
        self.gaussian, self.near_in_points = Mahalanobis(), near_in_points

    @classmethod
    def of(cls, config: LevelConfig) -> "Level":
        """One to load a state into."""
        whitening = Whitening(config.features, config.components)
        neighbours = Neighbours(config.bank, whitening.dim if config.near_in_points else config.features)
        learned = BentGaussian(whitening.dim, config.width)
        return cls(whitening, neighbours, learned, near_in_points=config.near_in_points)

    @property
    def config(self) -> LevelConfig:
        """How large it is."""
        (features, components), bank = self.whitening.axes.shape, len(self.neighbours.bank)
        return LevelConfig(features, components, bank, self.learned.width, self.near_in_points)

    def energies(self) -> dict[str, EnergyFn]:
        """Energies of features by the method's name."""
        return {
            ENERGY: Through(self.learned, self.whitening),
            MAHALANOBIS: Through(self.gaussian, self.whitening),
            NEIGHBOURS: Through(self.neighbours, self.whitening) if self.near_in_points else self.neighbours,
        }


class DetectorNetwork(nn.Module):
    """Both levels, frozen, and how each method's two numbers become one.

    ``joins (methods, levels, 2)``: the median of held-out pictures, and how far their 90th percentile is above it.
    """

    joins: Tensor

    def __init__(self, whole: Level, places: Level) -> None:
        super().__init__()
        self.whole, self.places = whole, places
        self.register_buffer("joins", torch.tensor([0.0, 1.0]).repeat(len(METHODS), 2, 1))
        self.requires_grad_(False).eval()

    @classmethod
    def of(cls, config: DetectorConfig) -> "DetectorNetwork":
        """One to load a state into."""
        return cls(Level.of(config.whole), Level.of(config.places))

    def forward(self, features: Features) -> dict[str, Levels]:
        """What each method says of pictures, by its name."""
        batch, channels, height, width = features.places.shape
        flat = features.places.permute(0, 2, 3, 1).reshape(-1, channels)
        places = {name: energy(flat).view(batch, height, width) for name, energy in self.places.energies().items()}
        return {name: Levels(energy(features.whole), places[name]) for name, energy in self.whole.energies().items()}

    def calibrate(self, held_out: Mapping[str, Levels]) -> None:
        """Take the scale of each number from what the methods say of held-out pictures."""
        for join, name in zip(self.joins, METHODS, strict=True):
            for row, values in zip(join, (held_out[name].whole, held_out[name].worst()), strict=True):
                median, high = values.quantile(torch.tensor([0.5, 0.9], device=values.device))
                row.copy_(torch.stack([median, (high - median).clamp(min=1e-6)]))

    def join(self, said: Mapping[str, Levels]) -> dict[str, Tensor]:
        """One score for each picture ``(B,)`` by the method's name: the sum of both numbers, each in its own scale."""
        scores = {}
        for join, name in zip(self.joins, METHODS, strict=True):
            numbers = torch.stack([said[name].whole, said[name].worst()], dim=1)
            scores[name] = ((numbers - join[:, 0]) / join[:, 1]).sum(dim=1)
        return scores
