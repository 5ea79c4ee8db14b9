"""Scoring files: right rows, bad files, kills, several processes, and one sentence for what cannot be."""

import base64
import csv
import html
import io
import json
import os
import re
import zipfile
from pathlib import Path

import pytest
import torch
from PIL import Image

from ebm_core import images
from ebm_core.checkpoint import ModelInfo, load_model, replace_calibration, save_model
from ebm_core.ood import scores
from ebm_core.picture_files import open_files
from ebm_core.pictures import Limits
from ebm_core.sampling import SamplePlan
from tests.conftest import CONDITIONAL_TINY, conditional_tiny
from tests.train.score.helpers import picture, png, score_all, table
from train.__main__ import main
from train.score.detector import load_detector
from train.score.engine import Options


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


def test_a_contact_sheet_of_the_most_unusual_opens_anywhere(folder, model, tmp_path, capsys):
    (folder / '<b>"&x.png').write_bytes(png(40))
    command = ["score", str(folder), "--model", str(model), "--device", "cpu", "--save-every", "3"]
    out = tmp_path / "a.parquet"
    assert main([*command, "--out", str(out), "--top", "6", "--by", "grad_norm"]) == 3
    assert f"{tmp_path / 'a.html'}: the 6 most unusual\n" in capsys.readouterr().out
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    ranked = sorted((row for row in table(out) if row["error"] is None), key=lambda row: -row["grad_norm"])[:6]
    places = [page.index(f"{place}. {html.escape(row['file'])}<") for place, row in enumerate(ranked, 1)]
    assert places == sorted(places)
    assert all(f"{row['grad_norm']:.5g}" in page for row in ranked)
    first = re.search(r'src="data:image/jpeg;base64,([^"]+)"', page)[1]
    assert Image.open(io.BytesIO(base64.b64decode(first))).size == (128, 128)
    assert page.count("data:image/jpeg") == 6
    assert not re.search(r"https?://|<script|<b>\"", page)
    assert "prefers-color-scheme: dark" in page
    for more, message in [
        (["--out", "-", "--top", "2"], "beside a table: give a .parquet or .csv file as --out"),
        (["--out", str(tmp_path / "a.csv"), "--top", "2"], "a.html exists already; delete it or choose another name"),
        (["--out", str(tmp_path / "b.csv"), "--top", "0"], "argument --top: must be a whole number of 1 or more"),
    ]:
        assert main([*command, *more]) == 2
        assert message in capsys.readouterr().err


def test_a_score_that_an_uncalibrated_model_lacks_is_named(folder, model, tmp_path, capsys):
    replace_calibration(model, {})
    for out in (str(tmp_path / "a.csv"), "-"):
        command = ["score", str(folder), "--model", str(model), "--device", "cpu", "--by", "residual", "--out", out]
        assert main(command) == 2
        assert "there is no score 'residual'; there are: energy, scale_0, " in capsys.readouterr().err
