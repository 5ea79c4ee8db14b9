"""The parts of a model's training add up by themselves, over resumes, commits and models that runs began with."""

import json
from dataclasses import replace
from threading import Event

import pytest

from ebm_core.checkpoint import ModelInfo, read_info, save_model
from ebm_core.nets import EnergyNetwork
from tests.train.conftest import CONFIG
from train import history
from train.export import export_run
from train.history import HISTORY, Part, describe_training, objective, parts_of, pictures_seen
from train.loop import fit
from train.parallel import Processes
from train.trainer import Trainer


@pytest.fixture
def clocks(monkeypatch):
    """Every look finds two more core-hours and one more hour."""
    passed = iter(range(100))
    monkeypatch.setattr(history, "_clocks", lambda: (lambda n: (7200.0 * n, 3600.0 * n))(next(passed)))


def run(config, data, path, **options):
    return fit(config, data, path, **{"resume": False, "minutes": None, "device": "cpu"} | options)


def parts_in(path):
    return parts_of(read_info(path).provenance)


def stopped_after(monkeypatch, iterations):
    stop, step = Event(), Trainer.step

    def counted(self, measure=False):
        figures = step(self, measure)
        if self.iteration == iterations:
            stop.set()
        return figures

    monkeypatch.setattr(Trainer, "step", counted)
    return stop


def test_pictures_are_those_that_the_config_draws():
    assert [pictures_seen(CONFIG, n) for n in range(5)] == [0, 4, 8, 16, 24]  # two of four, then four and four
    unmatched = replace(CONFIG, icd=replace(CONFIG.icd, matching_weight=0.0))
    assert pictures_seen(unmatched, 4) == 16


def test_a_resumed_run_of_one_commit_is_one_part(data, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        run(CONFIG, data, tmp_path / "faces", stop=stopped_after(patch, 1))
    run(CONFIG, data, tmp_path / "faces", resume=True)
    (part,) = parts_in(export_run(tmp_path / "faces", tmp_path / "model.safetensors"))
    assert (part.run, part.iterations, part.contrastive, part.pictures) == ("faces", 4, 2, 24)
    assert (part.commit, part.processes) == ("0123abc", 1)
    assert part.core_hours >= 0


def test_another_commit_is_another_part(data, tmp_path, monkeypatch, clocks):
    config = replace(CONFIG, log=replace(CONFIG.log, checkpoint_every=100))
    with monkeypatch.context() as patch:
        run(config, data, tmp_path / "faces", stop=stopped_after(patch, 3))
    monkeypatch.setattr(history, "commit", lambda: "later")
    run(config, data, tmp_path / "faces", resume=True)
    parts = parts_in(export_run(tmp_path / "faces", tmp_path / "model.safetensors"))
    assert [(p.iterations, p.contrastive, p.pictures, p.commit) for p in parts] == [
        (3, 1, 16, "0123abc"),
        (1, 1, 8, "later"),
    ]
    assert [(p.core_hours, p.hours) for p in parts] == [(2.0, 1.0), (2.0, 1.0)]


def test_a_run_that_starts_from_a_model_begins_with_its_parts(data, tmp_path):
    run(CONFIG, data, tmp_path / "faces")
    model = export_run(tmp_path / "faces", tmp_path / "model.safetensors")
    run(replace(CONFIG, start_from=str(model), seed=1), data, tmp_path / "more")
    info = read_info(export_run(tmp_path / "more", tmp_path / "again.safetensors"))
    assert [(p.run, p.iterations) for p in parts_of(info.provenance)] == [("faces", 4), ("more", 4)]
    assert info.provenance["config"]["start_from"] == "model.safetensors"
    assert "4 of this model's 8 iterations (50.0%)" in objective(info.provenance)
    table = describe_training(parts_of(info.provenance)).splitlines()
    assert table[-1].startswith("| **all** | 8 | 4 | 48 |")
    assert "| faces | 4 | 2 | 24 |" in table[2]


def test_of_older_runs_and_models_little_is_known(data, tmp_path):
    path = tmp_path / "old.safetensors"
    known = {"iteration": 7, "warm_start_iterations": 5, "commit": "c", "machine": "m", "date": "d"}
    save_model(path, EnergyNetwork(CONFIG.net).state_dict(), ModelInfo(CONFIG.net, CONFIG.plan, known))
    assert parts_in(path) == [Part("", 7, 2, None, None, None, "m", "c", "d")]
    run(replace(CONFIG, start_from=str(path)), data, tmp_path / "run")
    (tmp_path / "run" / HISTORY).unlink()
    longer = replace(CONFIG, start_from=str(path), icd=replace(CONFIG.icd, iterations=3))
    run(longer, data, tmp_path / "run", resume=True)
    parts = parts_in(export_run(tmp_path / "run", tmp_path / "new.safetensors"))
    assert [(p.iterations, p.contrastive, p.pictures) for p in parts] == [(7, 2, None), (4, 2, None), (1, 1, 8)]
    assert "| **all** | 12 | 5 | not counted | not counted |" in describe_training(parts)
    assert parts_of({}) == []
    assert objective({}) == ""


def test_a_model_without_contrastive_divergence_says_so():
    provenance = {"iteration": 500, "warm_start_iterations": 500, "config": {"start_from": "faces"}}
    assert objective(provenance).startswith(
        "None of this model's 500 iterations since it started from `faces` was contrastive divergence"
    )
    assert "25 of this model's 1,625 iterations (1.5%)" in objective({"iteration": 1625, "warm_start_iterations": 1600})


def test_the_hours_of_all_processes_count(tmp_path, clocks, monkeypatch):
    monkeypatch.setattr(Processes, "gather", lambda self, value: [value] * self.size)
    kept = history.RunHistory(tmp_path, CONFIG, 0, Processes(0, 2))
    kept.save(1)
    (part,) = json.loads((tmp_path / HISTORY).read_text())
    assert (part["core_hours"], part["hours"], part["processes"], part["pictures"]) == (4.0, 1.0, 2, 4)
