"""How far samples are from the real pictures that have what was asked for."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ebm_core.attribute import Attribute
from train.evaluate.asking import Case
from train.evaluate.features import FrechetDistance

FEWEST = 100  # pictures with all that was asked for, below which there is no distance to them


class AskedPictures:
    """Test pictures uint8 ``(N, 3, H, W)`` and their label vectors by attribute, of which a case asks for some.

    Many cases ask for the same ones: their features, minutes of a CPU, are computed once.
    """

    def __init__(
        self, test: Tensor, labels: Mapping[str, Tensor], attributes: Mapping[str, Attribute], device: str
    ) -> None:
        self.test, self.labels, self.attributes, self.device = test, labels, attributes, device
        self._distance, self._floor = lru_cache(self._distance_to), lru_cache(self._distance_within)

    def distance(self, samples: Tensor, case: Case) -> dict[str, Any] | None:
        """Fréchet distance of samples to the pictures that have all binary attributes asked for; None for too few.

        Only what is asked of every sample alike counts. Beside it stands the distance of as many real ones to the rest.
        """
        has = torch.ones(len(self.test), dtype=torch.bool)
        for name, label in case.labels.items():
            if self.attributes[name].has_opposites and bool((label == label[0]).all()):
                has &= (self.labels[name] == label[0]).all(dim=1)
        num = int(has.sum())
        if num < FEWEST:
            return None
        chosen, half = tuple(has.nonzero()[:, 0].tolist()), min(len(samples), num // 2)
        distance = self._distance(chosen)
        return {
            "features": distance.name,
            "distance": round(distance(samples), 2),
            "num_real": num,
            f"floor_of_{half}_real_ones": round(self._floor(chosen, half), 2),
        }

    def _distance_to(self, chosen: tuple[int, ...]) -> FrechetDistance:
        return FrechetDistance(self.test[list(chosen)], device=self.device)

    def _distance_within(self, chosen: tuple[int, ...], half: int) -> float:
        return self._distance_to(chosen[half:])(self.test[list(chosen[:half])])
