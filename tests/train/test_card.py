"""Model cards: sheets of every kind of label, and figures taken from reports, not written by hand."""

import json
import math
import re
from dataclasses import replace

import pytest
import torch

from ebm_core.checkpoint import load_model, save_model
from ebm_core.compose import conditioned
from ebm_core.precision import for_sampling
from ebm_core.recipe import fingerprint
from ebm_core.sampling import sample
from tests.app.conftest import ATTRIBUTES, PLAN, save_tiny_family
from tests.conftest import PIXELS
from train.__main__ import main
from train.card import describe_plan, draw_sheet

COMPOSE = {
    "rows": [
        {"asked": "nothing", "num": 4},
        {
            "asked": "bright alone",
            "num": 4,
            "read": {"bright": 0.875},
            "read_where_nothing_is_asked": {"bright": 0.5},
            "read_in_real_pictures": {"bright": 0.96},
        },
    ],
    "choices": ["bright"],
    "read_on": {"kind": "test", "file": "t.zip"},
    "provenance": {"command": "c"},
}

FRECHET = {
    "features": "tiny-net",
    "distance": 12.34,
    "floor_train_against_test": 1.0,
    "num_samples": 10,
    "ceiling_noise_against_test": 99.0,
    "num_test": 10,
    "read_on": {"kind": "validation", "file": "v.zip"},
    "nearest_training_image_mse": {"samples_median": 0.01, "test_median": 0.02},
}

OOD = {
    "fingerprint": "f",
    "scores": ["energy"],
    "in_distribution": {"title": "Home"},
    "command": "c",
    "seed": 0,
    "machine": "m",
    "commit": "c",
    "objective": "",
    "date": "d",
    "sets": [
        {"title": "Away", "paper_auroc": 0.91, "detection": {"energy": {"auroc": 0.754}}},
        {"title": "Absent", "paper_auroc": None, "not_run": "no file"},
    ],
}


def test_sheets_have_a_row_for_each_value():
    assert ATTRIBUTES["bright"].sheet == ["dark", "bright"]
    assert ATTRIBUTES["kind"].sheet == ["dot", "bar", "ring"]
    assert len(ATTRIBUTES["turn"].sheet) == 8
    assert max(ATTRIBUTES["turn"].sheet) < 2 * math.pi
    places = ATTRIBUTES["place"].sheet
    assert len(places) == 6
    assert places[0] == pytest.approx([-0.8, 2.0])
    assert places[5] == pytest.approx([0.0, 3.6])


def test_a_sheet_is_what_the_model_samples_from_seed_0(tmp_path):
    save_tiny_family(tmp_path)
    net, info = load_model(tmp_path / "tiny-kind" / "model.safetensors")
    x, words = draw_sheet(net, info, PIXELS, "cpu")
    assert words == ["dot", "bar", "ring"]
    rng = torch.Generator().manual_seed(0)
    for state in sample(conditioned(for_sampling(net), torch.eye(3)[1]), PIXELS.noise(8, rng), PLAN, rng, PIXELS):
        pass
    torch.testing.assert_close(x[8:16], state.x, atol=1e-4, rtol=0)


def test_a_card_says_how_many_candidates_a_picture_had():
    assert describe_plan(PLAN) == "10 Langevin steps"
    chosen = "10 Langevin steps; of 3 chains each the one of lowest energy after 6 of them"
    assert describe_plan(replace(PLAN, candidates=3)) == chosen


def test_the_command_writes_a_card_from_reports(tmp_path, capsys):
    save_tiny_family(tmp_path)
    (tmp_path / "compose.json").write_text(json.dumps({"family": "tiny"} | COMPOSE))
    (tmp_path / "tiny-bright" / "metrics.json").write_text(json.dumps({"trained": "By hand.", "poor": "Old."}))
    code = main(
        [
            "card",
            "tiny-bright",
            "--weights",
            str(tmp_path),
            "--compose",
            str(tmp_path / "compose.json"),
            "--poor",
            "It is tiny.",
            "--device",
            "cpu",
        ]
    )
    assert code == 0, capsys.readouterr().err
    card = (tmp_path / "tiny-bright" / "README.md").read_text()
    for part in (
        "by its *bright*",
        "(*bright alone*)",
        "| **0.875** |",
        "| 0.500 |",
        "| 0.960 |",
        "By hand.",
        "It is tiny.",
        "test file `t.zip`",
        "dark; bright",
    ):
        assert part in card
    metrics = json.loads((tmp_path / "tiny-bright" / "metrics.json").read_text())
    assert metrics["figures"]["compose"]["read"] == 0.875
    assert (tmp_path / "tiny-bright" / "samples.webp").is_file()

    (tmp_path / "frechet.json").write_text(json.dumps(FRECHET))
    (tmp_path / "ood.json").write_text(
        json.dumps(OOD | {"fingerprint": fingerprint(tmp_path / "tiny" / "model.safetensors")})
    )
    code = main(
        [
            "card",
            "tiny",
            "--weights",
            str(tmp_path),
            "--frechet",
            str(tmp_path / "frechet.json"),
            "--ood",
            str(tmp_path / "ood.json"),
            "--device",
            "cpu",
        ]
    )
    assert code == 0, capsys.readouterr().err
    card = (tmp_path / "tiny" / "README.md").read_text()
    assert "| **12.3** |" in card
    assert "10 validation images" in card
    assert "Neither the model's file nor an older card says how." in card
    assert "**not** an FID" in card
    assert "tiny-net" in card
    assert "| Away | 0.75 | 0.91 |" in card
    assert "| Absent | not run |  |" in card


@pytest.mark.parametrize(
    ("model", "kind", "report", "message"),
    [
        ("tiny-bright", "compose", {"family": "other", "rows": []}, "no row asks for 'bright'"),
        ("tiny-bright", "compose", {"family": "other"} | COMPOSE, "is of the family 'other', this model of 'tiny'"),
        ("tiny-bright", "compose", {}, "is no report that a card can have figures of"),
        ("tiny-bright", "compose", [], "is no report that a card can have figures of"),
        ("tiny", "frechet", {"fingerprint": "0f"} | FRECHET, "is of another model .fingerprint 0f, this one has"),
        ("tiny", "frechet", [], "is no report"),
        ("tiny", "frechet", {"distance": 3.0}, "is no report"),
        ("tiny", "ood", OOD, "is of another model .fingerprint f, this one has"),
        ("tiny", "ood", {}, "is no report"),
        ("tiny", "ood", None, "cannot be read: No such file"),
    ],
)
def test_a_report_of_another_model_or_none_is_one_sentence(model, kind, report, message, tmp_path, capsys):
    save_tiny_family(tmp_path)
    path = tmp_path / "report.json"
    if report is not None:
        path.write_text(json.dumps(report))
    assert main(["card", model, "--weights", str(tmp_path), f"--{kind}", str(path), "--device", "cpu"]) == 2
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert len(error.splitlines()) == 1
    assert not (tmp_path / model / "samples.webp").exists()


def test_a_card_names_a_dead_scale_and_how_its_plan_was_chosen(tmp_path, capsys):
    save_tiny_family(tmp_path)
    path = tmp_path / "tiny" / "model.safetensors"
    net, info = load_model(path)
    state = net.state_dict()
    state["scales.1.head.weight"] = torch.zeros_like(state["scales.1.head.weight"])
    tuning = {
        "chosen": "no jolts, 80 steps",
        "num": 9,
        "candidates": 2,
        "file": "v.zip",
        "plans": [{"name": "no jolts, 80 steps", "distance": 12.34}],
    }
    save_model(path, state, replace(info, provenance={"tuning": tuning}))
    assert main(["card", "tiny", "--weights", str(tmp_path), "--device", "cpu"]) == 0, capsys.readouterr().err
    card = (tmp_path / "tiny" / "README.md").read_text()
    assert "The half resolution gives every picture the same energy" in card
    assert "by the Fréchet distance of 9 samples: *no jolts, 80 steps*. Candidates were asked for, whatever" in card
    assert "How far it walks was chosen on `v.zip`" in card
    assert "| no jolts, 80 steps | 12.3 |" in card
    path = tmp_path / "tiny-kind" / "model.safetensors"
    net, info = load_model(path)
    save_model(path, net.state_dict(), replace(info, provenance={"tuning": tuning}))
    assert main(["card", "tiny-kind", "--weights", str(tmp_path), "--device", "cpu"]) == 0, capsys.readouterr().err
    card = (tmp_path / "tiny-kind" / "README.md").read_text()
    assert "the same energy" not in card
    assert "It walks as its family does; how far that is was chosen on `v.zip`" in card
