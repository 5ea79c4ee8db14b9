"""Describable Textures (Cimpoi et al., 2014): 47 classes, images of 300 to 640 pixels."""

import torch
from PIL import Image
from torchvision.datasets import DTD
from tqdm import tqdm

from ebm_core.images import from_pil
from train.data.config import DataConfig, ImageSet, Source
from train.data.official import fetch, root_folder


def load_dtd(config: DataConfig, image_size: int, channels: int) -> ImageSet:
    """Splits train, val and test of the official partition 1; labels are classes in alphabetic order.

    ``config.crop`` says how an image becomes square. Downloaded (596 MiB) where the files are missing.
    """
    root, split = root_folder(config), config.split
    data = fetch(config, lambda: DTD(root, split=split, download=True))
    images = torch.empty(len(data), channels, image_size, image_size, dtype=torch.uint8)
    labels = []
    for i in tqdm(range(len(data)), "dtd", leave=False):
        try:
            picture, label = data[i]
            if config.crop == "top_left":
                picture = _top_left(picture, image_size)
            images[i] = from_pil(picture, image_size, channels)
        except (OSError, ValueError, SyntaxError) as error:
            raise ValueError(
                f"image {i} of split '{split}' of DTD in {root} cannot be used: {error}; unpack the archive again"
            ) from error
        labels.append(int(label))
    return ImageSet(images, labels)


def _top_left(picture: Image.Image, size: int) -> Image.Image:
    if min(picture.size) < size:
        raise ValueError(f"it has {picture.size} pixels, too few for a corner of {size}x{size}")
    return picture.crop((0, 0, size, size))


SOURCES = (Source("dtd", load_dtd, "dtd/**/*", ("train", "val", "test")),)
