"""Trials of equal time and the choice of a plan, on tiny networks and two-pixel features."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ebm_core.attribute import Attribute
from ebm_core.checkpoint import ModelInfo, load_model, read_info, save_model
from ebm_core.langevin import LangevinConfig
from ebm_core.nets import EnergyNetwork
from ebm_core.sampling import SamplePlan
from tests.conftest import PIXELS, TINY
from tests.train.conftest import CONFIG, Pixels, write_zip
from train import trials, tune
from train.__main__ import main
from train.evaluate import held_out
from train.evaluate.features import FrechetDistance
from train.evaluate.held_out import held_out_loss
from train.evaluate.samples import draw_samples, draw_walks
from train.step import StepOutput

PLAN = SamplePlan(1, 2, True, LangevinConfig(steps=2, step_size=5.0, noise_std=0.005))


@pytest.fixture(autouse=True)
def pixels(monkeypatch):
    monkeypatch.setattr("train.evaluate.features.EfficientNetFeatures", Pixels)


@pytest.fixture
def pictures(tmp_path):
    return str(write_zip(tmp_path / "pictures.zip", [0] * 60))


def test_the_held_out_loss_is_the_same_each_time_and_blind_to_how_times_are_drawn(data, tiny_net):
    loss = held_out_loss(tiny_net, CONFIG, data, PIXELS)
    near = replace(CONFIG, matching=replace(CONFIG.matching, t_mean=1.0, t_std=0.5))
    assert held_out_loss(tiny_net, near, data, PIXELS) == loss
    with torch.no_grad():
        tiny_net.scales[0].head.weight.mul_(50)
    assert held_out_loss(tiny_net, CONFIG, data, PIXELS) != loss


def test_each_held_out_picture_counts_alike(tiny_net, monkeypatch):
    def step(net, batch, *_):
        return StepOutput({}, {"matching": batch.x.mean()})

    monkeypatch.setattr(held_out, "matching_step", step)
    pictures = torch.zeros(65, 3, 8, 8, dtype=torch.uint8)
    pictures[64] = 255
    assert held_out_loss(tiny_net, CONFIG, pictures, PIXELS) == pytest.approx((64 * 0.5 + 255.5) / 256 / 65, rel=0.02)
    assert held_out_loss(tiny_net, CONFIG, pictures, PIXELS, num=64) == pytest.approx(0.5 / 256, rel=0.02)


def test_a_trial_takes_its_time_and_reports_it(data, monkeypatch):
    clock = iter(range(10**6))  # each look is a second later, so that a step takes one second
    monkeypatch.setattr(trials.time, "process_time", lambda: next(clock))
    row = trials.trial(replace(CONFIG, ema_widths=(0.1,)), data, data, 12.0, 4, "cpu")
    assert row["iterations"] == row["core_seconds"] == 12
    assert [point["core_seconds"] for point in row["curve"]] == [2, 4, 8]
    assert row["averages"].keys() == {"0.5", "0.1"}
    assert row["best"] in row["averages"]
    assert row["distance"] >= 0
    text = trials.report([row | {"name": "tiny", "provenance": {"commit": "abc", "machine": "one", "date": "today"}}])
    assert "| tiny |  | 0.01 | 4 | 12 | 4.0 |" in text
    assert "abc, one, today" in text


def test_trials_are_made_once(tmp_path, monkeypatch, pictures, capsys):
    row = {
        "iterations": 1,
        "held_out": 1.0,
        "averages": {"0.5": 1.0},
        "best": "0.5",
        "distance": None,
        "num": 0,
        "core_seconds": 60,
        "seed": 0,
        "parameters": 5,
        "batch_size": 4,
        "pictures_per_core_second": 1.0,
        "curve": [],
        "scales": {"grad_share_scale0": 1.0},
    }
    names = []
    monkeypatch.setattr(trials, "trial", lambda config, *_: names.append(config.net.width) or row)
    (tmp_path / "wide.toml").write_text("# It is wide.\n[data]\n[net]\nimage_size = 8\nwidth = 16\nlayouts = ['1']\n")
    data = ["--data", pictures, "--val", pictures]
    command = ["trials", str(tmp_path / "wide.toml"), *data, "--out", str(tmp_path / "o")]
    assert main(command) == main(command) == 0
    assert names == [16]
    assert json.loads((tmp_path / "o" / "wide.json").read_text())["name"] == "wide"
    assert "| wide | It is wide. |" in (tmp_path / "o" / "README.md").read_text()
    assert main([*command, "--core-minutes", "nan"]) == 2


@pytest.mark.parametrize("command", ["fit", "codec", "trials"])
def test_a_name_of_data_is_taken_letter_by_letter(command, tmp_path, capsys):
    config, name = tmp_path / "c.toml", f'{tmp_path}/n\\u "\N{CAT FACE}\x7f.zip'
    config.write_text("[data]\n" + ("[codec]\n" if command == "codec" else "[net]\n"))
    more = ["--val", "v.zip"] if command == "trials" else []
    asked = [command, str(config), "--data", name, *more, "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main(asked) == 2
    assert capsys.readouterr().err.startswith(f"error: {name}")


def test_walks_pass_through_the_pictures_that_shorter_plans_end_at(tiny_net):
    plan = replace(PLAN, rounds=0, refinement_steps=4)
    walks = draw_walks(tiny_net, plan, 3, 0, space=PIXELS, at=(2, 4), batch=2)
    for steps, walk in walks.items():
        samples, _ = draw_samples(tiny_net, replace(plan, refinement_steps=steps), 3, 0, space=PIXELS, batch=2)
        assert torch.equal(walk, samples)


@pytest.fixture
def model(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "tiny" / "model.safetensors"
    save_model(path, EnergyNetwork(TINY).state_dict(), ModelInfo(TINY, PLAN, {"note": "kept"}, family="tiny"))
    return path


def test_the_best_plan_is_kept_in_the_model(model, pictures, monkeypatch, capsys):
    distances = {4: 3.0, 45: 1.0, 50: 2.0}

    def compare(net, plan, images, steps, candidates, **options):
        assert candidates == 1
        plans = {plan.num_steps: plan} | {length: tune.straight(plan, length) for length in steps}
        return [{"name": f"{n} steps", "steps": n, "distance": distances[n], "plan": p} for n, p in plans.items()]

    weights = load_model(model)[0].state_dict()
    monkeypatch.setattr(tune, "compare", compare)
    assert main(["tune", str(model), "--data", pictures, "--steps", "45", "50"]) == 0
    info = read_info(model)
    assert info.plan == replace(PLAN, move_noise=False, refinement_steps=40, langevin=replace(PLAN.langevin, steps=5))
    assert info.plan.num_steps == 45
    assert info.provenance["note"] == "kept"
    assert info.provenance["tuning"]["chosen"] == "45 steps"
    assert [row["distance"] for row in info.provenance["tuning"]["plans"]] == [3.0, 1.0, 2.0]
    assert info.provenance["tuning"]["file"] == "pictures.zip"
    assert all(torch.equal(value, weights[name]) for name, value in load_model(model)[0].state_dict().items())


def test_plans_are_compared_by_their_distance(tiny_net, data):
    settings = {"space": PIXELS, "num": 4, "seed": 0, "device": "cpu"}
    rows = tune.compare(tiny_net, PLAN, data, [41, 42], 1, **settings)
    assert [row["steps"] for row in rows] == [4, 41, 42]
    assert all(row["distance"] >= 0 for row in rows)
    assert tune.compare(tiny_net, PLAN, data, [], 1, **settings) == rows[:1]
    more = tune.compare(tiny_net, replace(PLAN, candidates=3), data, [41, 42], 2, **settings)
    assert more[:3] == rows, "lengths are compared without candidates"
    best = min(rows, key=lambda row: row["distance"])
    assert more[3]["plan"] == replace(best["plan"], candidates=2)
    assert more[3]["name"] == f"{best['name']}, the best of 2"
    assert more[3]["distance"] != best["distance"]


def test_candidates_are_kept_whatever_their_distance(model, pictures):
    assert main(["tune", str(model), "--data", pictures, "--steps", "41", "--candidates", "2", "--num", "4"]) == 0
    info = read_info(model)
    assert info.plan.candidates == 2
    tuning = info.provenance["tuning"]
    assert tuning["chosen"] == tuning["plans"][-1]["name"]
    assert "--candidates 2" in tuning["command"]


def test_steps_may_go_farther_at_the_same_temperature(tiny_net, data):
    settings = {"space": PIXELS, "num": 4, "seed": 0, "device": "cpu"}
    own, farther = (tune.straight(PLAN, 80, stride) for stride in (1, 4))
    assert (own.num_steps, own.refinement_steps, own.langevin.step_size) == (80, 40, PLAN.langevin.step_size)
    assert (farther.num_steps, farther.refinement_steps) == (20, 10)
    assert farther.langevin.step_size == 4 * PLAN.langevin.step_size
    assert farther.langevin.temperature == pytest.approx(PLAN.langevin.temperature)
    rows = tune.compare(tiny_net, PLAN, data, [80, 120], 1, strides=[4, 1, 4], **settings)
    assert [row["steps"] for row in rows] == [4, 80, 120, 20, 30]
    assert rows[:3] == tune.compare(tiny_net, PLAN, data, [80, 120], 1, **settings)
    assert rows[3]["plan"] == farther
    assert rows[3]["name"] == "no jolts, 4 times as far, 20 steps"
    samples, _ = draw_samples(tiny_net, farther, 4, 0, space=PIXELS)
    assert rows[3]["distance"] == round(float(FrechetDistance(data)(samples)), 2)


def test_attribute_models_walk_with_what_their_family_is_tuned_to(model, pictures, tmp_path, capsys):
    def saved(name, family):
        attribute = Attribute("bright", "binary", ("Bright",), ("dark", "bright"))
        net = replace(TINY, label_dim=attribute.label_dim)
        weights, path = EnergyNetwork(net).state_dict(), tmp_path / name / "model.safetensors"
        save_model(path, weights, ModelInfo(net, PLAN, {"note": name}, family=family, attribute=attribute))
        return str(path)

    bright, foreign = saved("bright", "tiny"), saved("foreign", "other")
    command = ["tune", str(model), "--data", pictures, "--steps", "80", "--strides", "2", "--num", "4", "--also"]
    assert main([*command, foreign]) == 2
    assert "is no attribute model of the family" in capsys.readouterr().err
    assert main([*command, str(model)]) == 2
    assert main([*command, bright]) == 0
    infos = [read_info(path) for path in (model, Path(bright))]
    assert infos[0].plan == infos[1].plan
    assert infos[1].provenance["note"] == "bright"
    assert infos[1].provenance["tuning"] == infos[0].provenance["tuning"]


def test_what_cannot_be_tuned_is_refused(model, tmp_path, pictures, capsys):
    few = str(write_zip(tmp_path / "few.zip", [0] * 5))
    before = model.read_bytes()
    assert main(["tune", str(model), "--data", few]) == 2
    assert "has 5 pictures; a plan is chosen on 50 or more" in capsys.readouterr().err
    assert main(["tune", str(model), "--data", pictures, "--steps", "40"]) == 2
    assert main(["tune", str(model), "--data", str(tmp_path / "none.zip")]) == 2
    assert model.read_bytes() == before
