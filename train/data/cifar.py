"""CIFAR-10 and CIFAR-100 (Krizhevsky, 2009): 50,000 and 10,000 images of 32x32.

The official files are Python pickles, and torchvision unpickles them. It first compares every one of them, not only
the archive, with its published MD5 sum, so nothing but the official files is ever unpickled.
"""

import numpy as np
from torchvision.datasets import CIFAR10, CIFAR100

from train.data.arrays import from_arrays
from train.data.config import DataConfig, ImageSet, Source
from train.data.official import fetch, root_folder


def load_cifar10(config: DataConfig, image_size: int, channels: int) -> ImageSet:
    """Splits train and test, original order, labels 0-9; downloaded (163 MiB) where they are missing."""
    return _load(CIFAR10, config, image_size, channels)


def load_cifar100(config: DataConfig, image_size: int, channels: int) -> ImageSet:
    """Splits train and test, original order, fine labels 0-99; downloaded (161 MiB) where they are missing."""
    return _load(CIFAR100, config, image_size, channels)


def _load(dataset: type[CIFAR10], config: DataConfig, image_size: int, channels: int) -> ImageSet:
    root, train = root_folder(config), config.split == "train"
    data = fetch(config, lambda: dataset(root, train=train, download=True))
    return ImageSet(from_arrays(np.asarray(data.data), image_size, channels), [int(y) for y in data.targets])


SOURCES = (
    Source("cifar10", load_cifar10, "cifar-10-batches-py/*", ("train", "test")),
    Source("cifar100", load_cifar100, "cifar-100-python/*", ("train", "test")),
)
