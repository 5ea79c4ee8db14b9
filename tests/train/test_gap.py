"""The plot of a run's balance."""

import json
from dataclasses import replace

import pytest

from tests.train.conftest import CONFIG
from train.__main__ import main
from train.evaluate.gap import differences, draw, icd_lines, steps
from train.loop import fit


def log(folder, iterations, gap=0.5):
    folder.mkdir()
    rows = [
        {"iteration": i, "energy_gap": gap, "spread_scale0": 3.0, "spread_scale1": 4.0, "grad_norm_cd": 2.0}
        for i in iterations
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(row | {"grad_norm_opt": 0.5}) + "\n" for row in rows))
    return folder


def test_runs_that_go_on_are_one_line(tmp_path):
    lines = icd_lines(log(tmp_path / "a", [500, 520, 540])) + icd_lines(log(tmp_path / "b", [0, 20], gap=-0.5))
    assert steps(lines) == [0, 20, 40, 41, 61]
    left, right = draw(lines, steps(lines)).axes
    assert left.lines[0].get_ydata().tolist() == [0.5] * 3 + [-0.5] * 2
    assert left.get_ylim() == (-20, 20)  # four spreads of five
    assert right.lines[0].get_ydata().tolist() == [0.25] * 5


def test_the_command_draws_a_real_run(data, tmp_path, capsys):
    fit(CONFIG, data, tmp_path / "run", resume=False, minutes=None, device="cpu")
    assert main(["evaluate", "gap", str(tmp_path / "run"), "--out", str(tmp_path / "gap.png")]) == 0
    assert (tmp_path / "gap.png").read_bytes().startswith(b"\x89PNG")
    assert "iterations, median gap" in capsys.readouterr().out


def test_another_run_is_drawn_beside_it_and_named_by_what_differs(data, tmp_path):
    for name, config in (("with", CONFIG), ("without", replace(CONFIG, icd=replace(CONFIG.icd, opt_weight=0.0)))):
        fit(config, data, tmp_path / name, resume=False, minutes=None, device="cpu")
    assert differences(tmp_path / "with", tmp_path / "without") == "without L_opt"
    lines, beside = (icd_lines(tmp_path / name) for name in ("with", "without"))
    left, _ = draw(lines, steps(lines), beside, "without L_opt").axes
    assert left.lines[2].get_label() == "gap without L_opt"
    assert len(left.lines[2].get_ydata()) == len(beside)
    both = [str(tmp_path / "with"), "--beside", str(tmp_path / "without"), "--out", str(tmp_path / "gap.png")]
    assert main(["evaluate", "gap", *both]) == 0


@pytest.mark.parametrize("text", ["", "no json", '{"iteration": 0, "matching": 1.0}\n'])
def test_a_run_without_contrastive_divergence_is_refused(tmp_path, capsys, text):
    (tmp_path / "log.jsonl").write_text(text)
    assert main(["evaluate", "gap", str(tmp_path), "--out", str(tmp_path / "gap.png")]) == 2
    error = capsys.readouterr().err
    assert "has logged fewer than two iterations" in error or "that can be read" in error
    assert not (tmp_path / "gap.png").exists()
