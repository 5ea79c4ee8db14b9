"""A loss that sees what a classifier of photographs sees, so that fur and hair stay sharp where pixels average."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ebm_core.features import Activations

TAPS = (0, 2, 4, 10)  # blocks of EfficientNet-lite0 after which features are compared: strides 2, 4, 8 and 16


class FeatureLoss(nn.Module):
    """Squared distance of unit feature vectors, averaged over positions and summed over layers, of pictures in [0, 1].

    The form of LPIPS without its fitted weights (Zhang et al., 2018), on frozen EfficientNet-lite0 features. The
    Fréchet distance of the evaluations reads the same network, so a codec trained on this is good at that one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.activations = Activations()

    def forward(self, y: Tensor, x: Tensor) -> Tensor:
        """Of reconstructions ``y`` and pictures ``x``, both ``(B, 3, H, W)``; no gradient to ``x``."""
        with torch.no_grad():
            wanted = self._features(x)
        distances = [(a - b).square().sum(dim=1).mean() for a, b in zip(self._features(y), wanted, strict=True)]
        return torch.stack(distances).sum()

    def _features(self, x: Tensor) -> list[Tensor]:
        return [F.normalize(h.float(), dim=1, eps=1e-6) for h in self.activations(x, TAPS, head=False)]
