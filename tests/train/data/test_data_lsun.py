"""LSUN, from a stand-in of its LMDB files and from the library's own."""

import io
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from test_data_official import noise

from train.data import DataConfig, load


class FakeLmdb:
    """As much of the package ``lmdb`` as is used, over a pickled list, for machines that do not have it."""

    class Error(Exception):
        pass

    @staticmethod
    def open(path: str, **options: Any) -> Any:
        assert options == {"readonly": True, "lock": False, "readahead": False}
        raw = (Path(path) / "data.mdb").read_bytes()
        if not raw.startswith(b"\x80"):
            raise FakeLmdb.Error("invalid file")
        items = sorted(pickle.loads(raw).items())  # noqa: S301 - written by this test
        manager = _Manager(SimpleNamespace(stat=lambda: {"entries": len(items)}, cursor=lambda: iter(items)))
        return _Manager(SimpleNamespace(begin=lambda: manager))


class _Manager:
    def __init__(self, value: Any) -> None:
        self.value = value

    def __enter__(self) -> Any:
        return self.value

    def __exit__(self, *error: object) -> None:
        pass


@pytest.fixture(params=["lmdb", "stand-in"])
def write_lmdb(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that writes a data base, once for the real package and once for its stand-in."""
    if request.param == "lmdb":
        lmdb = pytest.importorskip("lmdb", reason="the package lmdb is not installed")

        def write(folder: Path, items: dict[bytes, bytes]) -> None:
            with lmdb.open(str(folder)) as environment, environment.begin(write=True) as transaction:
                for key, value in items.items():
                    transaction.put(key, value)
    else:
        monkeypatch.setitem(sys.modules, "lmdb", FakeLmdb)  # type: ignore[arg-type]

        def write(folder: Path, items: dict[bytes, bytes]) -> None:
            folder.mkdir()
            (folder / "data.mdb").write_bytes(pickle.dumps(items))

    return write


def encoded(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()


def test_lsun(tmp_path: Path, write_lmdb: Any) -> None:
    bedroom, tower = noise(2, 8, 12, 3), noise(1, 8, 8, 3)
    write_lmdb(tmp_path / "bedroom_val_lmdb", {b"b": encoded(bedroom[1]), b"a": encoded(bedroom[0])})
    write_lmdb(tmp_path / "tower_val_lmdb", {b"a": encoded(tower[0])})
    before = sorted(p.name for p in tmp_path.rglob("*"))
    one = load(DataConfig("lsun", str(tmp_path), "bedroom_val"), 8)
    expected = torch.from_numpy(bedroom[:, :, 2:10]).permute(0, 3, 1, 2)
    assert torch.equal(one.images, expected)
    assert one.labels == [0, 0]
    both = load(DataConfig("lsun", str(tmp_path), "tower_val, bedroom_val"), 8)
    assert torch.equal(both.images, torch.cat([torch.from_numpy(tower).permute(0, 3, 1, 2), expected]))
    assert both.labels == [9, 0, 0]
    assert sorted(p.name for p in tmp_path.rglob("*")) == before


def test_lsun_errors(tmp_path: Path, write_lmdb: Any) -> None:
    config = DataConfig("lsun", str(tmp_path), "bedroom_train")
    with pytest.raises(ValueError, match=r"bedroom_train_lmdb/data\.mdb is not there"):
        load(config, 8)
    (tmp_path / "bedroom_train_lmdb").mkdir()
    (tmp_path / "bedroom_train_lmdb" / "data.mdb").write_bytes(b"no data base" * 1000)
    with pytest.raises(ValueError, match="is not an LMDB data base"):
        load(config, 8)
    write_lmdb(tmp_path / "tower_val_lmdb", {b"key": b"no image"})
    with pytest.raises(ValueError, match=r"key.* cannot be read: this is not an image"):
        load(DataConfig("lsun", str(tmp_path), "tower_val"), 8)


def test_lsun_without_lmdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lmdb", None)
    (tmp_path / "bedroom_train_lmdb").mkdir()
    (tmp_path / "bedroom_train_lmdb" / "data.mdb").touch()
    with pytest.raises(ValueError, match="pip install lmdb"):
        load(DataConfig("lsun", str(tmp_path), "bedroom_train"), 8)


# --- all of them ---
