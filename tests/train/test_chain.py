"""Long chains: what is looked at, and when."""

import json
from dataclasses import replace

import pytest
import torch

from ebm_core.checkpoint import ModelInfo, save_model
from ebm_core.langevin import LangevinConfig
from ebm_core.transitions import TransitionConfig
from tests.conftest import PIXELS, TINY, Quadratic
from tests.train.conftest import CONFIG, Pixels, write_zip
from train.__main__ import main
from train.evaluate import chain
from train.evaluate.chain import endless, markdown, marks, walk


def test_marks_are_even_in_their_logarithm_and_have_the_last_step():
    assert marks(10_000) == [10, 30, 100, 300, 1000, 3000, 10_000]
    assert marks(250) == [10, 30, 100, 250]
    assert marks(1) == [1]


def test_a_chain_without_noise_is_the_closed_form_of_its_quadratic_energy():
    """``x <- x - s (x - m)`` leaves ``m + (1 - s)^n (x_0 - m)`` after n steps, to a level of a byte."""
    energy = Quadratic(centre=0.25)
    plan = replace(CONFIG.plan, langevin=LangevinConfig(steps=1, step_size=0.1, noise_std=0.0))
    states = walk(energy, endless(plan, 30, 0), PIXELS, 2, 5)
    start = PIXELS.noise(2, torch.Generator().manual_seed(5))
    assert list(states) == [10, 30]
    for step, (pictures, energies) in states.items():
        x = 0.25 + 0.9**step * (start - 0.25)
        assert ((pictures.float() + 0.5) / 256 - x).abs().max() <= 0.51 / 256
        torch.testing.assert_close(energies, energy(x), rtol=1e-4, atol=1e-6)


def test_jolts_come_between_rounds_and_chains_stay_as_long():
    bright = TransitionConfig(crop_min_scale=1, flip_prob=0, jitter_prob=1, grayscale_prob=0, blur_prob=0)
    plan = replace(CONFIG.plan, langevin=LangevinConfig(step_size=1e-9, noise_std=0.0), transition=bright)
    energy = Quadratic(centre=0.25)
    plain, jolted = (walk(energy, endless(plan, 30, steps), PIXELS, 2, 5) for steps in (0, 15))
    assert list(plain) == list(jolted) == [10, 30]
    assert torch.equal(plain[10][0], jolted[10][0])  # the first round starts from the noise as it is
    assert not torch.equal(plain[30][0], jolted[30][0])
    before = walk(energy, endless(plan, 100, 10), PIXELS, 2, 5)
    assert torch.equal(before[10][0], plain[10][0])  # and is looked at before the jolt that ends it


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
    options += ["--round-steps", "15"]
    assert main(["evaluate", "chain", *models, *options, "--allow-dirty"]) == 0
    report = json.loads((out / "chain.json").read_text())
    assert [mark["step"] for mark in report["models"]["one"]["marks"]] == [10, 30]
    assert report["models"]["one"] == report["models"]["two"]  # the same weights, the same seed
    page = (out / "README.md").read_text()
    assert page == markdown(report)
    assert "| two | 30 |" in page
    assert "*training pictures*" in page
    assert "jolt after every 15" in page
    assert "--round-steps 15" in page
    assert str(tmp_path) not in page
    assert (out / "chain.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in out.glob("*.webp")} == {"one.webp", "two.webp"}


def test_a_walk_may_have_other_steps_at_the_models_temperature(models, tmp_path, monkeypatch):
    monkeypatch.setattr("train.evaluate.features.EfficientNetFeatures", Pixels)
    walked = []
    monkeypatch.setattr(chain, "walk", lambda energy, plan, *rest: walked.append(plan) or walk(energy, plan, *rest))
    pictures = str(write_zip(tmp_path / "some.zip", [0] * 12))
    command = ["evaluate", "chain", models[0], "--train", pictures, "--test", pictures, "--steps", "3", "--num", "2"]
    for out, more in (("own", []), ("other", ["--step-size", "7"])):
        assert main([*command, "--out", str(tmp_path / out), "--allow-dirty", *more]) == 0
    own, other = (plan.langevin for plan in walked)
    assert (own, other.step_size) == (replace(CONFIG.plan.langevin, steps=own.steps), 7.0)
    assert other.temperature == pytest.approx(own.temperature)
    page = (tmp_path / "other" / "README.md").read_text()
    assert "at a step size of 7 and" in page
    assert "--step-size 7" in page


def test_the_same_model_twice_is_a_sentence(models, tmp_path, capsys):
    pictures = str(write_zip(tmp_path / "some.zip", [0] * 3))
    options = ["--train", pictures, "--test", pictures, "--out", str(tmp_path / "out"), "--allow-dirty"]
    assert main(["evaluate", "chain", models[0], models[0], *options]) == 2
    assert "different names" in capsys.readouterr().err


def test_rounds_that_do_not_fill_the_walk_are_a_sentence(models, tmp_path, capsys):
    pictures = str(write_zip(tmp_path / "some.zip", [0] * 3))
    options = ["--train", pictures, "--test", pictures, "--out", str(tmp_path / "out"), "--allow-dirty"]
    assert main(["evaluate", "chain", models[0], "--steps", "30", "--round-steps", "20", *options]) == 2
    assert "multiple" in capsys.readouterr().err
