"""Runs that were killed, go on, are shared among processes or do not belong together."""

import errno
import json
import multiprocessing
import os
import time
from dataclasses import replace

import pytest
import torch

from ebm_core import files
from ebm_core.checkpoint import load_model, replace_calibration, save_model
from ebm_core.picture_files import open_files
from ebm_core.pictures import Limits
from tests.train.score.helpers import ALONE, SMALL, png, score_all, table
from tests.train.test_parallel import on_two
from train.__main__ import main
from train.parallel import Processes
from train.score.detector import Detector, load_detector
from train.score.engine import Options, score


def score_and_hang(folder, model, out, marker):
    """Score the first part and a batch of the second, then hang."""
    torch.set_num_threads(1)
    measure, done = Detector.measure, []

    def hanging(self, u8):
        if len(done) == 2:
            marker.touch()
            time.sleep(3600)
        done.append(len(u8))
        return measure(self, u8)

    Detector.measure = hanging
    score_all(folder, model, out)


def test_a_killed_run_goes_on_and_scores_nothing_twice(folder, model, tmp_path):
    out, marker, parts = tmp_path / "scores.parquet", tmp_path / "hangs", tmp_path / "scores.parquet.parts"
    process = multiprocessing.get_context("spawn").Process(target=score_and_hang, args=(folder, model, out, marker))
    process.start()
    while not marker.exists():
        process.join(0.05)
        assert process.exitcode is None
    process.kill()
    process.join()
    assert not out.exists()
    assert [path.name for path in parts.glob("*.parquet")] == ["0000000.parquet"]

    with open_files(folder, Limits()) as files:
        asked = []
        counting = files._replace(read=lambda name: asked.append(name) or files.read(name))
        score(counting, load_detector(str(model), "cpu"), out, SMALL, ALONE)
    assert sorted(asked) == files.names[3:]
    score_all(folder, model, tmp_path / "whole.parquet")
    assert table(out) == table(tmp_path / "whole.parquet")
    assert not parts.exists()


def test_ctrl_c_ends_in_a_sentence_and_the_same_command_goes_on(folder, model, tmp_path, monkeypatch, capsys):
    out = tmp_path / "scores.parquet"
    command = ["score", str(folder), "--model", str(model), "--out", str(out), "--device", "cpu", "--save-every", "3"]
    measure, done = Detector.measure, []

    def interrupted(self, u8):
        done.append(len(u8))
        if len(done) == 2:
            raise KeyboardInterrupt
        return measure(self, u8)

    monkeypatch.setattr(Detector, "measure", interrupted)
    assert main(command) == 130
    assert capsys.readouterr().err.endswith(f"stopped; the same command goes on from {out}.parts\n")
    assert main(command) == 3
    assert len(done) == 5  # four parts, one of them begun twice
    assert len(table(out)) == 11


def test_a_full_disk_is_one_sentence_and_keeps_the_parts(folder, model, tmp_path, monkeypatch):
    out, fsync, calls = tmp_path / "scores.parquet", os.fsync, []

    def full(handle):
        calls.append(handle)
        if len(calls) > 3:  # the state and two parts
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(ValueError, match="No space left on device; free some space"):
        score_all(folder, model, out)
    parts = tmp_path / "scores.parquet.parts"
    assert sorted(path.name for path in parts.iterdir()) == ["0000000.parquet", "0000001.parquet", "state.json"]
    monkeypatch.undo()
    assert score_all(folder, model, out).num == 11


def train_on(model):
    """Other weights, the same calibration, as from before calibrations named their weights."""
    net, info = load_model(model)
    info = replace(info, calibration={key: value for key, value in info.calibration.items() if key != "weights"})
    save_model(model, {name: 1.01 * tensor for name, tensor in net.state_dict().items()}, info)
    replace_calibration(model, info.calibration)  # now of these weights


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder, model: replace_calibration(model, {}), r"another calibration \(\w{16}, now \w{16}\)"),
        (lambda folder, model: train_on(model), r"another model \(\w{16}, now \w{16}\); go on with"),
        (lambda folder, model: (folder / "8.png").write_bytes(png(8)), r"another number of files \(11, now 12\)"),
        (lambda folder, model: (folder / "0.png").rename(folder / "9.png"), "another names of files"),
        (lambda folder, model: Options(batch=3, save_every=3), r"another batch \(2, now 3\)"),
        (lambda folder, model: Options(by="grad_norm", batch=2, save_every=3), r"another by \(energy, now grad_norm\)"),
    ],
)
def test_parts_of_another_run_are_not_mixed_in(folder, model, tmp_path, monkeypatch, change, message):
    out = tmp_path / "scores.parquet"
    with monkeypatch.context() as patch:
        patch.setattr("train.score.engine._finish", lambda *_: pytest.exit("killed"))
        with pytest.raises(pytest.exit.Exception):
            score_all(folder, model, out)
    kept = sorted(path.name for path in (tmp_path / "scores.parquet.parts").iterdir())
    changed = change(folder, model)
    with pytest.raises(ValueError, match=message):
        score_all(folder, model, out, changed if isinstance(changed, Options) else SMALL)
    assert sorted(path.name for path in (tmp_path / "scores.parquet.parts").iterdir()) == kept
    assert not out.exists()


def test_damaged_parts_and_states_are_sentences(folder, model, tmp_path, monkeypatch):
    out, parts = tmp_path / "scores.parquet", tmp_path / "scores.parquet.parts"
    monkeypatch.setattr("train.score.engine.score_part", lambda *_: pytest.fail("a part was scored twice"))
    parts.mkdir()
    (parts / "state.json").write_text("[")
    with pytest.raises(ValueError, match=r"state.json cannot be read .* a damaged one is deleted to begin anew"):
        score_all(folder, model, out)
    (parts / "state.json").unlink()
    for number in range(4):
        (parts / f"{number:07d}.parquet").write_bytes(b"PAR1 damaged PAR1")
    with pytest.raises(ValueError, match=r"0000000.parquet cannot be read .*; delete it and run the same command"):
        score_all(folder, model, out)
    assert not out.exists()
    assert len(list(tmp_path.glob("*.tmp"))) == 0


# --- several processes ---


def score_as_one_of(processes, folder, model, out):
    tally = score_all(folder, model, out, SMALL, processes)
    assert (tally is None) == (processes.rank > 0)
    if tally:
        assert (tally.num, tally.num_unreadable) == (11, 3)


def test_two_processes_make_the_table_of_one(folder, model, tmp_path):
    on_two(score_as_one_of, folder, model, tmp_path / "two.parquet")
    score_all(folder, model, tmp_path / "one.parquet")
    assert table(tmp_path / "two.parquet") == table(tmp_path / "one.parquet")
    assert not (tmp_path / "two.parquet.parts").exists()


def test_parts_are_shared_among_processes(folder, model, tmp_path, monkeypatch):
    monkeypatch.setattr(Processes, "wait", lambda self: None)
    monkeypatch.setattr("train.score.engine._finish", lambda paths, *_: [path.is_file() for path in paths])
    there = [score_all(folder, model, tmp_path / "a.csv", SMALL, Processes(rank, 3)) for rank in range(3)]
    assert there == [[True, False, False, True], None, None]
    assert score_all(folder, model, tmp_path / "a.csv", SMALL, ALONE) == [True] * 4


# --- what cannot be ---


def test_the_state_says_what_was_asked(folder, model, tmp_path, monkeypatch):
    monkeypatch.setattr("train.score.engine._finish", lambda *_: None)
    score_all(folder, model, tmp_path / "a.csv")
    state = json.loads((tmp_path / "a.csv.parts" / "state.json").read_text())
    assert state["limits"] == {"max_bytes": 20 * 2**20, "max_pixels": 50_000_000}
    assert (state["by"], state["false_alarm_rate"], state["number of files"]) == ("energy", 0.05, 11)
