"""The frame around experiments: nothing is done twice, the clock stops it, and what lacks is named."""

import json
import re
import time

import pytest
import torch

from tests.latents import save_latent, save_random_codec
from train.__main__ import main
from train.reproduce import training
from train.reproduce.command import with_seed
from train.reproduce.experiment import Size
from train.reproduce.lab import Lab, NotRun, OutOfTime
from train.reproduce.registry import EXPERIMENTS
from train.reproduce.report import finite, table_of
from train.reproduce.verdicts import verdict
from train.run import load_config
from train.trainer import Trainer


def report_of(tmp_path, name):
    return json.loads((tmp_path / "reports" / name / "report.json").read_text())


def test_an_unknown_name_is_refused_with_the_nearest_one(reproduce, capsys):
    assert reproduce("stabilty") == 2
    told = capsys.readouterr().err
    assert "there is no experiment 'stabilty', did you mean 'stability'?" in told
    assert all(name in told for name in EXPERIMENTS)


def test_an_unknown_setting_is_refused_with_the_nearest_one(reproduce, capsys):
    assert reproduce("gradients", "--set", "config.icd.stps=3") == 2
    assert "did you mean 'config.icd.steps'?" in capsys.readouterr().err


def test_absent_data_are_a_sentence_and_a_report_that_says_so(reproduce, data, tmp_path, capsys):
    assert reproduce("gradients", data=None) == 2
    reason = "it needs celeba128-train.zip; give the folder with --data"
    assert capsys.readouterr().err.strip() == f"error: not run: {reason}"
    assert report_of(tmp_path, "gradients")["not_run"] == reason
    assert f"not run: {reason}" in (tmp_path / "reports" / "gradients" / "README.md").read_text()

    (data / "celeba128-train.zip").unlink()
    assert reproduce("gradients") == 2
    assert f"not run: celeba128-train.zip is not in {data}" in capsys.readouterr().err


def test_absent_weights_are_a_sentence(reproduce, tmp_path, capsys):
    assert reproduce("mixing", weights=tmp_path / "nothing") == 2
    assert "error: not run: objects: not run: no model 'objects' is in the folder" in capsys.readouterr().err


def test_a_report_with_figures_outlives_a_call_without_data(reproduce, tmp_path):
    assert reproduce("gradients") == 0
    before = report_of(tmp_path, "gradients")
    # Other settings, so that the run is not there already.
    assert reproduce("gradients", "--set", "config.seed=1", data=None) == 2
    assert report_of(tmp_path, "gradients") == before


def test_a_second_call_does_nothing_twice(reproduce, tmp_path, monkeypatch):
    assert reproduce("table2") == 0
    before = report_of(tmp_path, "table2")

    def refuse(*arguments, **options):
        raise AssertionError("this was done already")

    for place in ("train.reproduce.training.fit", "train.reproduce.judging.draw_samples", "train.reproduce.lab.load"):
        monkeypatch.setattr(place, refuse)
    assert reproduce("table2") == 0
    assert report_of(tmp_path, "table2") == before


def test_other_settings_are_another_run(reproduce, tmp_path):
    assert reproduce("gradients") == 0
    before = report_of(tmp_path, "gradients")
    assert reproduce("gradients", "--set", "config.seed=1") == 0
    after = report_of(tmp_path, "gradients")
    assert after["curves"] != before["curves"]
    assert (before["seed"], after["seed"]) == (0, 1)
    assert "--set config.seed=1" in after["command"]


def test_three_seeds_are_three_runs_and_one_verdict(reproduce, tmp_path):
    assert reproduce("gradients", "--set", "config.seed=5", "--seeds", "3") == 0
    report = report_of(tmp_path, "gradients")
    assert report["seeds"] == [5, 6, 7]
    assert list(report["pieces"]) == [f"seed {seed}: full ICD" for seed in (5, 6, 7)]
    (claim,) = report["claims"]
    assert len(set(claim["margins"])) == len(claim["measured"]) == 3
    assert (claim["shown"], claim["verdict"]) == (lambda v: (v.shown, v.words))(verdict(claim["margins"]))
    one, other = (load_config(tmp_path / "reports" / "gradients" / "runs" / f"seed-{n}" / "full ICD") for n in (5, 6))
    assert (one.seed, other.seed) == (5, 6)
    assert list(report["tables_of_other_seeds"]) == ["6", "7"]
    assert reproduce("gradients", "--seeds", "0") == 2


def test_a_seed_is_that_of_all_configs_within():
    settings = with_seed(EXPERIMENTS["warmstart"].settings("small"), 9)
    assert (settings.seed, settings.scratch.seed, settings.warm.seed) == (9, 9, 9)
    assert with_seed(EXPERIMENTS["table3"].settings("small"), 9).seed == 9


def stop_the_clock_after(monkeypatch, steps):
    """Two minutes pass in the training step of that number, counted over all runs."""
    passed, made = [0.0], [0]
    real, step = time.monotonic, Trainer.step

    def slow_step(self, measure=False):
        made[0] += 1
        if made[0] == steps:
            passed[0] += 120
        return step(self, measure)

    monkeypatch.setattr(time, "monotonic", lambda: real() + passed[0])
    monkeypatch.setattr(Trainer, "step", slow_step)


@pytest.mark.parametrize("steps", [3, 6])
def test_minutes_stop_in_the_middle_and_the_same_command_goes_on(steps, reproduce, tmp_path, monkeypatch, capsys):
    whole = tmp_path / "whole"
    assert reproduce("stability", out=whole) == 0
    capsys.readouterr()
    with monkeypatch.context() as patch:
        stop_the_clock_after(patch, steps)
        assert reproduce("stability", "--minutes", "1") == 0
    assert "the 1 minutes are over; the same command goes on" in capsys.readouterr().err
    assert not (tmp_path / "reports" / "stability" / "report.json").is_file()

    made = []
    step = Trainer.step
    monkeypatch.setattr(Trainer, "step", lambda self, measure=False: made.append(1) or step(self, measure))
    assert reproduce("stability") == 0
    assert len(made) == 8 * 4 - steps, "something was done twice"
    report, uninterrupted = report_of(tmp_path, "stability"), json.loads((whole / "report.json").read_text())
    assert report["curves"] == uninterrupted["curves"]
    assert report["table"] == uninterrupted["table"]
    assert report["wall_seconds"] > 120, "the time before the interruption counts"


def test_no_time_at_all_starts_nothing(reproduce, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "fit", None)
    assert reproduce("gradients", "--minutes", "1e-9") == 0
    assert not (tmp_path / "reports").exists()


def test_a_piece_is_kept_as_it_was_until_its_settings_change(tmp_path):
    lab, calls = Lab(tmp_path), []

    def compute():
        calls.append(1)
        return {"x": torch.arange(3), "name": "a", "number": 1.5, "rows": [None, True]}

    first = lab.piece("work", [1, "b"], compute)
    again = Lab(tmp_path).piece("work", [1, "b"], compute)
    assert torch.equal(again["x"], first["x"])
    assert (again["name"], again["number"], again["rows"]) == ("a", 1.5, [None, True])
    assert len(calls) == 1
    lab.piece("work", [2, "b"], compute)
    assert len(calls) == 2
    (tmp_path / "runs" / "seed-0" / "work" / "piece.pt").write_bytes(b"half a")
    lab.piece("work", [2, "b"], compute)
    assert len(calls) == 3
    assert lab.pieces["work"].keys() == {"seconds", "commit", "machine", "date"}


def test_files_of_other_settings_are_not_taken_for_work_done_now(tmp_path):
    lab = Lab(tmp_path)

    def compute():
        folder = lab.folder("work")
        folder.mkdir(parents=True, exist_ok=True)
        found = [path.name for path in folder.iterdir() if path.name != "piece.pt"]
        (folder / "state").write_bytes(b"a run that is done")
        return found

    assert lab.piece("work", {"seed": 0}, compute) == []
    assert lab.piece("work", {"seed": 0, "a later field": 0}, compute) == []


def test_a_piece_that_fails_is_done_again(tmp_path):
    lab = Lab(tmp_path)

    def fail():
        raise OutOfTime

    with pytest.raises(OutOfTime):
        lab.piece("work", 1, fail)
    assert lab.piece("work", 1, lambda: 7) == 7
    with pytest.raises(OutOfTime):
        Lab(tmp_path, deadline=time.monotonic() - 1).piece("other", 1, lambda: 7)


def test_data_are_named_when_they_are_absent(tmp_path):
    (tmp_path / "a.zip").touch()
    lab = Lab(tmp_path, data=tmp_path)
    assert lab.data_config("a.zip").path == str(tmp_path / "a.zip")
    with pytest.raises(NotRun, match=r"b\.zip and c\.zip are not in"):
        lab.data_config("a.zip, b.zip, c.zip")


def test_the_summary_has_a_section_for_every_experiment_and_links_of_the_other_reports(reproduce, tmp_path, capsys):
    assert reproduce("gradients") == 0
    assert reproduce("modes", data=None) == 2
    reports = tmp_path / "reports"
    (reports / "ood-mine").mkdir()
    (reports / "ood-mine" / "README.md").write_text("# Of my model\n\nFigures\n")
    assert main(["reproduce", "summary", "--out", str(reports)]) == 0
    page, _, others = (reports / "README.md").read_text().partition("\n## Of models and methods\n")
    assert others == "\n- [ood-mine](ood-mine/README.md): Of my model\n"
    head, *sections = page.split("\n### ")
    assert len(sections) == len(EXPERIMENTS)
    found = {re.sub(r"\W.*", "", section.lstrip("["), flags=re.DOTALL): section for section in sections}
    claims = report_of(tmp_path, "gradients")["claims"]
    assert f"Of {len(claims)} effects 0 are shown." in head  # by one seed
    assert f"- **{claims[0]['verdict']}**: {claims[0]['effect']}. {claims[0]['measured'][0]}\n" in found["gradients"]
    assert "Not run: it needs" in found["modes"]
    assert "Not run: `python -m train reproduce table1` has not been called" in found["table1"]
    for name, experiment in EXPERIMENTS.items():
        assert experiment.paper in found[name]

    (reports / "gradients" / "report.json").write_text("{")
    assert main(["reproduce", "summary", "--out", str(reports)]) == 2
    assert "is not a report" in capsys.readouterr().err


def test_tables_and_numbers_of_reports():
    rows = [{"a": 1.23456, "b": True}, {"a": None, "c": "x"}]
    assert table_of(rows).splitlines() == [
        "| a | b | c |",
        "| --- | --- | --- |",
        "| 1.235 | yes | – |",
        "| – | – | x |",
    ]
    assert finite({"a": [float("nan"), 1.0], "b": (float("inf"),)}) == {"a": [None, 1.0], "b": [None]}
    assert set(Size.__args__) == {"small", "full"}


def test_an_experiment_of_pixels_is_not_run_with_a_model_of_latents(tmp_path):
    save_latent(tmp_path / "latent", save_random_codec(tmp_path / "tiny-codec"))
    lab = Lab(tmp_path / "out", weights=tmp_path)
    assert lab.model("latent")[1].space.is_latent
    with pytest.raises(NotRun, match=r"'latent' is an energy of the latents of .*, and this experiment walks in"):
        lab.pixel_model("latent")
