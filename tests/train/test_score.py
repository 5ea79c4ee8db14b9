"""Scoring files: right rows, bad files, kills, several processes, and one sentence for what cannot be."""

import csv
import errno
import json
import multiprocessing
import os
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet
import pytest
import torch

from ebm_core import files, images
from ebm_core.checkpoint import ModelInfo, load_model, replace_calibration, save_model
from ebm_core.ood import calibrate, scores
from ebm_core.picture_files import open_files
from ebm_core.pictures import Limits
from ebm_core.sampling import SamplePlan
from tests.conftest import CONDITIONAL_TINY, TINY, conditional_tiny
from tests.train.test_parallel import on_two
from train.__main__ import main
from train.parallel import Processes
from train.score.detector import Detector, load_detector
from train.score.engine import Options, score

ALONE = Processes()
SMALL = Options(batch=2, save_every=3)


def picture(number):
    generator = torch.Generator().manual_seed(number)
    return torch.randint(256, (3, 8, 8), generator=generator, dtype=torch.uint8)


def png(number):
    return images.encode(images.to_pil(picture(number)), "PNG")


@pytest.fixture
def model(tmp_path, tiny_net):
    """A tiny model, calibrated on twenty pictures."""
    path = tmp_path / "tiny.safetensors"
    save_model(path, tiny_net.state_dict(), ModelInfo(TINY, SamplePlan()))
    measured = load_detector(str(path), "cpu").measure(torch.stack([picture(100 + i) for i in range(20)]))
    replace_calibration(path, calibrate(measured, "twenty").to_plain())
    return path


@pytest.fixture
def folder(tmp_path):
    """Eleven files to score, of which three cannot be, and some that are none of them."""
    path = tmp_path / "pictures"
    for number in range(8):
        file = path / f"{'deeper/' if number % 2 else ''}{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(number))
    (path / "3-broken.JPG").write_bytes(b"no picture")
    (path / "5-cut.png").write_bytes(png(0)[:-40])
    (path / "7-empty.png").touch()
    (path / "notes.txt").write_text("not a picture")
    (path / ".hidden.png").write_bytes(png(0))
    (path / ".thumbnails").mkdir()
    (path / ".thumbnails" / "0.png").write_bytes(png(0))
    return path


def table(path):
    return pyarrow.parquet.read_table(path).to_pylist()


def score_all(path, model, out, options=SMALL, processes=ALONE):
    with open_files(path, options.limits) as files:
        return score(files, load_detector(str(model), "cpu"), out, options, processes)


def test_every_file_has_a_row_and_what_cannot_be_read_is_listed(folder, model, tmp_path, capsys):
    out = tmp_path / "scores.parquet"
    command = ["score", str(folder), "--model", str(model), "--out", str(out), "--device", "cpu", "--batch", "2"]
    assert main([*command, "--false-alarm-rate", "0.3", "--by", "typicality"]) == 3
    captured = capsys.readouterr()
    assert f"{out}: 8 of 11 files scored" in captured.out
    assert "not read: 3-broken.JPG: this is not an image that can be read here" in captured.err
    assert "not read: 7-empty.png: the file is empty" in captured.err
    assert captured.err.endswith("3 files could not be read\n")
    assert "left out: .hidden.png, .thumbnails/: hidden, or left there by a system" in captured.err
    assert "left out: notes.txt: neither the name nor the first bytes are those of a picture" in captured.err
    assert not (tmp_path / "scores.parquet.parts").exists()

    rows = table(out)
    names = [row["file"] for row in rows]
    assert names == sorted(names)
    assert {"0.png", "deeper/1.png"} < set(names)
    detector = load_detector(str(model), "cpu")
    assert list(rows[0]) == ["file", *detector.score_names, "percentile", "verdict", "notes", "error"]
    net, _ = load_model(model)
    threshold = detector.calibration.threshold("typicality", 0.3)
    for row in rows:
        if "-" in row["file"]:
            assert row["error"]
            assert all(row[name] is None for name in row if name not in ("file", "error"))
            continue
        u8 = picture(int(Path(row["file"]).stem))[None]
        with torch.no_grad():
            assert row["energy"] == pytest.approx(float(net((u8 + 0.5) / 256)), rel=1e-4)
        for name, value in scores(detector.measure(u8), detector.calibration).items():
            assert row[name] == pytest.approx(float(value), rel=1e-4, abs=1e-6)
        assert (row["verdict"] == "out-of-distribution") == (row["typicality"] > threshold)
        percentile = detector.calibration.percentile("typicality", torch.tensor([row["typicality"]]))
        assert row["percentile"] == pytest.approx(float(percentile), abs=1e-6)
        assert (row["error"], row["notes"]) == (None, None)
    assert len({row["verdict"] for row in rows}) == 3


def test_folder_zip_and_list_as_parquet_and_csv_are_alike(folder, model, tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        for file in folder.rglob("*"):
            archive.write(file, file.relative_to(folder))
    assert score_all(folder, model, tmp_path / "folder.parquet").num == 11
    assert score_all(tmp_path / "pictures.zip", model, tmp_path / "zip.parquet").num_unreadable == 3
    rows = table(tmp_path / "folder.parquet")
    assert table(tmp_path / "zip.parquet") == rows

    (tmp_path / "list.txt").write_text("".join(f"{row['file']}\n" for row in rows))
    monkeypatch.chdir(folder)
    score_all(tmp_path / "list.txt", model, tmp_path / "list.csv")
    with (tmp_path / "list.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [list(line) for line in lines] == [list(row) for row in rows]
    for line, row in zip(lines, rows, strict=True):
        for name, value in row.items():
            assert line[name] == ("" if value is None else line[name])
            if isinstance(value, float):
                assert float(line[name]) == pytest.approx(value, rel=1e-6)
            elif value is not None:
                assert line[name] == value


def test_no_cell_of_a_csv_is_a_formula(model, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    names = ["=1+1.png", "+1.png", "-1.png", "@x.png", "plain.png"]
    for number, name in enumerate(names):
        (folder / name).write_bytes(png(number))
    score_all(folder, model, tmp_path / "scores.csv")
    score_all(folder, model, tmp_path / "scores.parquet")
    with (tmp_path / "scores.csv").open(newline="") as file:
        cells = [line["file"] for line in csv.DictReader(file)]
    assert sorted(cells) == ["'+1.png", "'-1.png", "'=1+1.png", "'@x.png", "plain.png"]
    assert sorted(row["file"] for row in table(tmp_path / "scores.parquet")) == sorted(names)


def test_a_calibration_that_is_damaged_or_of_other_weights_is_refused_and_made_anew(folder, model, tmp_path, capsys):
    command = ["score", str(folder), "--model", str(model), "--out", str(tmp_path / "a.csv"), "--device", "cpu"]
    again = ["calibrate", str(model), "--source", "folder", "--data", str(tmp_path / "held-out"), "--device", "cpu"]
    (tmp_path / "held-out").mkdir()
    for number in range(3):
        (tmp_path / "held-out" / f"{number}.png").write_bytes(png(number))
    net, info = load_model(model)
    for change, message in [
        (lambda: replace_calibration(model, {"data": "x"}), "calibration cannot be read"),
        (lambda: save_model(model, {k: v.bfloat16() for k, v in net.state_dict().items()}, info), "of other weights"),
    ]:
        change()
        assert main(command) == 2
        assert message in capsys.readouterr().err
        assert main(again) == 0
        assert load_detector(str(model), "cpu").calibration.num == 3


def test_lists_name_what_they_like_in_their_own_order(model, tmp_path):
    os.mkfifo(tmp_path / "pipe.png")  # reading one would wait without end
    names = [os.fsencode(tmp_path) + b"/" + name for name in (b"b.picture", b"caf\xe9.png", b"a.png")]
    for number, name in enumerate(names):
        Path(os.fsdecode(name)).write_bytes(png(number))
    missing = [os.fsencode(tmp_path) + b"/" + name for name in (b"pipe.png", b"nowhere.png", b"")]
    (tmp_path / "list").write_bytes(b"\n".join([*names, b"", *missing, names[0]]))
    tally = score_all(tmp_path / "list", model, tmp_path / "scores.parquet")
    rows = table(tmp_path / "scores.parquet")
    assert [row["file"].rpartition("/")[2] for row in rows] == [
        "b.picture",
        "caf\\xe9.png",
        "a.png",
        "pipe.png",
        "nowhere.png",
        "",
        "b.picture",
    ]
    assert [row["error"] for row in rows[3:6]] == [
        "this is not a file",
        "the file cannot be read: No such file or directory",
        "this is not a file",
    ]
    assert rows[0]["energy"] == pytest.approx(rows[6]["energy"], rel=1e-5)
    assert (tally.num, tally.num_unreadable) == (7, 3)


def test_members_of_a_zip_that_cannot_be_unpacked_have_a_reason(model, tmp_path):
    path = tmp_path / "bad.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(3):
            archive.writestr(f"{number}.png", png(number))
        archive.writestr("zeros.png", bytes(3 * 2**20), zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    data[data.index(png(1)) + 60] ^= 255
    path.write_bytes(data)
    score_all(path, model, tmp_path / "scores.csv", Options(limits=Limits(max_bytes=2**20)))
    with (tmp_path / "scores.csv").open(newline="") as file:
        errors = [line["error"] for line in csv.DictReader(file)]
    assert errors[0] == errors[2] == ""
    assert errors[1].startswith("the file cannot be unpacked: Bad CRC-32")
    assert errors[3] == "the file has 3.0 MiB; the limit is 1: make it smaller"


def test_limits_and_notes_reach_the_table(model, tmp_path):
    (tmp_path / "in").mkdir()
    wide = images.to_pil(picture(0)).resize((24, 9))
    (tmp_path / "in" / "wide.png").write_bytes(images.encode(wide, "PNG"))
    score_all(tmp_path / "in", model, tmp_path / "a.parquet")
    assert table(tmp_path / "a.parquet")[0]["notes"] == "only the centre square of 24x9 pixels"
    score_all(tmp_path / "in", model, tmp_path / "b.parquet", Options(limits=Limits(max_pixels=200)))
    assert "24x9 pixels; the limit" in table(tmp_path / "b.parquet")[0]["error"]


def test_a_model_without_calibration_gives_raw_scores_and_says_so(folder, model, tmp_path, capsys):
    replace_calibration(model, {})
    out = tmp_path / "raw.parquet"
    assert main(["score", str(folder), "--model", str(model), "--out", str(out), "--device", "cpu"]) == 3
    assert "has no calibration, so there are only raw scores, no percentiles and no verdicts" in capsys.readouterr().err
    assert list(table(out)[0]) == ["file", "energy", "scale_0", "scale_1", "grad_norm", "notes", "error"]


def test_all_readable_is_exit_code_0(model, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "0.png").write_bytes(png(0))
    out = tmp_path / "new" / "scores.csv"
    assert main(["score", str(tmp_path / "in"), "--model", str(model), "--out", str(out), "--device", "cpu"]) == 0
    assert capsys.readouterr().out == f"{out}: 1 of 1 files scored\n"


def test_lines_of_json_go_to_a_pipe_and_nothing_else_does(folder, model, tmp_path, capsys):
    command = ["score", str(folder), "--model", str(model), "--device", "cpu", "--batch", "2"]
    assert main([*command, "--out", "-"]) == 3
    captured = capsys.readouterr()
    lines = [json.loads(line) for line in captured.out.splitlines()]
    assert captured.err.endswith("3 files could not be read\n")
    assert "-: 8 of 11 files scored" in captured.err
    assert main([*command, "--out", str(tmp_path / "a.parquet")]) == 3
    rows = table(tmp_path / "a.parquet")
    assert [list(line) for line in lines] == [list(row) for row in rows]
    for line, row in zip(lines, rows, strict=True):
        for name, value in row.items():
            assert line[name] == (pytest.approx(value, rel=1e-5, abs=1e-7) if isinstance(value, float) else value)


# --- kills ---


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
    monkeypatch.setattr("train.score.engine._score_part", lambda *_: pytest.fail("a part was scored twice"))
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


def test_bad_input_is_one_sentence_and_exit_code_2(folder, model, tmp_path, capsys):
    save_model(
        tmp_path / "conditional.safetensors", conditional_tiny().state_dict(), ModelInfo(CONDITIONAL_TINY, SamplePlan())
    )
    (tmp_path / "empty").mkdir()
    (tmp_path / "there.csv").touch()
    (tmp_path / "nothing.txt").write_text("\n\n")
    for path, more, message in [
        (folder, ["--model", "nobody"], "no model 'nobody'"),
        (folder, ["--model", str(tmp_path / "conditional.safetensors")], "is a conditional model"),
        (folder, ["--out", str(tmp_path / "scores.xls")], "must be the name of a .parquet or .csv file"),
        (folder, ["--out", str(tmp_path / "there.csv")], "there.csv exists already; delete it or choose another name"),
        (folder, ["--false-alarm-rate", "1"], "--false-alarm-rate: must be a number between 0 and 1, got '1'"),
        (folder, ["--by", "scale_7"], "there is no calibrated score 'scale_7'; there are: energy, "),
        (folder, ["--batch", "0"], "argument --batch: must be a whole number of 1 or more, got '0'"),
        (folder, ["--max-mib", "0"], "argument --max-mib: must be a whole number of 1 or more, got '0'"),
        (tmp_path / "empty", [], "there are no picture files there"),
        (tmp_path / "nothing.txt", [], "there are no picture files there"),
        (tmp_path / "nowhere", [], "cannot be read (No such file or directory); give a folder, a zip or a list"),
        (model, [], "is neither a folder nor a zip nor a list of files"),
    ]:
        out = tmp_path / "out" / "scores.csv"
        command = ["score", str(path), "--model", str(model), "--out", str(out), "--device", "cpu", *more]
        assert main(command) == 2, message
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert message in error
        assert len(error.splitlines()) == 1
        assert not out.parent.exists()


def test_names_are_told_apart_by_their_digest(folder):
    with open_files(folder, Limits()) as files:
        assert files.digest() == files._replace(names=list(files.names)).digest()
        assert files.digest() != files._replace(names=files.names[::-1]).digest()
        assert files._replace(names=["ab", "c"]).digest() != files._replace(names=["a", "bc"]).digest()


def test_the_state_says_what_was_asked(folder, model, tmp_path, monkeypatch):
    monkeypatch.setattr("train.score.engine._finish", lambda *_: None)
    score_all(folder, model, tmp_path / "a.csv")
    state = json.loads((tmp_path / "a.csv.parts" / "state.json").read_text())
    assert state["limits"] == {"max_bytes": 20 * 2**20, "max_pixels": 50_000_000}
    assert (state["by"], state["false_alarm_rate"], state["number of files"]) == ("energy", 0.05, 11)
