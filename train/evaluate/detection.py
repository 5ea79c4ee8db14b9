"""How well a score tells out-of-distribution pictures (the positive class) from in-distribution ones."""

from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics.functional.classification import (
    binary_auroc,
    binary_average_precision,
    binary_specificity_at_sensitivity,
)

SENSITIVITY = 0.95


class Detection(NamedTuple):
    """Areas under the ROC and the precision-recall curves, each 0 to 1; chance is 0.5 for the first, for the others
    the share of the class that counts as positive."""

    auroc: float
    aupr_in: float  # in-distribution is positive for a low score
    aupr_out: float  # out-of-distribution is positive for a high score
    fpr95: float  # share of in-distribution pictures that are called out when 95 % of the others are


def detect(inside: Tensor, outside: Tensor) -> Detection:
    """Detection by scores ``inside (N,)`` and ``outside (M,)``, a higher one meaning more out-of-distribution.

    Raises ValueError when either is empty.
    """
    if min(len(inside), len(outside)) == 0:
        raise ValueError(f"detection needs pictures of both kinds, got {len(inside)} and {len(outside)}")
    # torchmetrics takes numbers outside [0, 1] for logits, and its sigmoid makes large energies all equal. Only their
    # order matters, so they become their ranks, equal where they are equal.
    ranks = torch.cat([inside, outside]).unique(return_inverse=True)[1].double()
    ranks /= ranks.max().clamp(min=1)
    is_out = torch.cat([torch.zeros(len(inside)), torch.ones(len(outside))]).long()
    specificity, _ = binary_specificity_at_sensitivity(ranks, is_out, SENSITIVITY)
    return Detection(
        auroc=float(binary_auroc(ranks, is_out)),
        aupr_in=float(binary_average_precision(1 - ranks, 1 - is_out)),
        aupr_out=float(binary_average_precision(ranks, is_out)),
        fpr95=1 - float(specificity),
    )
