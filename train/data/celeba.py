"""CelebA (Liu et al., 2015): 202,599 aligned faces with forty attributes each."""

import torch
from torchvision.datasets import CelebA
from tqdm import tqdm

from ebm_core.images import from_pil
from train.data.config import DataConfig, ImageSet, Source
from train.data.official import fetch, root_folder

ALIGNED_SIZE = (178, 218)  # width and height of the official aligned images
FACE_BOX = (15, 47, 163, 195)  # left, upper, right, lower: the square of 148 pixels around the face


def load_celeba(config: DataConfig, image_size: int, channels: int) -> ImageSet:
    """Splits train, valid, test and all; a label has the forty attributes by name, 0 or 1.

    Faces are cut out and resized. Missing files are downloaded, which needs the package ``gdown``.
    """
    root, split = root_folder(config), config.split
    data = fetch(config, lambda: CelebA(root, split=split, target_type="attr", download=True))
    images = torch.empty(len(data), channels, image_size, image_size, dtype=torch.uint8)
    for i in tqdm(range(len(data)), "celeba", leave=False):
        name = data.filename[i]
        try:
            picture, _ = data[i]
            with picture:
                if picture.size != ALIGNED_SIZE:
                    raise ValueError(f"it has {picture.size} pixels, aligned images have {ALIGNED_SIZE}")
                images[i] = from_pil(picture.crop(FACE_BOX), image_size, channels)
        except (OSError, ValueError, SyntaxError) as error:
            raise ValueError(
                f"{root}/celeba/img_align_celeba/{name} cannot be used: {error}; unpack img_align_celeba.zip again"
            ) from error
    names = data.attr_names[: data.attr.shape[1]]  # torchvision adds an empty one
    return ImageSet(images, [dict(zip(names, row, strict=True)) for row in data.attr.tolist()])


SOURCES = (Source("celeba", load_celeba, "celeba/**/*", ("train", "valid", "test", "all")),)
