"""The cache: when it is used, when not, and that no state of it can break a run."""

import logging
import os
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from train.data import DataConfig, ImageSet, load
from train.data.cache import cached, entry_path

IMAGES = ImageSet(
    torch.arange(24, dtype=torch.uint8).view(2, 3, 2, 2),
    [{"type": "cube", "hue": 0.5}, [0, 1]],
    ["a", "b"],
    ["left out: c: no picture"],
)


class Decoder:
    """Counts how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> ImageSet:
        self.calls += 1
        return IMAGES


def read(config: DataConfig, decoder: Decoder, size: int = 2, channels: int = 3) -> ImageSet:
    return cached(config, size, channels, decoder)


@pytest.fixture
def config(tmp_path: Path) -> DataConfig:
    (tmp_path / "a.zip").write_bytes(b"one")
    return DataConfig(path=str(tmp_path / "a.zip"))


def test_second_time_is_a_hit(config: DataConfig, caplog: pytest.LogCaptureFixture) -> None:
    decoder = Decoder()
    for _ in range(2):
        images = read(config, decoder)
        assert torch.equal(images.images, IMAGES.images)
        assert (images.labels, images.names, images.notes) == IMAGES[1:]
    assert decoder.calls == 1
    assert not caplog.records


def test_the_cache_is_where_the_variable_says(config: DataConfig, cache_folder: Path) -> None:
    read(config, Decoder())
    assert [p.parent for p in cache_folder.rglob("*.safetensors")] == [cache_folder / "data"]


def test_the_cache_is_in_the_home_folder_otherwise(
    config: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EBM_STUDIO_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert entry_path(config, 2, 3).parent == tmp_path / ".cache" / "ebm-studio" / "data"


def test_changed_file_is_a_miss_and_replaces_the_old_entry(config: DataConfig, cache_folder: Path) -> None:
    decoder = Decoder()
    read(config, decoder)
    Path(config.path).write_bytes(b"another size")
    read(config, decoder)
    os.utime(config.path, ns=(1, 1))  # another time
    read(config, decoder)
    assert decoder.calls == 3
    assert len(list(cache_folder.rglob("*.safetensors"))) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"size": 4}),
        ({}, {"channels": 1}),
        ({"source": "dtd"}, {"source": "dtd", "crop": "top_left"}),
        ({"source": "dtd"}, {"source": "dtd", "split": "test"}),
        ({"source": "cifar10"}, {"source": "cifar100"}),
    ],
)
def test_what_is_decoded_is_part_of_the_key(tmp_path: Path, first: dict[str, Any], second: dict[str, Any]) -> None:
    def key(size: int = 2, channels: int = 3, **fields: Any) -> Path:
        return entry_path(DataConfig(path=str(tmp_path), **fields), size, channels)

    assert key(**first) == key(**first)
    assert key(**first) != key(**second)


def test_order_of_zips_is_part_of_the_key(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.zip").write_bytes(b"x")
    a, b = str(tmp_path / "a.zip"), str(tmp_path / "b.zip")
    assert entry_path(DataConfig(path=f"{a},{b}"), 2, 3) != entry_path(DataConfig(path=f"{b},{a}"), 2, 3)
    assert entry_path(DataConfig(path=f"{a}, {b}"), 2, 3) == entry_path(DataConfig(path=f"{a},{b}"), 2, 3)


def test_relative_and_absolute_path_share_an_entry(config: DataConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    absolute = entry_path(config, 2, 3)
    monkeypatch.chdir(Path(config.path).parent)
    assert entry_path(DataConfig(path="a.zip"), 2, 3) == absolute


def test_new_image_in_a_folder_is_seen(tmp_path: Path) -> None:
    config = DataConfig(source="folder", path=str(tmp_path))
    (tmp_path / "sub").mkdir()
    for count, name in enumerate(("a.png", "sub/b.png"), 1):
        Image.new("RGB", (2, 2)).save(tmp_path / name)
        assert len(load(config, 2).images) == count


def test_new_image_in_a_linked_folder_is_seen(tmp_path: Path) -> None:
    (tmp_path / "linked").mkdir()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "linked")
    config = DataConfig(source="folder", path=str(tmp_path / "in"))
    for count in (1, 2):
        Image.new("RGB", (2, 2)).save(tmp_path / "linked" / f"{count}.png")
        assert len(load(config, 2).images) == count


def test_files_of_other_sets_beside_it_do_not_matter(tmp_path: Path) -> None:
    config = DataConfig(source="svhn", path=str(tmp_path))
    before = entry_path(config, 32, 3)
    (tmp_path / "other.bin").write_bytes(b"x")
    assert entry_path(config, 32, 3) == before
    (tmp_path / "train_32x32.mat").write_bytes(b"x")
    assert entry_path(config, 32, 3) != before


def damage_nothing_left(path: Path) -> None:
    path.write_bytes(b"")


def damage_truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def damage_one_pixel(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


def save_entry(path: Path, images: torch.Tensor, texts: bytes) -> None:
    """An entry whose checksum is right."""
    tensors = {"images": images, "texts": torch.frombuffer(bytearray(texts), dtype=torch.uint8)}
    save_file(tensors, path, {"crc32": "-".join(f"{zlib.crc32(t.numpy().data):08x}" for t in tensors.values())})


def damage_no_metadata(path: Path) -> None:
    save_file(load_file(path), path)


def damage_no_tensor(path: Path) -> None:
    save_file({"images": IMAGES.images}, path, {"crc32": "0"})


def damage_too_few_labels(path: Path) -> None:
    save_entry(path, IMAGES.images, b"[[1],[],[]]")


def damage_labels_are_no_json(path: Path) -> None:
    save_entry(path, IMAGES.images, b"[[1")


def damage_one_label(path: Path) -> None:
    raw = path.read_bytes()
    assert raw.count(b"0.5") == 1
    path.write_bytes(raw.replace(b"0.5", b"0.7"))


def damage_not_bytes(path: Path) -> None:
    save_entry(path, IMAGES.images.float(), b"[[1,2],[],[]]")


@pytest.mark.parametrize(
    "damage",
    [
        damage_nothing_left,
        damage_truncated,
        damage_one_pixel,
        damage_no_metadata,
        damage_no_tensor,
        damage_too_few_labels,
        damage_labels_are_no_json,
        damage_one_label,
        damage_not_bytes,
    ],
)
def test_damaged_entry_is_made_again(config: DataConfig, caplog: pytest.LogCaptureFixture, damage: Any) -> None:
    decoder = Decoder()
    read(config, decoder)
    damage(entry_path(config, 2, 3))
    with caplog.at_level(logging.WARNING):
        images = read(config, decoder)
    assert decoder.calls == 2
    assert "damaged" in caplog.text
    assert torch.equal(images.images, IMAGES.images)
    read(config, decoder)
    assert decoder.calls == 2


def test_full_disk_only_warns(
    config: DataConfig, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, cache_folder: Path
) -> None:
    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    decoder = Decoder()
    with caplog.at_level(logging.WARNING):
        assert read(config, decoder).labels == IMAGES.labels
    assert "No space left on device" in caplog.text
    assert not [p for p in cache_folder.rglob("*") if p.is_file()]


def test_cache_folder_that_cannot_be_made_only_warns(
    config: DataConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("EBM_STUDIO_CACHE", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        assert read(config, Decoder()).labels == IMAGES.labels
    assert "is not cached" in caplog.text


def test_labels_of_any_length_are_kept(config: DataConfig, caplog: pytest.LogCaptureFixture) -> None:
    long = ImageSet(IMAGES.images, ["a" * 10**8, 1])  # more than the header of a safetensors file may be
    calls = []
    for _ in range(2):
        assert cached(config, 2, 3, lambda: calls.append(1) or long).labels == long.labels  # type: ignore[func-returns-value]
    assert len(calls) == 1
    assert not caplog.records


def test_what_safetensors_refuses_only_warns(
    config: DataConfig, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> bytes:
        raise SafetensorError("HeaderTooLarge")

    monkeypatch.setattr("train.data.cache.save", refuse)
    with caplog.at_level(logging.WARNING):
        assert read(config, Decoder()).labels == IMAGES.labels
    assert "is not cached: HeaderTooLarge" in caplog.text


def test_bad_data_leaves_no_entry(tmp_path: Path, cache_folder: Path) -> None:
    with pytest.raises(ValueError):
        load(DataConfig(source="folder", path=str(tmp_path)), 8)
    assert not list(cache_folder.rglob("*.safetensors"))
