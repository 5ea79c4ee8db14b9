"""MNIST (LeCun et al., 1998) and Fashion-MNIST (Xiao et al., 2017): grey, 28x28, zero-padded to 32x32."""

import numpy as np
from torchvision.datasets import MNIST, FashionMNIST

from train.data.arrays import from_arrays
from train.data.config import DataConfig, ImageSet, Source
from train.data.official import fetch, root_folder

PADDING = 2  # black on each side: 28 -> 32


def load_mnist(config: DataConfig, image_size: int, channels: int) -> ImageSet:
    """Splits train and test, labels 0-9; three channels are equal. Downloaded where they are missing."""
    return _load(MNIST, config, image_size, channels)


def load_fashion_mnist(config: DataConfig, image_size: int, channels: int) -> ImageSet:
    """As ``load_mnist``, with clothes for digits."""
    return _load(FashionMNIST, config, image_size, channels)


def _load(dataset: type[MNIST], config: DataConfig, image_size: int, channels: int) -> ImageSet:
    root, train = root_folder(config), config.split == "train"
    data = fetch(config, lambda: dataset(root, train=train, download=True))
    pixels = np.pad(data.data.numpy(), ((0, 0), (PADDING, PADDING), (PADDING, PADDING)))
    return ImageSet(from_arrays(pixels, image_size, channels), [int(y) for y in data.targets])


SOURCES = (
    Source("mnist", load_mnist, "MNIST/raw/*", ("train", "test")),
    Source("fashion_mnist", load_fashion_mnist, "FashionMNIST/raw/*", ("train", "test")),
)
