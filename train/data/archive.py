"""A zip or folder of images, with labels in ``dataset.json`` (StyleGAN/EDM convention) where there is one."""

import io
import json
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from ebm_core.images import from_pil
from train.data.config import DataConfig, ImageSet

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}
LABEL_FILE = "dataset.json"


def load_zip(config: DataConfig, image_size: int, channels: int) -> ImageSet:
    """Every image of one zip file, or of several whose paths are joined by commas, in the order of their names."""
    parts = [_load_one_zip(Path(path.strip()), image_size, channels) for path in config.path.split(",")]
    return ImageSet(torch.cat([p.images for p in parts]), [label for p in parts for label in p.labels])


def _load_one_zip(path: Path, image_size: int, channels: int) -> ImageSet:
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(filter(_is_image, archive.namelist()))
            text = archive.read(LABEL_FILE) if LABEL_FILE in archive.namelist() else None
            return _read(names, archive.read, text, image_size, channels, str(path))
    # RuntimeError: an encrypted member; NotImplementedError: an unknown compression.
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise ValueError(f"{path} is not a zip file that can be read: {error}") from error


def load_folder(config: DataConfig, image_size: int, channels: int) -> ImageSet:
    """Every image below a folder, in the order of their names; hidden files and folders are left out."""
    root = Path(config.path)
    if not root.is_dir():
        raise ValueError(f"{root} is not a folder")
    files = (p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())
    label_file = root / LABEL_FILE
    try:
        text = label_file.read_bytes() if label_file.is_file() else None
        return _read(sorted(filter(_is_image, files)), lambda n: (root / n).read_bytes(), text,
                     image_size, channels, str(root))
    except OSError as error:
        raise ValueError(f"{root} cannot be read: {error}") from error


def decode(data: bytes, size: int, channels: int, where: str) -> Tensor:
    """An encoded image as uint8 ``(channels, size, size)``. Raises ValueError that begins with ``where``."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return from_pil(image, size, channels)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{where} cannot be read as an image: {error}") from error


def _is_image(name: str) -> bool:
    path = PurePosixPath(name)
    # macOS leaves files such as __MACOSX/._photo.jpg, which are no images.
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return path.suffix.lower() in IMAGE_SUFFIXES and not hidden and not name.endswith("/")


def _read(
    names: list[str], read: Callable[[str], bytes], label_text: bytes | None, size: int, channels: int, where: str
) -> ImageSet:
    labels = _parse_labels(label_text, where) if label_text is not None else {}
    absent = sorted(labels.keys() - set(names))
    if absent:
        raise ValueError(
            f"{where}: {LABEL_FILE} names {len(absent)} images that are not there, such as {absent[0]}; "
            "add them or remove their labels"
        )
    images = torch.empty(len(names), channels, size, size, dtype=torch.uint8)
    for image, name in zip(images, tqdm(names, where, leave=False)):
        image.copy_(decode(read(name), size, channels, f"{where}:{name}"))
    return ImageSet(images, [labels.get(name) for name in names])


def _parse_labels(text: bytes, where: str) -> dict[str, Any]:
    """Labels by file name; ``"labels": null`` and no such key both mean that there are none.

    Where ``"attributes"`` has a name for each entry of the labels, they become dictionaries.
    """
    try:
        content = json.loads(text)
        labels, attributes = dict(content.get("labels") or {}), content.get("attributes")
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{where}: {LABEL_FILE} is not of the form {{'labels': [[name, label], ...]}}") from error
    if not all(isinstance(name, str) for name in labels):
        raise ValueError(f"{where}: {LABEL_FILE} is not of the form {{'labels': [[name, label], ...]}}")
    if attributes is None:
        return labels
    try:
        return {name: dict(zip(attributes, label, strict=True)) for name, label in labels.items()}
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {LABEL_FILE} does not have a number for each of its 'attributes'") from error
