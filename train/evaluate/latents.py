"""How easily an energy will learn latents, foretold from their second moments: smooth and redundant ones are easy."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ebm_core.codec import moments


class LatentStatistics(NamedTuple):
    """Means over channels. Smooth latents have a high correlation and a low unpredicted share.

    ``lag1``: correlation of positions side by side. ``unpredicted``: share of a position's variance that the best
    linear map of all channels of its eight neighbours leaves. ``mean_picture``: share of the variance that the mean
    over pictures has, so what a network can know from the position alone.
    """

    lag1: float
    unpredicted: float
    mean_picture: float


@torch.no_grad()
def latent_statistics(latents: Tensor, batch: int = 64) -> LatentStatistics:
    """Of latents ``(N, C, h, w)``, each side at least 3; none depends on the channels' scales."""
    mean, std = moments(latents)
    channels = latents.shape[1]
    size = 9 * channels
    gram = torch.zeros(size, size, dtype=torch.float64)
    rows, lagged, mean_picture = 0, torch.zeros(channels, dtype=torch.float64), torch.zeros(latents.shape[1:])
    for part in latents.split(batch):
        z = (part.float() - mean.float()[:, None, None]) / std.float()[:, None, None]
        mean_picture += z.sum(dim=0) / len(latents)
        across, down = z[..., 1:] * z[..., :-1], z[..., 1:, :] * z[..., :-1, :]
        lagged += (across.mean(dim=(2, 3)) + down.mean(dim=(2, 3))).sum(dim=0).double() / (2 * len(latents))
        # (rows, C * 9): a position's nine neighbours, itself the fifth
        patches = F.unfold(z, 3).movedim(1, -1).flatten(0, 1)
        gram += (patches.T @ patches).double()
        rows += len(patches)
    gram /= rows
    centre = torch.arange(channels) * 9 + 4
    around = torch.tensor([i for i in range(size) if i % 9 != 4])
    ridge = 1e-6 * torch.eye(len(around), dtype=torch.float64)
    cross = gram[around][:, centre]
    predicted = (cross * torch.linalg.solve(gram[around][:, around] + ridge, cross)).sum(dim=0)
    unpredicted = 1 - predicted / gram[centre, centre]
    share = mean_picture.square().mean()
    return LatentStatistics(*(round(float(v), 4) for v in (lagged.mean(), unpredicted.mean(), share)))
