"""A zip or folder of images, with labels in ``dataset.json`` (StyleGAN/EDM convention) where there is one."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
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
    """Every image of one zip file, or of several whose paths are joined by commas, in the order of their labels."""
    parts = [_load_one_zip(Path(path.strip()), image_size, channels) for path in config.path.split(",")]
    return ImageSet(torch.cat([p.images for p in parts]), [label for p in parts for label in p.labels])


def _load_one_zip(path: Path, image_size: int, channels: int) -> ImageSet:
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not a zip file that can be read: {error}") from error
    with archive:
        names = sorted(n for n in archive.namelist() if Path(n).suffix.lower() in IMAGE_SUFFIXES)
        text = archive.read(LABEL_FILE) if LABEL_FILE in archive.namelist() else None
        return _read(names, archive.read, text, image_size, channels, str(path))


def load_folder(config: DataConfig, image_size: int, channels: int) -> ImageSet:
    """Every image below a folder."""
    root = Path(config.path)
    if not root.is_dir():
        raise ValueError(f"{root} is not a folder")
    names = sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    label_file = root / LABEL_FILE
    text = label_file.read_bytes() if label_file.is_file() else None
    return _read(names, lambda name: (root / name).read_bytes(), text, image_size, channels, str(root))


def _read(
    names: list[str], read: Callable[[str], bytes], label_text: bytes | None, size: int, channels: int, where: str
) -> ImageSet:
    labels: dict[str, Any] = {}
    if label_text is not None:
        try:
            labels = dict(json.loads(label_text).get("labels") or {})
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"{where}: {LABEL_FILE} is not of the form {{'labels': [[name, label], ...]}}") from error
    images = [_decode(read(name), size, channels, f"{where}:{name}") for name in tqdm(names, where, leave=False)]
    stacked = torch.stack(images) if images else torch.zeros(0, channels, size, size, dtype=torch.uint8)
    return ImageSet(stacked, [labels.get(name) for name in names])


def _decode(data: bytes, size: int, channels: int, where: str) -> Tensor:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return from_pil(image, size, channels)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{where} cannot be read as an image: {error}") from error
