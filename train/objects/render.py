"""``python -m train render``: a zip of rendered objects (StyleGAN/EDM convention), its labels in ``dataset.json``.

Every picture shows one object on a plane under a fixed camera and lamp. Its label is a dictionary: ``type``, ``size``,
``x`` and ``y`` on the plane (metres), ``theta``, a turn about the vertical (radians), and ``hue`` (0-1, HSV).
"""

import argparse
import io
import json
import math
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from ebm_core.arguments import COUNT, whole
from ebm_core.files import check_new, replacing
from ebm_core.recipe import SEED
from train.data.labels import LABEL_FILE
from train.objects.blender import OBJECT_TYPES, ObjectRenderer

# Smallest and largest value of every continuous part of a label.
RANGES = {"size": (0.45, 1.15), "x": (-1.5, 1.5), "y": (-0.8, 0.8), "theta": (0.0, 2 * math.pi), "hue": (0.0, 1.0)}
DECIMALS = 4  # labels are rounded before they are drawn, so that they say exactly what is in the picture
IMAGES_PER_FOLDER = 1000
NUMBERS = {"num": COUNT, "size": whole(4), "samples": COUNT, "seed": SEED}
WEBP_QUALITY = 95  # lossy, about 900 bytes at 64x64

Label = dict[str, Any]
Draw = Callable[[Label], npt.NDArray[np.uint8]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--num", type=COUNT, default=1000, help="how many images (default %(default)s)")
    parser.add_argument("--size", type=NUMBERS["size"], default=64, help="pixels a side (default %(default)s)")
    parser.add_argument("--samples", type=COUNT, default=24, help="light paths per pixel (default %(default)s)")
    parser.add_argument("--seed", type=SEED, default=0, help="of the labels; same seed, same images")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.zip", help="the zip to write")


def run(arguments: argparse.Namespace) -> None:
    """The command itself. Raises ValueError as ``render`` does."""
    render(arguments.num, arguments.size, arguments.samples, arguments.seed, arguments.out)


def render(num: int, size: int, samples: int, seed: int, out: Path) -> None:
    """Write ``num`` images of ``size`` x ``size`` to the zip ``out``.

    Raises ValueError for numbers that make no sense, when ``out`` exists or cannot be written, and when Blender's
    Python module is missing.
    """
    for name, value in {"num": num, "size": size, "samples": samples, "seed": seed}.items():
        NUMBERS[name].check(value, name)
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
    with replacing(out) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        entries = []
        for i, label in enumerate(tqdm(labels, "rendering", unit="image")):
            path = f"{i // IMAGES_PER_FOLDER:05d}/img{i:08d}.webp"
            # ZipInfo's own date is fixed: same seed, same file.
            archive.writestr(zipfile.ZipInfo(path), _webp(draw(label)))
            entries.append([path, label])
        text = json.dumps({"name": name, "labels": entries})
        archive.writestr(zipfile.ZipInfo(LABEL_FILE), text)


def _check_free(out: Path) -> None:
    if out.suffix != ".zip":
        raise ValueError(f"--out must be the name of a .zip file, got {out}")
    check_new(out)


def _webp(pixels: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=WEBP_QUALITY)
    return buffer.getvalue()
