"""Rendered objects: labels, the zip, and two real pictures where Blender's module is installed."""

import argparse
import importlib.util
import json
import math
import sys
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from train.data import DataConfig, load
from train.objects import render
from train.objects.blender import OBJECT_TYPES, ObjectRenderer


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def flat(label: dict[str, Any]) -> np.ndarray:
    """A stand-in for the renderer: one colour that depends on the label."""
    return np.full((16, 16, 3), [round(label["hue"] * 200), OBJECT_TYPES.index(label["type"]) * 50, 100], np.uint8)


def test_labels_are_in_range_and_cover_it() -> None:
    labels = render.draw_labels(4000, rng())
    assert list(labels[0]) == ["type", "size", "x", "y", "theta", "hue"]
    assert all(800 < count < 1200 for count in Counter(label["type"] for label in labels).values())
    assert {label["type"] for label in labels} == set(OBJECT_TYPES)
    for name, (low, high) in {
        "size": (0.45, 1.15),
        "x": (-1.5, 1.5),
        "y": (-0.8, 0.8),
        "theta": (0, 2 * math.pi),
        "hue": (0, 1),
    }.items():
        values = np.array([label[name] for label in labels])
        assert values.min() >= low
        assert values.max() <= high
        # A uniform law: mean and standard deviation, to five standard errors.
        width = high - low
        assert abs(values.mean() - (low + high) / 2) < 5 * width / math.sqrt(12 * len(values))
        assert abs(values.std() - width / math.sqrt(12)) < 0.02 * width
        assert all(round(v, 4) == v for v in values)


def test_labels_follow_the_seed_and_not_their_number() -> None:
    assert render.draw_labels(3, rng()) == render.draw_labels(5, rng())[:3]
    assert render.draw_labels(3, rng()) != render.draw_labels(3, rng(1))
    json.dumps(render.draw_labels(1, rng()))


def test_zip_is_of_the_convention_and_can_be_loaded(tmp_path: Path) -> None:
    labels = render.draw_labels(1002, rng())
    out = tmp_path / "new" / "objects.zip"
    render.write_zip(out, labels, flat, "objects64")
    with zipfile.ZipFile(out) as archive:
        names = archive.namelist()
        assert all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
        description = json.loads(archive.read("dataset.json"))
    assert names[0] == "00000/img00000000.webp"
    assert names[-3:] == ["00001/img00001000.webp", "00001/img00001001.webp", "dataset.json"]
    assert description == {"name": "objects64", "labels": [[n, label] for n, label in zip(names, labels)]}
    data = load(DataConfig(path=str(out)), 16)
    assert data.labels == labels
    for image, label in zip(data.images[:20].float(), labels):
        assert abs(image.mean((1, 2)).numpy() - flat(label)[0, 0]).max() < 6  # lossy, but near


def test_same_seed_same_file(tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        render.write_zip(tmp_path / name, render.draw_labels(3, rng()), flat, "objects64")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_an_interrupted_zip_leaves_nothing(tmp_path: Path) -> None:
    def interrupted(label: dict[str, Any]) -> np.ndarray:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render.write_zip(tmp_path / "a.zip", render.draw_labels(3, rng()), interrupted, "objects64")
    assert not list(tmp_path.iterdir())


def test_render_refuses_what_it_cannot_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "a.zip"
    for name, value in (("num", 0), ("size", 3), ("samples", 0), ("seed", -1)):
        numbers = {"num": 1, "size": 8, "samples": 1, "seed": 0} | {name: value}
        with pytest.raises(ValueError, match=f"{name} must be a whole number .* got {value}"):
            render.render(**numbers, out=out)
    with pytest.raises(ValueError, match=r"\.zip file, got"):
        render.render(1, 8, 1, 0, tmp_path / "a.tar")
    monkeypatch.setitem(sys.modules, "bpy", None)
    with pytest.raises(ValueError, match=r"Blender's Python module.*pip install --no-deps bpy==5\.0\.1"):
        render.render(1, 8, 1, 0, out)
    out.touch()
    with pytest.raises(ValueError, match="exists already"):
        render.render(1, 8, 1, 0, out)
    with pytest.raises(ValueError, match="could not write"):
        render.write_zip(out / "b.zip", [], flat, "objects64")


def test_command_line_reaches_the_renderer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def stub(size: int, samples: int) -> Any:
        asked.append((size, samples))
        return flat

    monkeypatch.setattr(render, "ObjectRenderer", stub)
    parser = argparse.ArgumentParser()
    render.add_arguments(parser)
    out = tmp_path / "a.zip"
    render.run(parser.parse_args(["--num", "3", "--size", "64", "--samples", "7", "--seed", "5", "--out", str(out)]))
    assert asked == [(64, 7)]
    assert load(DataConfig(path=str(out)), 16).labels == render.draw_labels(3, rng(5))


@pytest.mark.skipif(importlib.util.find_spec("bpy") is None, reason="Blender's Python module (bpy) is not installed")
def test_blender_draws_the_label() -> None:
    draw = ObjectRenderer(16, 4)
    red = {"type": "cube", "size": 1.15, "x": 0.0, "y": 0.0, "theta": 0.3, "hue": 0.0}
    first, green = draw(red), draw(red | {"type": "sphere", "hue": 1 / 3})
    assert first.shape == (16, 16, 3)
    assert first.dtype == np.uint8
    for pixels, strongest in ((first, 0), (green, 1)):
        middle = pixels[5:9, 6:10].reshape(-1, 3).mean(0)
        assert middle.argmax() == strongest
        assert middle.max() > middle.min() + 60
    assert np.array_equal(draw(red), first)
