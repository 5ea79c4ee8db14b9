"""How different the chains of a batch are from each other."""

import math

import torch
from torch import Tensor


def mean_pairwise_distance(x: Tensor) -> Tensor:
    """Mean distance between two different images of ``x (B, C, H, W)``: a scalar, 0 when all are alike.

    The distance of two images is the root mean square difference of their pixels, so that it is in the units of a
    pixel whatever the size (ours; the paper shows such chains only as pictures). Raises ValueError for fewer than two.
    """
    if len(x) < 2:
        raise ValueError(f"a distance between chains needs two of them or more, got {len(x)}")
    flat = x.flatten(1)
    return torch.nn.functional.pdist(flat).mean() / math.sqrt(flat.shape[1])
