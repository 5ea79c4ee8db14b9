"""``python -m train render``: a zip of rendered objects (StyleGAN/EDM convention), its labels in ``dataset.json``.

Every picture shows one object on a plane under a fixed camera and lamp. Its label is a dictionary: ``type``, ``size``,
``x`` and ``y`` on the plane (metres), ``theta``, a turn about the vertical (radians), and ``hue`` (0-1, HSV).
"""

import argparse
import io
import json
import math
import os
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from train.data.labels import LABEL_FILE
from train.render_objects import OBJECT_TYPES, ObjectRenderer

# Smallest and largest value of every continuous part of a label.
RANGES = {"size": (0.45, 1.15), "x": (-1.5, 1.5), "y": (-0.8, 0.8), "theta": (0.0, 2 * math.pi), "hue": (0.0, 1.0)}
DECIMALS = 4  # labels are rounded before they are drawn, so that they say exactly what is in the picture
IMAGES_PER_FOLDER = 1000
WEBP_QUALITY = 95  # lossy, about 900 bytes at 64x64

Label = dict[str, Any]
Draw = Callable[[Label], npt.NDArray[np.uint8]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--num", type=int, default=1000, help="how many images (default %(default)s)")
    parser.add_argument("--size", type=int, default=64, help="width and height in pixels (default %(default)s)")
    parser.add_argument("--samples", type=int, default=24, help="light paths per pixel (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the labels; same seed, same images")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.zip", help="the zip to write")


def run(arguments: argparse.Namespace) -> None:
    """The command itself. Raises ValueError as ``render`` does."""
    render(arguments.num, arguments.size, arguments.samples, arguments.seed, arguments.out)


def render(num: int, size: int, samples: int, seed: int, out: Path) -> None:
    """Write ``num`` images of ``size`` x ``size`` to the zip ``out``.

    Raises ValueError for numbers that make no sense, when ``out`` exists or cannot be written, and when Blender's
    Python module is missing.
    """
    for name, value, least in (("num", num, 1), ("size", size, 4), ("samples", samples, 1), ("seed", seed, 0)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    _check_free(out)
    write_zip(out, draw_labels(num, np.random.default_rng(seed)), ObjectRenderer(size, samples), f"objects{size}")


def draw_labels(num: int, rng: np.random.Generator) -> list[Label]:
    """``num`` labels, every part uniform and independent. The first labels do not depend on ``num``."""
    labels = []
    for _ in range(num):
        label: Label = {"type": OBJECT_TYPES[rng.integers(len(OBJECT_TYPES))]}
        for name, (low, high) in RANGES.items():
            # Rounding up could leave the range: 2 pi is no multiple of 0.0001.
            label[name] = min(round(float(rng.uniform(low, high)), DECIMALS), high)
        labels.append(label)
    return labels


def write_zip(out: Path, labels: Sequence[Label], draw: Draw, name: str) -> None:
    """Draw every label into the zip ``out``, which appears only when it is whole.

    Raises ValueError when ``out`` exists or cannot be written.
    """
    _check_free(out)
    temporary: str | None = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=out.parent, prefix=out.name, suffix=".tmp")
        with os.fdopen(handle, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            entries = []
            for i, label in enumerate(tqdm(labels, "rendering", unit="image")):
                path = f"{i // IMAGES_PER_FOLDER:05d}/img{i:08d}.webp"
                # ZipInfo's own date is fixed: same seed, same file.
                archive.writestr(zipfile.ZipInfo(path), _webp(draw(label)))
                entries.append([path, label])
            text = json.dumps({"name": name, "labels": entries})
            archive.writestr(zipfile.ZipInfo(LABEL_FILE), text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, out)
    except OSError as error:
        raise ValueError(
            f"could not write {out}: {error.strerror or error}; free some space or choose another folder"
        ) from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def _check_free(out: Path) -> None:
    if out.suffix != ".zip":
        raise ValueError(f"--out must be the name of a .zip file, got {out}")
    if out.exists():
        raise ValueError(f"{out} exists already; delete it or choose another name")


def _webp(pixels: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=WEBP_QUALITY)
    return buffer.getvalue()
