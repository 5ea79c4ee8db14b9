"""What ``sample`` leaves in a folder that has something already."""

import os

import pytest

from tests.app.conftest import save_tiny_family
from train.__main__ import main


@pytest.fixture
def sample(tmp_path):
    save_tiny_family(tmp_path / "weights")
    model = str(tmp_path / "weights" / "tiny" / "model.safetensors")
    return lambda *more: main(["sample", model, "--out", str(tmp_path / "out"), "--device", "cpu", *more])


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_replacing_takes_away_what_the_run_before_made_and_nothing_else(sample, tmp_path):
    out = tmp_path / "out"
    assert sample("--num", "4") == 0
    (out / "12345.png").write_bytes(b"not ours")
    assert sample("--num", "2", "--seed", "1", "--force") == 0
    assert sorted(contents(out)) == ["00000.png", "00001.png", "12345.png", "by-energy.webp", "energies.json"]
    assert (out / "12345.png").read_bytes() == b"not ours"


@pytest.mark.parametrize(
    "listing", [b"", b"[]", b'{"images": [{"file": 3}]}', b'{"images": [{"file": "../kept.png"}]}']
)
def test_without_a_list_of_the_run_before_nothing_is_taken_away(sample, tmp_path, listing):
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "kept.png").touch()
    (out / "00001.png").write_bytes(b"not ours")
    (out / "energies.json").write_bytes(listing)
    assert sample("--num", "1", "--force") == 0
    assert (out / "00001.png").read_bytes() == b"not ours"
    assert (tmp_path / "kept.png").exists()


def test_a_full_disk_leaves_what_was_there(sample, tmp_path, monkeypatch, capsys):
    assert sample("--num", "3") == 0
    before, fsync, calls = contents(tmp_path / "out"), os.fsync, []

    def full(handle):
        calls.append(handle)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        fsync(handle)

    monkeypatch.setattr("os.fsync", full)
    assert sample("--num", "3", "--seed", "1", "--force") == 2
    assert "No space left on device" in capsys.readouterr().err
    assert contents(tmp_path / "out") == before
