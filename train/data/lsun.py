"""LSUN (Yu et al., 2015): photographs of ten kinds of scene, an LMDB data base of JPEG or WebP images for each.

The data base is read here and not through torchvision's LSUN, which keeps a pickle of its keys in the working folder
and unpickles whatever it finds there under that name.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from ebm_core.pictures import PictureError, read_picture
from train.data.archive import LIMITS
from train.data.config import DataConfig, ImageSet, Source
from train.data.official import root_folder

SCENES = (
    "bedroom",
    "bridge",
    "church_outdoor",
    "classroom",
    "conference_room",
    "dining_room",
    "kitchen",
    "living_room",
    "restaurant",
    "tower",
)


def load_lsun(config: DataConfig, image_size: int, channels: int) -> ImageSet:
    """One or more classes, ``split`` as in "bedroom_train" or "bedroom_val,tower_val"; labels are the scenes, 0-9.

    Reads the folders ``<class>_lmdb`` in ``path``, in the order of their keys: centre squares, resized. There is no
    automatic download. All decoded images must fit in memory (``3 * image_size**2`` bytes each).
    """
    root = root_folder(config)
    tensors: list[Tensor] = []
    labels: list[int] = []
    for name in (part.strip() for part in config.split.split(",")):
        scene, _, kind = name.rpartition("_")
        if scene not in SCENES or kind not in ("train", "val"):
            raise ValueError(
                "LSUN's split is a class and 'train' or 'val', such as 'bedroom_train' "
                f"(classes: {', '.join(SCENES)}); got '{name}'"
            )
        images = _read(root / f"{name}_lmdb", image_size, channels)
        tensors.append(images)
        labels += [SCENES.index(scene)] * len(images)
    return ImageSet(torch.cat(tensors), labels)


def _read(folder: Path, image_size: int, channels: int) -> Tensor:
    if not (folder / "data.mdb").is_file():
        raise ValueError(f"{folder}/data.mdb is not there; download and unpack the class from the LSUN project first")
    lmdb = _import_lmdb()
    try:
        # Nothing is written beside the data base: no lock file.
        with (
            lmdb.open(str(folder), readonly=True, lock=False, readahead=False) as environment,
            environment.begin() as transaction,
        ):
            images = torch.empty(transaction.stat()["entries"], channels, image_size, image_size, dtype=torch.uint8)
            for i, (key, value) in enumerate(tqdm(transaction.cursor(), folder.name, len(images), leave=False)):
                images[i] = read_picture(value, image_size, channels, LIMITS).u8
    except PictureError as error:
        raise ValueError(f"{folder}:{key!r} cannot be read: {error}") from error
    except lmdb.Error as error:
        raise ValueError(f"{folder} is not an LMDB data base that can be read: {error}; unpack it again") from error
    return images


def _import_lmdb() -> Any:
    try:
        import lmdb
    except ImportError as error:
        raise ValueError("LSUN is stored as LMDB; install its reader with: pip install lmdb") from error
    return lmdb


SOURCES = (Source("lsun", load_lsun, "*_lmdb/*", None),)
