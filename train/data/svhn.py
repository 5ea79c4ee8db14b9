"""SVHN (Netzer et al., 2011): house numbers, 32x32, cropped to one digit."""

import numpy as np
from torchvision.datasets import SVHN

from train.data.arrays import from_arrays
from train.data.config import DataConfig, ImageSet, Source
from train.data.official import fetch, root_folder


def load_svhn(config: DataConfig, image_size: int, channels: int) -> ImageSet:
    """Splits train, test and extra; labels are the digits (the files' class 10 is 0). Downloaded where missing."""
    root, split = root_folder(config), config.split
    data = fetch(config, lambda: SVHN(root, split=split, download=True))
    pixels = np.asarray(data.data).transpose(0, 2, 3, 1)  # torchvision has (N, 3, 32, 32)
    return ImageSet(from_arrays(pixels, image_size, channels), [int(y) for y in data.labels])


SOURCES = (Source("svhn", load_svhn, "*_32x32.mat", ("train", "test", "extra")),)
