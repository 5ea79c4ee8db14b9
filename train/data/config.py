"""Which data, and the one function that loads them."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from torch import Tensor

Source = Literal[
    "zip",
    "folder",
    "cifar10",
    "cifar100",
    "svhn",
    "celeba",
    "lsun",
    "mnist",
    "fashion_mnist",
    "dtd",
    "imagenet32",
]


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataConfig:
    """A source of images; sizes and channels come from the network."""

    source: Source = "zip"
    path: str = ""  # a zip (or several, joined by commas), or the folder that holds, or will hold, the set's files
    split: str = "train"  # of sources with official splits; for LSUN its classes, such as "bedroom_train"
    # DTD only. The whole centre square, resized; or, as the ICD reference code does, the top-left corner at full size.
    crop: Literal["centre", "top_left"] = "centre"

    def __post_init__(self) -> None:
        if self.source not in get_args(Source):
            raise ValueError(f"source must be one of {', '.join(get_args(Source))}; got '{self.source}'")
        if self.source in ("zip", "folder") and self.split != "train":
            raise ValueError(
                f"source '{self.source}' has no splits, but split is '{self.split}'; give the split's own path instead"
            )
        if self.crop not in ("centre", "top_left"):
            raise ValueError(f"crop must be 'centre' or 'top_left', got '{self.crop}'")
        if self.crop == "top_left" and self.source != "dtd":
            raise ValueError(f"crop 'top_left' is for source 'dtd' only, not for '{self.source}'; leave crop out")


class ImageSet(NamedTuple):
    """Images uint8 ``(N, C, H, W)`` and a label for each (number, list or dictionary; None where there is none)."""

    images: Tensor
    labels: list[Any]
    names: Sequence[str] = ()  # of the files, where each picture is one
    notes: Sequence[str] = ()  # what was found there and left out


Loader = Callable[[DataConfig, int, int], ImageSet]


def load(config: DataConfig, image_size: int, channels: int = 3) -> ImageSet:
    """A data set decoded and resized, from the cache where it has been decoded before.

    Files that are no pictures are named in a warning. Raises ValueError, in one sentence, when there is nothing usable
    at its path.
    """
    # Imported here: each source imports this module.
    from train.data import archive, celeba, cifar, dtd, imagenet32, lsun, mnist, svhn
    from train.data.cache import cached

    loaders: dict[Source, Loader] = {
        "zip": archive.load_zip,
        "folder": archive.load_folder,
        "cifar10": cifar.load_cifar10,
        "cifar100": cifar.load_cifar100,
        "svhn": svhn.load_svhn,
        "celeba": celeba.load_celeba,
        "lsun": lsun.load_lsun,
        "mnist": mnist.load_mnist,
        "fashion_mnist": mnist.load_fashion_mnist,
        "dtd": dtd.load_dtd,
        "imagenet32": imagenet32.load_imagenet32,
    }
    if not config.path:
        raise ValueError(f"the data's path is empty; give --data or data.path for source '{config.source}'")
    if channels not in (1, 3):
        raise ValueError(f"images are loaded with 1 or 3 channels, the network asks for {channels}")

    def decode() -> ImageSet:
        images = loaders[config.source](config, image_size, channels)
        if len(images.images) == 0:
            raise ValueError(f"{config.path}: no images there")
        return images

    images = cached(config, image_size, channels, decode)
    for note in images.notes:
        _log.warning(note)
    return images
