"""What scores of held-out pictures promise of new ones, also where they are few."""

import torch
from torch import Tensor

TINY = 1e-6  # what is left of a comparison that one picture alone has made


def held_out_quantile(scores: Tensor, shares: Tensor) -> Tensor:
    """Scores above which a new normal picture is with probability ``1 - shares``, from those of ``scores (N,)``.

    The ``(N + 1) share``-th of them in order, between two linearly: N new pictures fall between N ordered ones with
    equal probability (Weibull's plotting positions, and the bound of conformal prediction; Vovk et al., 2005). The
    usual quantile promises too low a rate where pictures are few. Beyond the highest nothing can be promised.
    """
    place = ((len(scores) + 1) * shares - 1).clamp(0, len(scores) - 1)
    ordered, low = scores.double().sort().values, place.floor().long()
    high = (low + 1).clamp(max=len(scores) - 1)
    return torch.lerp(ordered[low], ordered[high], place - low)


def without_itself(scores: Tensor) -> Tensor:
    """Squared Mahalanobis distances ``(N,)`` from the mean of these very N pictures, each as if it had been left out.

    By way of the inverse of a covariance that has lost one picture (Sherman and Morrison). A picture is nearer to what
    it has made itself than a new one is.
    """
    n = len(scores)
    return (n / (n - 1)) ** 2 * (n - 2) / (n - 1) * scores / (1 - n / (n - 1) ** 2 * scores).clamp(min=TINY)
