"""ImageNet at 32x32: its numpy files, whole and damaged."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from test_data_official import RNG, noise

from train.data import DataConfig, load

# --- ImageNet 32x32 ---


def make_imagenet(root: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    made = {}
    for name in [f"train_data_batch_{i}" for i in range(1, 11)] + ["val_data"]:
        made[name] = (noise(2, 3072), RNG.integers(1, 1001, 2))
        np.savez(root / f"{name}.npz", data=made[name][0], labels=made[name][1], mean=np.zeros(3072))
    return made


def test_imagenet32(tmp_path: Path) -> None:
    made = make_imagenet(tmp_path)
    train = load(DataConfig("imagenet32", str(tmp_path)), 32)
    batches = [made[f"train_data_batch_{i}"] for i in range(1, 11)]
    assert torch.equal(train.images, torch.from_numpy(np.concatenate([b[0] for b in batches]).reshape(-1, 3, 32, 32)))
    assert train.labels == [int(y) - 1 for b in batches for y in b[1]]
    (tmp_path / "val_data.npz").rename(tmp_path / "val_data")  # also known without the ending
    val = load(DataConfig("imagenet32", str(tmp_path), "val"), 32)
    assert torch.equal(val.images, torch.from_numpy(made["val_data"][0].reshape(-1, 3, 32, 32)))
    assert load(DataConfig("imagenet32", str(tmp_path), "val"), 16, 1).images.shape == (2, 1, 16, 16)


def test_imagenet32_missing_batch(tmp_path: Path) -> None:
    make_imagenet(tmp_path)
    (tmp_path / "train_data_batch_7.npz").unlink()
    with pytest.raises(ValueError, match=r"train_data_batch_7\.npz is not there"):
        load(DataConfig("imagenet32", str(tmp_path)), 32)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"data": noise(2, 3072)}, "is not a whole npz file"),
        ({"data": noise(2, 12288), "labels": np.array([1, 2])}, r"shape \(N, 3072\), got uint8 of shape \(2, 12288\)"),
        ({"data": np.zeros((2, 3072)), "labels": np.array([1, 2])}, "must be uint8"),
        ({"data": noise(2, 3072), "labels": np.array([1])}, "must be 2 whole numbers from 1 to 1000"),
        ({"data": noise(2, 3072), "labels": np.array([0, 1])}, "must be 2 whole numbers from 1 to 1000"),
        ({"data": noise(2, 3072), "labels": np.array([1, 1001])}, "must be 2 whole numbers from 1 to 1000"),
        ({"data": noise(2, 3072), "labels": np.array([1.5, 2])}, "must be 2 whole numbers from 1 to 1000"),
        ({"data": np.array([{}, {}]), "labels": np.array([1, 2])}, "is not a whole npz file"),  # needs unpickling
    ],
)
def test_imagenet32_wrong_arrays(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "val_data.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        load(DataConfig("imagenet32", str(tmp_path), "val"), 32)


@pytest.mark.parametrize("content", [b"", b"no npz", b"PK\x03\x04 cut short", pickle.dumps({"data": 1, "labels": 2})])
def test_imagenet32_not_npz(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "val_data").write_bytes(content)
    with pytest.raises(ValueError, match="is not a whole npz file"):
        load(DataConfig("imagenet32", str(tmp_path), "val"), 32)


def test_imagenet32_lone_npy(tmp_path: Path) -> None:
    with (tmp_path / "val_data").open("wb") as file:
        np.save(file, noise(2, 3072))
    with pytest.raises(ValueError, match="is not a whole npz file"):
        load(DataConfig("imagenet32", str(tmp_path), "val"), 32)
