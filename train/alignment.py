"""Alignment of a middle layer with frozen features of the clean picture (REPA, Yu et al., arXiv:2410.06940)."""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from ebm_core.nets import EnergyNetwork
from train.evaluate.features import EfficientNetFeatures

BLOCK, CHANNELS = 10, 112  # of EfficientNet-lite0: the last at a sixteenth of the side


@cache
@torch.no_grad()
def middle_features(images: Tensor, batch: int = 32) -> Tensor:
    """Features ``(N, 112, 8, 8)`` float16 of pictures uint8 ``(N, 3, H, W)``."""
    extractor, kept = EfficientNetFeatures(), []
    hook = extractor.net._blocks[BLOCK].register_forward_hook(lambda _, __, h: kept.append(h.half()))
    for part in tqdm(images.split(batch), "features", leave=False):
        extractor((part + 0.5) / 256)
    hook.remove()
    return torch.cat(kept)


class Alignment(nn.Module):
    """One minus the cosine between the projected layer and the features, the mean over positions.

    The layer is the middle one of the full resolution; it is kept as the network passes it.
    """

    def __init__(self, net: EnergyNetwork, images: Tensor) -> None:
        super().__init__()
        self.features = middle_features(images)
        layers = net.scales[0].layers
        self.layer: Tensor | None = None
        layers[len(layers) // 2].register_forward_hook(self._keep)
        net(images[:1] / 256)
        assert self.layer is not None
        self.project = nn.Conv2d(self.layer.shape[1], CHANNELS, 1)

    def _keep(self, _: nn.Module, __: object, h: Tensor) -> None:
        self.layer = h

    def forward(self, index: Tensor) -> Tensor:
        """Loss of the pictures with these numbers, whose noised forms were the last to pass."""
        assert self.layer is not None
        h = self.project(self.layer.float())
        wanted = F.adaptive_avg_pool2d(self.features[index].float(), h.shape[2:])
        return 1 - F.cosine_similarity(h, wanted, dim=1).mean()
