"""The sets that a model is shown beside its own kind: those of ICD, Table 3, and more.

A folder holds them as zips under the names below, or as the official files of their source, which are downloaded
there where they are missing.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as tvf

from ebm_core import images
from train.data import DataConfig, load

JPEG_QUALITY = 10
BLUR_STD = 1.0  # of a Gaussian, in pixels


class Kept(NamedTuple):
    """Where a set of files is: the name of its zip, and the official source to go to without one."""

    title: str
    zip_name: str
    official: DataConfig | None = None

    def find(self, folder: Path) -> DataConfig:
        """Raises ValueError when it is not to be had at all."""
        path = folder / self.zip_name
        if path.is_file():
            return DataConfig("zip", str(path))
        if self.official is None:
            raise ValueError(f"{path} is not there")
        return replace(self.official, path=str(folder))

    def where(self, folder: Path) -> str:
        """The name of what ``find`` finds."""
        if self.official is None or (folder / self.zip_name).is_file():
            return self.zip_name
        return f"{self.official.source}, split {self.official.split}"


KEPT = {
    "cifar10": Kept("CIFAR-10 test", "cifar10-test.zip", DataConfig("cifar10", split="test")),
    "svhn": Kept("SVHN test", "svhn-test.zip", DataConfig("svhn", split="test")),
    "textures_crop": Kept(
        "Textures, top-left 32x32 (reference code)",
        "dtd10-crop32.zip",
        DataConfig("dtd", split="test", crop="top_left"),
    ),
    "textures_resized": Kept("Textures, centre square resized", "dtd10-resize32.zip", DataConfig("dtd", split="test")),
    "cifar100": Kept("CIFAR-100 test", "cifar100-test.zip", DataConfig("cifar100", split="test")),
    "tinyimagenet": Kept("Tiny ImageNet, box-resized", "tinyimagenet-test32.zip"),
    "celeba": Kept("CelebA test", "celeba128-test.zip", DataConfig("celeba", split="test")),
    "mnist": Kept("MNIST test", "mnist-test32.zip", DataConfig("mnist", split="test")),
    "fashion_mnist": Kept("Fashion-MNIST test", "fashion-test32.zip", DataConfig("fashion_mnist", split="test")),
    "objects": Kept("rendered objects", "objects64-test.zip"),
}

PIXELS = "pixel statistics"  # the score without a model
MADE = "made"  # the data of sets that are made from the in-distribution pictures
# AUROC of ICD, Table 3, with CIFAR-10 as the in-distribution set.
PAPER = {"svhn": 0.91, "textures_crop": 0.88, "interpolation": 0.65, "cifar100": 0.83}
PAPER_MEAN = 0.82


@dataclass(frozen=True)
class OodSet:
    """A set to tell from the in-distribution one. ``pictures(inside, rng)`` gives it, uint8 ``(N, C, H, W)``, from the
    in-distribution pictures, or raises ValueError with the reason why it cannot be had."""

    name: str
    title: str
    data: str  # the zip or the official source that has them, or MADE
    pictures: Callable[[Tensor, torch.Generator], Tensor]


def table_sets(folder: Path, size_and_channels: tuple[int, int], leave_out: str) -> list[OodSet]:
    """All sets in the order of the report: those of Table 3, further data, then what is made.

    ``leave_out`` names the one that is in-distribution, if it is one of them.
    """
    jpeg, blur = f"in-distribution as JPEG of quality {JPEG_QUALITY}", f"in-distribution, blurred by {BLUR_STD:g} pixel"
    derived = {
        "interpolation": OodSet("interpolation", "mean of two in-distribution pictures", MADE, interpolated),
        "noise": OodSet("noise", "uniform noise", MADE, noise),
        "constant": OodSet("constant", "one colour each", MADE, constant),
        "jpeg": OodSet("jpeg", jpeg, MADE, compressed),
        "blur": OodSet("blur", blur, MADE, blurred),
    }
    kept = {name: _from_files(name, folder, size_and_channels) for name in KEPT if name != leave_out}
    everything = kept | derived
    first = [name for name in ("svhn", "textures_crop", "interpolation", "cifar100") if name in everything]
    return [everything[name] for name in [*first, *(n for n in everything if n not in first)]]


def _from_files(name: str, folder: Path, size_and_channels: tuple[int, int]) -> OodSet:
    def pictures(inside: Tensor, rng: torch.Generator) -> Tensor:
        return load(KEPT[name].find(folder), *size_and_channels).images

    return OodSet(name, KEPT[name].title, KEPT[name].where(folder), pictures)


def interpolated(inside: Tensor, rng: torch.Generator) -> Tensor:
    """The mean of two different pictures each; every picture is in two of them."""
    order = torch.randperm(len(inside), generator=rng)
    pairs = torch.stack([inside[order], inside[order.roll(1)]]).float()
    return pairs.mean(dim=0).round().to(torch.uint8)


def noise(inside: Tensor, rng: torch.Generator) -> Tensor:
    """Every value of every pixel drawn by itself."""
    return torch.randint(256, inside.shape, generator=rng, dtype=torch.uint8)


def constant(inside: Tensor, rng: torch.Generator) -> Tensor:
    """Pictures of one colour, drawn for each."""
    colours = torch.randint(256, (*inside.shape[:2], 1, 1), generator=rng, dtype=torch.uint8)
    return colours.expand(inside.shape).contiguous()


def compressed(inside: Tensor, rng: torch.Generator) -> Tensor:
    """The pictures after a JPEG file of low quality."""
    result = torch.empty_like(inside)
    for target, picture in zip(result, inside, strict=True):
        data = images.encode(images.to_pil(picture), "JPEG", quality=JPEG_QUALITY)
        with Image.open(io.BytesIO(data)) as image:
            target.copy_(images.from_pil(image, inside.shape[-1], inside.shape[1]))
    return result


def blurred(inside: Tensor, rng: torch.Generator) -> Tensor:
    """The pictures after a Gaussian blur."""
    size = 2 * round(3 * BLUR_STD) + 1  # three standard deviations to each side
    result: Tensor = tvf.gaussian_blur(inside, [size, size], [BLUR_STD, BLUR_STD])
    return result
