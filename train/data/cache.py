"""Decoded data sets kept as one safetensors file each, so that a second run starts at once.

The folder is ``~/.cache/ebm-studio/data``, or ``data`` below the folder named by the variable ``EBM_STUDIO_CACHE``.
It may be deleted at any time.
"""

import hashlib
import json
import logging
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ebm_core.files import FileError, write_atomically
from ebm_core.picture_files import walk
from train.data.config import DataConfig, ImageSet
from train.data.sources import SOURCES

CACHE_VERSION = 4  # raised whenever the same files would be decoded differently
CACHE_VARIABLE = "EBM_STUDIO_CACHE"

_log = logging.getLogger(__name__)


def cached(config: DataConfig, image_size: int, channels: int, decode: Callable[[], ImageSet]) -> ImageSet:
    """What ``decode()`` returns, read from the cache if it is there and the files are as they were then.

    A damaged entry is made again. An entry that cannot be written is only warned about.
    """
    path = entry_path(config, image_size, channels)
    images = _read(path, (channels, image_size, image_size)) if path.is_file() else None
    if images is None:
        images = decode()
        # Asked again: decoding may have downloaded the files.
        _write(entry_path(config, image_size, channels), images)
    return images


def entry_path(config: DataConfig, image_size: int, channels: int) -> Path:
    """The cache file of a data set: one part of its name says what is decoded, the other how its files are now."""
    folder = os.environ.get(CACHE_VARIABLE)
    base = Path(folder) if folder else Path.home() / ".cache" / "ebm-studio"
    paths = (
        [Path(p.strip()).resolve() for p in config.path.split(",")]
        if config.source == "zip"
        else [Path(config.path).resolve()]
    )
    what = [CACHE_VERSION, config.source, [str(p) for p in paths], config.split, config.crop, image_size, channels]
    files = [list(entry) for path in paths for entry in _files(config.source, path)]
    return base / "data" / f"{config.source}-{_digest(what)}-{_digest(files)}.safetensors"


def _files(source: str, path: Path) -> Iterator[tuple[str, int, int]]:
    """Name, size and modification time (ns) of every file that the source reads, and perhaps of some more."""
    pattern = SOURCES[source].pattern
    candidates = sorted(path.glob(pattern)) if pattern else [path]
    if source == "folder" and path.is_dir():
        candidates = [path / name for name in walk(path)[0]]
    for candidate in candidates:
        try:
            status = candidate.stat()
        except OSError:
            continue  # the loader says what is wrong with it
        if candidate.is_file():
            yield str(candidate), status.st_size, status.st_mtime_ns


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def _checksum(*tensors: Tensor) -> str:
    return "-".join(f"{zlib.crc32(tensor.numpy().data):08x}" for tensor in tensors)


def _read(path: Path, shape: tuple[int, int, int]) -> ImageSet | None:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            images, texts = file.get_tensor("images"), file.get_tensor("texts")
        if texts.dtype != torch.uint8 or metadata["crc32"] != _checksum(images, texts):
            raise ValueError("its checksum is wrong")
        labels, names, notes = json.loads(texts.numpy().tobytes())
        if images.dtype != torch.uint8 or images.shape != (len(labels), *shape):
            raise ValueError(f"unexpected {images.dtype} of shape {tuple(images.shape)} for {len(labels)} labels")
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        _log.warning("the cache file %s is damaged (%s); it is made again", path, error)
        return None
    return ImageSet(images, labels, names, notes)


def _write(path: Path, images: ImageSet) -> None:
    # As a tensor, not in the header: that ends at 100 MB, which the 40 attributes of all of CelebA exceed.
    texts = json.dumps([images.labels, images.names, images.notes], separators=(",", ":")).encode()
    tensors = {"images": images.images, "texts": torch.frombuffer(bytearray(texts), dtype=torch.uint8)}
    try:
        write_atomically(path, save(tensors, metadata={"crc32": _checksum(*tensors.values())}))
        identity = path.name.rpartition("-")[0]
        for other in path.parent.glob(f"{identity}-*.safetensors"):
            if other != path:  # the same set as its files were before
                other.unlink(missing_ok=True)
    except (SafetensorError, FileError, OSError) as error:
        _log.warning("the decoded data set is not cached: %s", error)
