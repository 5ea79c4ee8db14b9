"""How good samples are: a Fréchet distance and a score of classes, each named after the network that it reads with."""

import warnings
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torchmetrics.image.fid import NoTrainInceptionV3
from torchmetrics.image.inception import InceptionScore

from ebm_core.features import EFFICIENTNET, EfficientNetFeatures
from train.evaluate.features import INCEPTION, FrechetDistance


class EfficientNetClasses(nn.Module):
    """EfficientNet-lite0's logits of the ImageNet classes ``(B, 1000)``, for images uint8 ``(B, 3, H, W)``."""

    def __init__(self) -> None:
        super().__init__()
        self.features = EfficientNetFeatures()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.features.activations.net._fc(self.features((x + 0.5) / 256))
        return logits


def class_score(
    samples: Tensor, *, inception_weights: Path | None = None, batch: int = 16, device: str = "cpu"
) -> tuple[str, float]:
    """Name of the classifier and exp of the mean KL(p(class | image) || p(class)) of images uint8 ``(N, 3, H, W)``.

    With ``inception_weights`` (a file of torch-fidelity's Inception v3) it is the Inception score (Salimans et al.,
    2016); with EfficientNet-lite0's classes it compares only with itself. In one split, so that it depends less on the
    number of images.
    """
    classes: nn.Module
    if inception_weights is not None:
        name, weights = INCEPTION, str(inception_weights)
        classes = NoTrainInceptionV3("inception-v3-compat", ["logits_unbiased"], feature_extractor_weights_path=weights)
    else:
        name, classes = EFFICIENTNET, EfficientNetClasses()
    with warnings.catch_warnings():
        # It keeps all logits in memory, and the spread of its single split is not a number: both are meant.
        warnings.simplefilter("ignore", UserWarning)
        metric = InceptionScore(classes, splits=1).to(device)
        for part in samples.split(batch):
            metric.update(part.to(device))
        return name, float(metric.compute()[0])


def quality(
    samples: Tensor, distance: FrechetDistance, *, inception_weights: Path | None = None, device: str = "cpu"
) -> dict[str, Any]:
    """Distance and score of samples uint8 ``(N, 3, H, W)``, and the features they are read with."""
    _, score = class_score(samples, inception_weights=inception_weights, device=device)
    return {"features": distance.name, "distance": round(distance(samples), 2), "score": round(score, 3)}
