"""Pictures of any file system in units, and workers that score them: killed once, nothing lost, nothing twice."""

import importlib.util
import io
import os
import subprocess
import sys
import tarfile
import time
import zipfile

import fsspec
import pyarrow as pa
import pyarrow.parquet
import pytest

from ebm_core.pictures import Limits, PictureError
from tests.train.score.helpers import png, score_all, table
from train.__main__ import main
from train.score.shards import open_unit, units_of

LIMITS = Limits()


def tar(contents):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def zipped(contents):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def parquet(column, row_group_size=2):
    buffer = io.BytesIO()
    rows = pa.table({"label": list(range(len(column))), "image": column})
    pa.parquet.write_table(rows, buffer, row_group_size=row_group_size)
    return buffer.getvalue()


FILES = {
    "a/0.png": png(0),
    "a/1.PNG": png(1),
    "2.png": png(2),
    "notes.txt": b"nothing",
    ".hidden/3.png": png(3),
    "shard.tar": tar({"000.png": png(4), "000.json": b"{}", "001.png": b"broken"}),
    "some.zip": zipped({"x.png": png(5), "y.png": png(6), "z.png": png(7)}),
    "bytes.parquet": parquet([png(8), None, png(9)]),
    "hub.parquet": parquet([{"bytes": png(10), "path": "x.png"}]),
}
NAMES = {
    "2.png": 2,
    "a/0.png": 0,
    "a/1.PNG": 1,
    "bytes.parquet/0": 8,
    "bytes.parquet/2": 9,
    "hub.parquet/0": 10,
    "shard.tar/000.png": 4,
    "some.zip/x.png": 5,
    "some.zip/y.png": 6,
    "some.zip/z.png": 7,
}
UNREADABLE = {"bytes.parquet/1": "there is no picture in this row"}


@pytest.fixture
def remote():
    """An address that is no folder of this machine."""
    fs = fsspec.filesystem("memory")
    fs.pipe({f"/pictures/{name}": data for name, data in FILES.items()})
    yield "memory://pictures"
    fs.rm("/pictures", recursive=True)


def test_every_picture_of_an_address_is_in_one_unit(remote):
    units = units_of(remote, 2, LIMITS)
    assert units == units_of(remote, 2, LIMITS)
    contents, errors, sizes = {}, {}, []
    for unit in units:
        with open_unit(remote, unit, LIMITS) as files:
            sizes.append(len(files.names))
            for name in files.names:
                assert name not in contents.keys() | errors.keys()
                try:
                    contents[name] = files.read(name)
                except PictureError as error:
                    errors[name] = str(error)
    assert contents == {name: png(number) for name, number in NAMES.items()} | {"shard.tar/001.png": b"broken"}
    assert errors == UNREADABLE
    assert sizes == [2, 1, 2, 1, 1, 2, 2, 1]


def test_one_file_is_an_address_too_and_large_ones_are_refused(remote):
    (unit,) = units_of(f"{remote}/shard.tar", 2, LIMITS)
    small = Limits(max_bytes=3)
    for address, first in ((f"{remote}/shard.tar", unit), (remote, units_of(remote, 2, LIMITS)[0])):
        with open_unit(address, first, small) as files, pytest.raises(PictureError, match="the limit is"):
            files.read(files.names[0])


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.parquet", b"none", "a.parquet cannot be read"),
        ("a.zip", b"none", "not a zip file"),
        ("a.txt", b"none", "there are no pictures at memory://bad: neither files by their suffix nor .tar, .parquet"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(name, data, message):
    fs = fsspec.filesystem("memory")
    fs.pipe({f"/bad/{name}": data})
    try:
        with pytest.raises(ValueError, match=message):
            units_of("memory://bad", 2, LIMITS)
    finally:
        fs.rm("/bad", recursive=True)
    with pytest.raises(ValueError, match="nowhere://x cannot be read"):
        units_of("nowhere://x", 2, LIMITS)


def test_without_ray_a_sentence_says_what_to_install(folder, model, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["score-cluster", str(folder), "--model", str(model), "--out", str(tmp_path / "out")]) == 2
    assert "pip install 'ebm-studio[train,ray]'" in capsys.readouterr().err


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install '.[ray]'")
def test_two_workers_killed_once_lose_nothing_and_score_nothing_twice(model, tmp_path):
    folder, out = tmp_path / "pictures", tmp_path / "out"
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    command = [sys.executable, "-m", "train", "score-cluster", str(folder), "--model", str(model), "--out", str(out)]
    command += ["--save-every", "1", "--batch", "1", "--device", "cpu"]
    first = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not list(out.glob("0*.parquet")):
        time.sleep(0.02)
        assert first.poll() is None
    first.kill()
    first.wait()
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("0*.parquet")}
    assert subprocess.run(command, env=os.environ, capture_output=True).returncode == 3
    after = {path.name: path.stat().st_mtime_ns for path in out.glob("0*.parquet")}
    assert before.items() <= after.items()
    assert len(after) == len(units_of(str(folder), 1, LIMITS))
    rows = {row["file"]: row for part in sorted(out.glob("0*.parquet")) for row in table(part)}
    assert sum(len(table(part)) for part in out.glob("0*.parquet")) == len(rows)
    assert {name for name, row in rows.items() if row["error"] is None} == NAMES.keys()
    loose = tmp_path / "loose"
    loose.mkdir()
    for number in NAMES.values():
        (loose / f"{number}.png").write_bytes(png(number))
    score_all(loose, model, tmp_path / "whole.parquet")
    alone = {row["file"]: row["energy"] for row in table(tmp_path / "whole.parquet")}
    for name, number in NAMES.items():
        assert rows[name]["energy"] == pytest.approx(alone[f"{number}.png"], rel=1e-4, abs=1e-6)
