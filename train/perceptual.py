"""A loss that sees what a classifier of photographs sees, so that fur and hair stay sharp where pixels average."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from train.evaluate.features import EfficientNetFeatures

TAPS = (0, 2, 4, 10)  # blocks of EfficientNet-lite0 after which features are compared: strides 2, 4, 8 and 16


class FeatureLoss(nn.Module):
    """Squared distance of unit feature vectors, averaged over positions and summed over layers, of pictures in [0, 1].

    The form of LPIPS without its fitted weights (Zhang et al., 2018), on frozen EfficientNet-lite0 features. The
    Fréchet distance of the evaluations reads the same network, so a codec trained on this is good at that one.
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.net = EfficientNetFeatures().net
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406])[:, None, None])
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225])[:, None, None])

    def forward(self, y: Tensor, x: Tensor) -> Tensor:
        """Of reconstructions ``y`` and pictures ``x``, both ``(B, 3, H, W)``; no gradient to ``x``."""
        with torch.no_grad():
            wanted = self._features(x)
        distances = [(a - b).square().sum(dim=1).mean() for a, b in zip(self._features(y), wanted, strict=True)]
        return torch.stack(distances).sum()

    def _features(self, x: Tensor) -> list[Tensor]:
        x = ((x - self.mean) / self.std).to(memory_format=torch.channels_last)
        h, features = self.net._swish(self.net._bn0(self.net._conv_stem(x))), []
        for number, block in enumerate(self.net._blocks[: TAPS[-1] + 1]):
            h = block(h)
            if number in TAPS:
                features.append(F.normalize(h.float(), dim=1, eps=1e-6))
        return features
