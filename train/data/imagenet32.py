"""ImageNet at 32x32 (Chrabaszcz, Loshchilov and Hutter, 2017), in its npz batches."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from train.data.arrays import from_arrays
from train.data.config import DataConfig, ImageSet, Source
from train.data.official import root_folder

BATCHES = {"train": [f"train_data_batch_{i}" for i in range(1, 11)], "val": ["val_data"]}
NUM_CLASSES = 1000


def load_imagenet32(config: DataConfig, image_size: int, channels: int) -> ImageSet:
    """Splits train (ten files, 1,281,167 images) and val (50,000); labels are 0-999, one less than in the files.

    The files are behind a login, so there is no automatic download. The pickled variant of them is refused.
    """
    root, split = root_folder(config), config.split
    tensors, labels = [], []
    for name in BATCHES[split]:
        pixels, batch_labels = _read(_find(root, name))
        tensors.append(from_arrays(pixels, image_size, channels))
        labels += batch_labels
    return ImageSet(torch.cat(tensors), labels)


def _find(root: Path, name: str) -> Path:
    for path in (root / f"{name}.npz", root / name):
        if path.is_file():
            return path
    raise ValueError(
        f"{root}/{name}.npz is not there; ImageNet 32x32 is downloaded by hand from image-net.org, in its npz format"
    )


def _read(path: Path) -> tuple[npt.NDArray[np.uint8], list[int]]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            data, labels = arrays["data"], arrays["labels"]
    # TypeError: a lone array, not an npz file; RuntimeError: an encrypted one.
    except (OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is not a whole npz file with 'data' and 'labels': {error}; fetch it again") from error
    _check(path, data, labels)
    # Each row is the red plane, then green, then blue.
    pixels = data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return pixels, [int(label) - 1 for label in labels]


def _check(path: Path, data: npt.NDArray[Any], labels: npt.NDArray[Any]) -> None:
    if data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3 * 32 * 32:
        raise ValueError(f"{path}: 'data' must be uint8 of shape (N, 3072), got {data.dtype} of shape {data.shape}")
    whole = labels.shape == (len(data),) and np.issubdtype(labels.dtype, np.integer)
    if not whole or (len(labels) and not 1 <= labels.min() <= labels.max() <= NUM_CLASSES):
        raise ValueError(f"{path}: 'labels' must be {len(data)} whole numbers from 1 to {NUM_CLASSES}")


SOURCES = (Source("imagenet32", load_imagenet32, "*_data*", tuple(BATCHES)),)
