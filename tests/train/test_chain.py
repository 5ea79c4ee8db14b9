"""Long chains: what is looked at, and when."""

import json

import pytest
import torch

from ebm_core.checkpoint import ModelInfo, save_model
from ebm_core.langevin import LangevinConfig
from tests.conftest import PIXELS, TINY, Quadratic
from tests.train.conftest import CONFIG, Pixels, write_zip
from train.__main__ import main
from train.evaluate.chain import markdown, marks, walk


def test_marks_are_even_in_their_logarithm_and_have_the_last_step():
    assert marks(10_000) == [10, 30, 100, 300, 1000, 3000, 10_000]
    assert marks(250) == [10, 30, 100, 250]
    assert marks(1) == [1]


def test_a_chain_without_noise_is_the_closed_form_of_its_quadratic_energy():
    """``x <- x - s (x - m)`` leaves ``m + (1 - s)^n (x_0 - m)`` after n steps, to a level of a byte."""
    energy = Quadratic(centre=0.25)
    states = walk(energy, LangevinConfig(steps=1, step_size=0.1, noise_std=0.0), PIXELS, 30, 2, 5)
    start = PIXELS.noise(2, torch.Generator().manual_seed(5))
    assert list(states) == [10, 30]
    for step, (pictures, energies) in states.items():
        x = 0.25 + 0.9**step * (start - 0.25)
        assert ((pictures.float() + 0.5) / 256 - x).abs().max() <= 0.51 / 256
        torch.testing.assert_close(energies, energy(x), rtol=1e-4, atol=1e-6)


@pytest.fixture
def models(tmp_path, tiny_net):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        save_model(tmp_path / name / "model.safetensors", tiny_net.state_dict(), ModelInfo(TINY, CONFIG.plan, {}))
    return [str(tmp_path / name / "model.safetensors") for name in ("one", "two")]


def test_the_command_draws_models_beside_each_other(models, tmp_path, monkeypatch):
    monkeypatch.setattr("train.evaluate.features.EfficientNetFeatures", Pixels)
    pictures, out = str(write_zip(tmp_path / "some.zip", [0] * 12)), tmp_path / "out"
    options = ["--train", pictures, "--test", pictures, "--steps", "30", "--num", "3", "--out", str(out)]
    assert main(["evaluate", "chain", *models, *options, "--allow-dirty"]) == 0
    report = json.loads((out / "chain.json").read_text())
    assert [mark["step"] for mark in report["models"]["one"]["marks"]] == [10, 30]
    assert report["models"]["one"] == report["models"]["two"]  # the same weights, the same seed
    page = (out / "README.md").read_text()
    assert page == markdown(report)
    assert "| two | 30 |" in page
    assert "*training pictures*" in page
    assert str(tmp_path) not in page
    assert (out / "chain.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in out.glob("*.webp")} == {"one.webp", "two.webp"}


def test_the_same_model_twice_is_a_sentence(models, tmp_path, capsys):
    pictures = str(write_zip(tmp_path / "some.zip", [0] * 3))
    options = ["--train", pictures, "--test", pictures, "--out", str(tmp_path / "out"), "--allow-dirty"]
    assert main(["evaluate", "chain", models[0], models[0], *options]) == 2
    assert "different names" in capsys.readouterr().err
