"""The Python of docs/programs.md runs, here on tiny models."""

from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image

from ebm_core import api, hub
from ebm_core.attribute import Attribute
from ebm_core.composition import Composition, Term
from ebm_core.recipe import to_png
from ebm_core.restore import recipe_of
from tests.app.conftest import save_attribute, save_calibrated
from tests.latents import save_latent, save_random_codec

PROGRAMS = (Path(__file__).parents[2] / "docs" / "programs.md").read_text()
THREE_LINES, SAMPLE, AGAIN, _ = (part.partition("```")[0] for part in PROGRAMS.split("```python\n")[1:])


@pytest.fixture
def weights(tmp_path, monkeypatch):
    save_latent(tmp_path / "objects", save_random_codec(tmp_path / "tiny-codec"))
    monkeypatch.setattr(hub, "WEIGHTS", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_model_samples(weights, monkeypatch, capsys):
    find = hub.find_model
    monkeypatch.setattr(hub, "find_model", lambda name: find(name, weights))
    names = {}
    exec(SAMPLE, names)
    assert len(capsys.readouterr().out.splitlines()) == names["info"].plan.num_steps + 1
    assert names["pictures"].shape == (4, 3, 16, 16)


def test_three_lines_are_enough(tmp_path, monkeypatch):
    attributes = {"smiling": ("not smiling", "smiling"), "young": ("old", "young")}
    save_calibrated(tmp_path, "cats128")
    for seed, (name, values) in enumerate(attributes.items()):
        save_attribute(tmp_path, f"faces128-{name}", Attribute(name, "binary", (name,), values), "faces128", seed=seed)
    for function in ("compose", "pull_back", "sample", "score"):
        monkeypatch.setattr(api, function, partial(getattr(api, function), weights=tmp_path, device="cpu"))
    names = {}
    exec(THREE_LINES, names)
    assert len(names["cats"].pictures) == len(names["faces"].pictures) == 4
    assert names["nearer"].recipe.plan.num_steps == 100


def test_a_picture_is_made_again(weights):
    recipe = recipe_of(Composition(Term("objects")), weights, "cpu", num=2)
    (weights / "picture.png").write_bytes(to_png(Image.new("RGB", (2, 2)), recipe))
    names = {}
    exec(AGAIN, names)
    assert names["notes"] == []
    assert torch.isfinite(names["state"].energy).all()
