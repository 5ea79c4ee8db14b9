"""Which numbers the joint score should be of, chosen on pictures spoiled on purpose."""

import json

import pytest
import torch

from ebm_core.checkpoint import ModelInfo, save_model
from ebm_core.ood import Measured
from ebm_core.sampling import SamplePlan
from tests.conftest import TINY
from tests.train.conftest import write_zip
from train.__main__ import main
from train.evaluate import joint


@pytest.fixture(autouse=True)
def three_depths(monkeypatch):
    monkeypatch.setattr(joint, "DEPTHS", (2, 2, 2))


def measured(num, rng, *, features=0.0, energy=0.0):
    """Numbers that vary by themselves; those of the last depth, or the energies, moved."""
    seen = torch.randn(num, 6, generator=rng) + features * torch.eye(6)[5]
    energies = torch.randn(num, generator=rng) + energy
    slopes = torch.rand(num, 4, 3, generator=rng) + torch.tensor([1.0, 4.0, -1.0])
    grad_norm = torch.rand(num, generator=rng) + 0.5
    return Measured(energies, energies[:, None], grad_norm, torch.zeros(num, 0, 1), energies.abs(), slopes, seen)


@pytest.mark.parametrize(
    ("moved", "seen", "unseen"),
    [({"features": 6.0}, "head", "middle"), ({"energy": 6.0}, "energy and slope, no features", "all depths")],
)
def test_numbers_tell_only_what_changes_them(rng, moved, seen, unseen):
    sets = {"kept": measured(100, rng), "moved": measured(100, rng, **moved)}
    rows = {row["numbers"]: row["aurocs"]["moved"] for row in joint.compare(measured(400, rng), sets)}
    assert rows[seen] > 0.9
    assert rows[unseen] < 0.65
    assert len(rows) == 4 * len(joint.FEATURES) - 1


def test_the_best_mean_comes_first(rng):
    sets = {"kept": measured(50, rng), "moved": measured(50, rng, features=3.0)}
    means = [row["mean"] for row in joint.compare(measured(400, rng), sets)]
    assert means == sorted(means, reverse=True)


def test_spoiled_pictures_keep_shape_and_what_they_are_made_of(rng):
    u8 = torch.randint(256, (3, 3, 8, 8), generator=rng, dtype=torch.uint8)
    for spoil in joint.WAYS.values():
        result = spoil(u8, rng)
        assert (result.shape, result.dtype) == (u8.shape, torch.uint8)
        assert not torch.equal(result, u8)
    moved = joint.quarters(u8, rng)
    assert torch.equal(moved.flatten(2).sort().values, u8.flatten(2).sort().values)
    assert not any(torch.equal(moved[..., y, x], u8[..., y, x]) for y in (0, 4) for x in (0, 4))
    assert torch.equal(joint.halves(u8, rng)[1], torch.cat([u8[1, ..., :4], u8[0, ..., 4:]], dim=-1))
    assert torch.equal(joint.pasted(u8, rng)[1, :, 2:6, 2:6], u8[0, :, 2:6, 2:6])
    assert joint.coarse(u8, rng)[0, 0, :4, :4].unique().numel() == 1


@pytest.fixture
def model(tiny_net, tmp_path):
    path = tmp_path / "tiny" / "model.safetensors"
    path.parent.mkdir()
    save_model(path, tiny_net.state_dict(), ModelInfo(TINY, SamplePlan()))
    return path


def test_the_command_writes_what_is_best(model, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(joint, "DEPTHS", (1, 1, 1))
    monkeypatch.setattr(joint, "LEAST", 8)
    data = write_zip(tmp_path / "held-out.zip", [0] * 60)
    command = ["evaluate", "joint", str(model), "--data", str(data), "--out", str(tmp_path / "out")]
    assert main([*command, "--first", "50"]) == 0
    result = json.loads((tmp_path / "out" / "joint.json").read_text())
    assert (result["num"], result["compared_with"]) == (5, 40)
    assert result["choices"][0]["numbers"] in capsys.readouterr().out
    assert str(tmp_path) not in (tmp_path / "out" / "README.md").read_text()


def test_too_few_pictures_are_refused(model, tmp_path, capsys):
    data = write_zip(tmp_path / "few.zip", [0] * 9)
    assert main(["evaluate", "joint", str(model), "--data", str(data), "--out", str(tmp_path / "out")]) == 2
    assert "has 9 pictures; this needs 1000 or more" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
