"""Which data, and the one function that loads them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from torch import Tensor

Source = Literal["zip", "folder"]


@dataclass(frozen=True)
class DataConfig:
    """A source of images; sizes and channels come from the network."""

    source: Source = "zip"
    path: str = ""
    split: str = "train"  # sources that have splits of their own


class ImageSet(NamedTuple):
    """Images uint8 ``(N, C, H, W)`` and a label for each (number, list or dictionary; None where there is none)."""

    images: Tensor
    labels: list[Any]


Loader = Callable[[DataConfig, int, int], ImageSet]


def load(config: DataConfig, image_size: int, channels: int = 3) -> ImageSet:
    """Load and resize a data set. Raises ValueError when there is nothing usable at its path."""
    from train.data import archive  # imported here: each source imports this module

    loaders: dict[str, Loader] = {"zip": archive.load_zip, "folder": archive.load_folder}
    images = loaders[config.source](config, image_size, channels)
    if len(images.images) == 0:
        raise ValueError(f"{config.path}: no images there")
    return images
