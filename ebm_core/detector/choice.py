"""Which method is the best for pictures of which nothing is known but that they are normal.

There are no outliers when a detector is fitted, so held-out pictures are compared with what was made of them
(``synthetic``): a method is as good as its area under the ROC curve, averaged over the kinds of faults. It is a choice
among three, made on pictures that no method was fitted on; how often it is the best one for real outliers is measured
in ``reports/detector``.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from ebm_core.detector.methods import METHODS
from ebm_core.held_out import held_out_quantile

HALF = 2  # parts that the false-alarm rate is measured across


@dataclass(frozen=True)
class Comparison:
    """``auroc``: by method and kind of fault, of held-out pictures against what was made of them."""

    auroc: Mapping[str, Mapping[str, float]]
    num: int  # pictures held out, and made of each kind

    @property
    def means(self) -> dict[str, float]:
        """Over the kinds, by method."""
        return {name: sum(row.values()) / len(row) for name, row in self.auroc.items()}

    @property
    def best(self) -> str:
        """The method of the highest mean."""
        return max(METHODS, key=self.means.__getitem__)

    def to_plain(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)


def compare(inside: Mapping[str, Tensor], outside: Mapping[str, Mapping[str, Tensor]]) -> Comparison:
    """Of scores ``(N,)`` by method, and of those of faults by method and kind."""
    num = len(next(iter(inside.values())))
    return Comparison(
        {name: {kind: auroc(inside[name], scores) for kind, scores in outside[name].items()} for name in METHODS}, num
    )


def auroc(inside: Tensor, outside: Tensor) -> float:
    """The share of pairs in which the one outside scores higher, ties half: the area under the ROC curve."""
    ordered = inside.sort().values
    below, up_to = (torch.searchsorted(ordered, outside, right=right).double() for right in (False, True))
    return float((below + up_to).mean()) / (2 * len(inside))


def false_alarms(scores: Tensor, rate: float) -> tuple[int, int]:
    """How many of how many held-out pictures are above a threshold of this rate that was set without them.

    Each half of ``scores (N,)`` is judged by the threshold of the other.
    """
    halves, share = (scores[::HALF], scores[1::HALF]), torch.tensor(1 - rate, dtype=torch.float64)
    above = [int((own > held_out_quantile(other, share)).sum()) for own, other in (halves, halves[::-1])]
    return sum(above), len(scores)
