"""Pictures to tell apart by own detectors: one kind against the others, and painted defects.

Settings were chosen on other pictures: classes 0 to 4 of the textures, spheres, cats and faces of other splits, clothes
(Fashion-MNIST) and CIFAR-10. Here are the classes 5 to 9, the other types, and the test files.
"""

import json
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor

from ebm_core import images
from ebm_core.picture_files import Files, open_zip
from ebm_core.pictures import read_picture
from train.data.archive import LIMITS

TEXTURES, CATS, FACES, OBJECTS = "dtd10-resize32", "cats128", "celeba128", "objects64"
HELD_BACK = range(5, 10)  # classes of the textures that no setting was chosen on
TYPES = ("cube", "cylinder", "monkey")


class Task(NamedTuple):
    """``normal``: the files that a detector is fitted on; ``inside`` and ``outside``: uint8 ``(N, 3, S, S)``."""

    name: str
    title: str
    normal: Files
    inside: Tensor
    outside: Tensor


Label = Callable[[Any], bool]


class Archive:
    """The pictures of a zip with labels, chosen by label and at random."""

    def __init__(self, path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            self.labels: list[tuple[str, Any]] = json.loads(archive.read("dataset.json"))["labels"]
        self.path = path

    def some(self, wanted: Label, num: int, rng: Generator) -> Files:
        """``num`` of the pictures with a wanted label, or all; their bytes are read at once."""
        names = [name for name, label in self.labels if wanted(label)]
        order = torch.randperm(len(names), generator=rng)[:num].tolist()
        with open_zip(self.path, LIMITS) as files:
            data = {names[i]: files.read(names[i]) for i in order}
        return Files(list(data), data.__getitem__, {})


def tasks(folder: Path, num_normal: int, num_test: int, size: int, rng: Generator) -> list[Task]:
    """All tasks; ``num_normal`` pictures to fit, ``num_test`` of each kind to tell apart.

    Raises ValueError when a file is missing.
    """
    try:
        archives = {
            name: Archive(folder / f"{name}.zip")
            for name in (TEXTURES, *(f"{kind}-{part}" for kind in (CATS, FACES, OBJECTS) for part in ("train", "test")))
        }
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{folder} must hold the zips of the tasks, with labels: {error}") from error

    def some(name: str, num: int, wanted: Label = anything) -> Files:
        return archives[name].some(wanted, num, rng)

    def pixels(files: Files) -> Tensor:
        return torch.stack([read_picture(files.read(name), size, 3, LIMITS).u8 for name in files.names])

    result = []
    for texture in (HELD_BACK[0], HELD_BACK[2]):
        own = some(TEXTURES, num_normal, partial(is_texture, texture, True))
        last = len(own.names) // 3  # one file for both: a third of its pictures to tell apart, the others to fit
        normal, inside = own._replace(names=own.names[last:]), own._replace(names=own.names[:last])
        others = some(TEXTURES, num_test, partial(is_texture, texture, False))
        title = f"texture {texture}, other textures"
        result.append(Task(f"texture-{texture}", title, normal, pixels(inside), pixels(others)))
    cats, faces = pixels(some(f"{CATS}-test", num_test)), pixels(some(f"{FACES}-test", num_test))
    result.append(Task("cats", "cats, faces", some(f"{CATS}-train", num_normal), cats, faces))
    result.append(Task("faces-cats", "faces, cats", some(f"{FACES}-train", num_normal), faces, cats))
    mixed = torch.cat([pixels(some(TEXTURES, num_test // 2)), pixels(some(f"{OBJECTS}-test", num_test // 2))])
    result.append(Task("faces", "faces, textures and objects", some(f"{FACES}-train", num_normal), faces, mixed))
    for kind in TYPES:
        normal = some(f"{OBJECTS}-train", num_normal, partial(is_type, kind, True))
        inside, others = (some(f"{OBJECTS}-test", num_test, partial(is_type, kind, own)) for own in (True, False))
        result.append(Task(kind, f"{kind}s, other objects", normal, pixels(inside), pixels(others)))
    whole = some(f"{OBJECTS}-test", 2 * num_test)
    half = len(whole.names) // 2
    inside, others = whole._replace(names=whole.names[:half]), whole._replace(names=whole.names[half:])
    normal = some(f"{OBJECTS}-train", num_normal)
    result.append(Task("defects", "objects, painted defects", normal, pixels(inside), pixels(_painted(others, rng))))
    return result


def anything(label: Any) -> bool:
    """Any label."""
    return True


def is_texture(texture: int, own: bool, label: Any) -> bool:
    """Whether a label is that texture, or (not ``own``) another one that no setting was chosen on."""
    return bool(label in HELD_BACK and (label == texture) == own)


def is_type(kind: str, own: bool, label: Any) -> bool:
    """Whether a label is of that type of object, or (not ``own``) of another."""
    return bool((label["type"] == kind) == own)


def _painted(files: Files, rng: Generator) -> Files:
    """The same pictures with a defect in each, painted at their own size."""
    data = {}
    for name in files.names:
        u8 = read_picture(files.read(name), 64, 3, LIMITS).u8
        data[name] = images.encode(images.to_pil(paint_defect(u8, rng)), "PNG")
    return Files(list(data), data.__getitem__, {})


def paint_defect(u8: Tensor, rng: Generator) -> Tensor:
    """A picture uint8 ``(3, S, S)`` with a spot or a scratch of a random colour near its middle, 1 to 3 % of it."""
    size = u8.shape[-1]
    draw = torch.rand(9, generator=rng).tolist()
    y, x = torch.meshgrid(torch.arange(size).float(), torch.arange(size).float(), indexing="ij")
    y, x = y - (0.3 + 0.4 * draw[0]) * size, x - (0.3 + 0.4 * draw[1]) * size
    if draw[2] < 0.5:
        radii = (0.04 + 0.04 * draw[3]) * size, (0.04 + 0.04 * draw[4]) * size
        where = (y / radii[0]).square() + (x / radii[1]).square() < 1
    else:
        angle = torch.tensor(torch.pi * draw[3])
        along, across = x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
        where = (along.abs() < (0.08 + 0.08 * draw[4]) * size) & (across.abs() < 0.015 * size)
    colour = 255 * torch.tensor(draw[5:8])[:, None]
    painted = u8.clone()
    painted[:, where] = (0.2 * u8[:, where].float() + 0.8 * colour).to(torch.uint8)
    return painted
