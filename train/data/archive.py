"""A zip or folder of images, with labels where there are any."""

from collections import defaultdict
from pathlib import Path, PurePosixPath

import torch
from tqdm import tqdm

from ebm_core.picture_files import Files, left_out_notes, open_folder, open_zip
from ebm_core.pictures import SUFFIXES, FormatError, Limits, PictureError, read_picture
from train.data.config import DataConfig, ImageSet, Source
from train.data.labels import read_labels

LIMITS = Limits(max_bytes=2**30, max_pixels=89_000_000)  # a data set is no stranger's; beyond it Pillow warns


def load_zip(config: DataConfig, image_size: int, channels: int) -> ImageSet:
    """Every image of one zip file, or of several whose paths are joined by commas, in the order of their names."""
    parts = [_load_one_zip(Path(path.strip()), image_size, channels) for path in config.path.split(",")]
    labels, names, notes = ([entry for part in parts for entry in part[field]] for field in (1, 2, 3))
    return ImageSet(torch.cat([part.images for part in parts]), labels, names, notes)


def _load_one_zip(path: Path, image_size: int, channels: int) -> ImageSet:
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a zip file; give 'folder' as the source of the data")
    with open_zip(path, LIMITS) as files:
        return _read(files, image_size, channels, str(path))


def load_folder(config: DataConfig, image_size: int, channels: int) -> ImageSet:
    """Every image below a folder, in the order of their names."""
    root = Path(config.path)
    if not root.is_dir():
        raise ValueError(f"{root} is not a folder")
    return _read(open_folder(root, LIMITS), image_size, channels, str(root))


def _read(files: Files, size: int, channels: int, where: str) -> ImageSet:
    """All pictures, or none: a damaged one would be missed too late. What is of no readable format is left out."""
    labels = read_labels(files, where)
    left_out = defaultdict(list, files.left_out)
    images = torch.empty(len(files.names), channels, size, size, dtype=torch.uint8)
    names: list[str] = []
    for name in tqdm(files.names, where, leave=False):
        try:
            images[len(names)].copy_(read_picture(files.read(name), size, channels, LIMITS).u8)
            names.append(name)
        except PictureError as error:
            if not isinstance(error, FormatError) or PurePosixPath(name).suffix.lower() in SUFFIXES:
                raise ValueError(f"{where}:{name} cannot be read: {error}") from error
            left_out[str(error)].append(name)
    notes = [f"{where}: {note}" for note in left_out_notes(left_out)]
    if not names:
        raise ValueError(f"{where}: there is no picture that can be read here; {'; '.join(left_out_notes(left_out))}")
    return ImageSet(images[: len(names)], [labels.get(name) for name in names], names, notes)


SOURCES = (Source("zip", load_zip), Source("folder", load_folder))
