"""Fréchet distances of pictures. Only Inception's features make a FID; every report names those it used."""

from pathlib import Path
from pickle import UnpicklingError

from torch import Tensor

from ebm_core.features import EFFICIENTNET, EfficientNetFeatures

INCEPTION = "inception-v3"


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
