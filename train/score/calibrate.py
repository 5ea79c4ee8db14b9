"""Calibrating a model: scores of held-out pictures, kept in the model file beside its weights.

A percentile or a verdict means something only beside pictures that the model was not trained on: give a test set.
"""

from pathlib import Path

from ebm_core import ood
from ebm_core.checkpoint import replace_calibration
from train.data import DataConfig, load
from train.score.detector import Detector


def calibrate(
    detector: Detector, config: DataConfig, *, skip: int, first: int | None, batch: int, name: str | None
) -> ood.Calibration:
    """Measure ``first`` pictures after ``skip`` and put their quantiles into the model file, in one piece.

    Raises ValueError when the data cannot be used or fewer than two are left, and when the disk refuses.
    """
    images = load(config, detector.net.image_size, detector.net.channels).images[skip:][:first]
    if name is None:
        what = Path(config.path).name if config.source in ("zip", "folder") else f"{config.source} {config.split}"
        name = f"{what}, pictures {skip + 1} to {skip + len(images)}"
    calibration = ood.calibrate(detector.measure_all(images, batch, name), name)
    replace_calibration(detector.path, calibration.to_plain())
    return calibration
