"""``python -m train calibrate MODEL``: scores of held-out pictures, kept in the model file beside its weights.

A percentile or a verdict means something only beside pictures that the model was not trained on: give a test set.
"""

import argparse
from pathlib import Path

from ebm_core import ood
from ebm_core.arguments import COUNT, add_device, whole
from ebm_core.calibration import Calibration, save_calibration
from train.data import DataConfig, load
from train.data.sources import SOURCES
from train.score.detector import Detector, load_detector


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add_device(parser)
    parser.add_argument("model", help="a name under weights/ or a path; the file is rewritten in one piece")
    parser.add_argument("--data", required=True, metavar="PATH", help="held-out pictures, never those trained on")
    parser.add_argument("--source", choices=list(SOURCES), default="zip", help="default: %(default)s")
    parser.add_argument("--split", default="test", help="of a source with official splits (default: %(default)s)")
    parser.add_argument("--skip", type=whole(0), default=0, metavar="N", help="leave the first N pictures out")
    parser.add_argument("--first", type=COUNT, metavar="N", help="then take only N, and leave the rest for a test")
    parser.add_argument("--batch", type=COUNT, default=64, help="pictures measured at once (default: %(default)s)")
    parser.add_argument("--name", help='what the pictures are, such as "CIFAR-10 test, first 5,000"')


def run(a: argparse.Namespace) -> None:
    """The command itself. Raises ValueError as ``calibrate`` does."""
    config = DataConfig(a.source, a.data, a.split if SOURCES[a.source].splits != () else "train")
    detector = load_detector(a.model, a.device, calibrated=False)
    calibration = calibrate(detector, config, skip=a.skip, first=a.first, batch=a.batch, name=a.name)
    print(
        f"{detector.path}: calibrated on {calibration.num} pictures ({calibration.data}), median energy "
        f"{calibration.energy_median:.6g}; 5 % of them are above {calibration.threshold('energy', 0.05):.6g}"
    )


def calibrate(
    detector: Detector, config: DataConfig, *, skip: int, first: int | None, batch: int, name: str | None
) -> Calibration:
    """Measure ``first`` pictures after ``skip`` and put their quantiles into the model file, in one piece.

    Raises ValueError when the data cannot be used or fewer than two are left, and when the disk refuses.
    """
    images = load(config, *detector.size_and_channels).images[skip:][:first]
    if name is None:
        what = Path(config.path).name if config.source in ("zip", "folder") else f"{config.source} {config.split}"
        name = f"{what}, pictures {skip + 1} to {skip + len(images)}"
    calibration = ood.calibrate(detector.measure_all(images, batch, name), name)
    save_calibration(detector.path, calibration)
    return calibration
