"""Sources with an official distribution, on tiny files of its format: pixels, labels, splits, and errors."""

import hashlib
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
import torchvision.datasets as tv
from PIL import Image

from ebm_core.images import from_pil
from train.data import DataConfig, load

RNG = np.random.default_rng(0)


def noise(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


# --- CIFAR ---


def make_cifar(root: Path, dataset: Any, label_key: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Two images in every official file; their sums take the place of the official ones."""
    folder = root / dataset.base_folder
    folder.mkdir()
    made = {}
    for files in ("train_list", "test_list"):
        sums = []
        for name, _ in getattr(dataset, files):
            made[name] = (noise(2, 3072), [int(y) for y in RNG.integers(0, 10, 2)])
            (folder / name).write_bytes(pickle.dumps({"data": made[name][0], label_key: made[name][1]}))
            sums.append([name, md5(folder / name)])
        monkeypatch.setattr(dataset, files, sums)
    meta = folder / dataset.meta["filename"]
    meta.write_bytes(pickle.dumps({dataset.meta["key"]: [str(i) for i in range(10)]}))
    monkeypatch.setattr(dataset, "meta", dataset.meta | {"md5": md5(meta)})
    return made


@pytest.mark.parametrize(
    ("source", "dataset", "label_key"), [("cifar10", tv.CIFAR10, "labels"), ("cifar100", tv.CIFAR100, "fine_labels")]
)
def test_cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: Any, dataset: Any, label_key: str) -> None:
    made = make_cifar(tmp_path, dataset, label_key, monkeypatch)
    for split, files in (("train", dataset.train_list), ("test", dataset.test_list)):
        data = load(DataConfig(source, str(tmp_path), split), 32)
        pixels = np.concatenate([made[name][0] for name, _ in files]).reshape(-1, 3, 32, 32)
        assert torch.equal(data.images, torch.from_numpy(pixels))
        assert data.labels == [y for name, _ in files for y in made[name][1]]


def test_cifar_resized_and_grey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_cifar(tmp_path, tv.CIFAR10, "labels", monkeypatch)
    pixels = made["test_batch"][0].reshape(2, 3, 32, 32).transpose(0, 2, 3, 1)
    for size, channels in ((16, 3), (32, 1)):
        images = load(DataConfig("cifar10", str(tmp_path), "test"), size, channels).images
        assert torch.equal(images, torch.stack([from_pil(Image.fromarray(p), size, channels) for p in pixels]))


def test_cifar_file_with_another_sum_is_not_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_cifar(tmp_path, tv.CIFAR10, "labels", monkeypatch)

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "ran",)

    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match="'cifar10' is neither whole in"):
        load(DataConfig("cifar10", str(tmp_path)), 32)
    assert not (tmp_path / "ran").exists()


# --- SVHN ---


def test_svhn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = {}
    sums = {}
    for split, (url, name, _) in tv.SVHN.split_list.items():
        pixels, labels = noise(3, 32, 32, 3), np.array([10, 1, 9], np.uint8)
        scipy.io.savemat(tmp_path / name, {"X": pixels.transpose(1, 2, 3, 0), "y": labels[:, None]})
        made[split] = pixels
        sums[split] = [url, name, md5(tmp_path / name)]
    monkeypatch.setattr(tv.SVHN, "split_list", sums)
    for split, pixels in made.items():
        data = load(DataConfig("svhn", str(tmp_path), split), 32)
        assert torch.equal(data.images, torch.from_numpy(pixels).permute(0, 3, 1, 2))
        assert data.labels == [0, 1, 9]


# --- MNIST and Fashion-MNIST ---


def write_idx(path: Path, array: np.ndarray) -> None:
    """The idx format of the MNIST files: type 8 = uint8, dimensions as big-endian integers, bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes())


@pytest.mark.parametrize(("source", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
def test_mnist_is_padded_with_black(tmp_path: Path, source: Any, folder: str) -> None:
    raw = tmp_path / folder / "raw"
    made = {"train": noise(4, 28, 28), "test": noise(2, 28, 28)}
    for split, prefix in (("train", "train"), ("test", "t10k")):
        write_idx(raw / f"{prefix}-images-idx3-ubyte", made[split])
        write_idx(raw / f"{prefix}-labels-idx1-ubyte", np.arange(len(made[split]), dtype=np.uint8))
    for split, pixels in made.items():
        for channels in (1, 3):
            data = load(DataConfig(source, str(tmp_path), split), 32, channels)
            expected = torch.zeros(len(pixels), channels, 32, 32, dtype=torch.uint8)
            expected[:, :, 2:30, 2:30] = torch.from_numpy(pixels)[:, None]
            assert torch.equal(data.images, expected)
            assert data.labels == list(range(len(pixels)))


# --- CelebA ---

NAMES = [f"{i:06d}.png" for i in range(1, 7)]
PARTITION = [0, 0, 1, 1, 2, 2]


def make_celeba(root: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[np.ndarray], np.ndarray]:
    """Six lossless images, two of each official split; forty attributes of -1 or 1."""
    folder = root / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    pixels = [noise(218, 178, 3) for _ in NAMES]
    for name, array in zip(NAMES, pixels):
        Image.fromarray(array).save(folder / "img_align_celeba" / name)
    attributes = RNG.integers(0, 2, (6, 40))
    header = " ".join(f"attribute_{i}" for i in range(40))

    def lines(values: Any) -> str:
        return "".join(f"{name} {' '.join(f'{v:2d}' for v in row)}\n" for name, row in zip(NAMES, values))

    (folder / "list_attr_celeba.txt").write_text(f"6\n{header}\n" + lines(attributes * 2 - 1))
    (folder / "list_eval_partition.txt").write_text(lines([[p] for p in PARTITION]))
    (folder / "identity_CelebA.txt").write_text(lines([[1]] * 6))
    (folder / "list_bbox_celeba.txt").write_text("6\nx y w h\n" + lines([[0, 0, 1, 1]] * 6))
    (folder / "list_landmarks_align_celeba.txt").write_text("6\na b\n" + lines([[0, 0]] * 6))
    sums = [(i, md5(folder / n) if n.endswith(".txt") else m, n) for i, m, n in tv.CelebA.file_list]
    monkeypatch.setattr(tv.CelebA, "file_list", sums)
    return pixels, attributes


@pytest.mark.parametrize(("split", "part"), [("train", [0, 1]), ("valid", [2, 3]), ("test", [4, 5]), ("all", range(6))])
def test_celeba(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: str, part: Any) -> None:
    pixels, attributes = make_celeba(tmp_path, monkeypatch)
    config = DataConfig("celeba", str(tmp_path), split)
    data = load(config, 148)  # the size of the face's box: nothing is resized
    expected = np.stack([pixels[i][47:195, 15:163] for i in part])
    assert torch.equal(data.images, torch.from_numpy(expected).permute(0, 3, 1, 2))
    names = [f"attribute_{i}" for i in range(40)]
    assert data.labels == [dict(zip(names, row)) for row in attributes[list(part)].tolist()]
    small = load(config, 16).images
    assert torch.equal(small[0], from_pil(Image.fromarray(expected[0]), 16))


def test_celeba_bad_images_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_celeba(tmp_path, monkeypatch)
    path = tmp_path / "celeba" / "img_align_celeba" / NAMES[1]
    Image.new("RGB", (10, 10)).save(path)
    with pytest.raises(ValueError, match=rf"{NAMES[1]} cannot be used: it has \(10, 10\) pixels"):
        load(DataConfig("celeba", str(tmp_path)), 16)
    path.write_bytes(b"no image")
    with pytest.raises(ValueError, match=rf"{NAMES[1]} cannot be used"):
        load(DataConfig("celeba", str(tmp_path)), 16)
    path.unlink()
    with pytest.raises(ValueError, match=rf"{NAMES[1]} cannot be used"):
        load(DataConfig("celeba", str(tmp_path)), 16)


# --- DTD ---


def make_dtd(root: Path, width: int = 12, height: int = 8) -> dict[str, list[np.ndarray]]:
    data = root / "dtd" / "dtd"
    (data / "labels").mkdir(parents=True)
    made: dict[str, list[np.ndarray]] = {}
    for split in ("train", "val", "test"):
        lines = []
        made[split] = []
        for texture in ("banded", "zigzagged"):
            name = f"{texture}/{texture}_{split}.png"  # the official ones are JPEG, found by these lists too
            (data / "images" / name).parent.mkdir(parents=True, exist_ok=True)
            made[split].append(noise(height, width, 3))
            Image.fromarray(made[split][-1]).save(data / "images" / name)
            lines.append(f"{name}\n")
        (data / "labels" / f"{split}1.txt").write_text("".join(lines))
    return made


def test_dtd_centre_and_corner(tmp_path: Path) -> None:
    made = make_dtd(tmp_path)
    for split, pixels in made.items():
        centre = load(DataConfig("dtd", str(tmp_path), split), 8)
        assert torch.equal(centre.images, torch.from_numpy(np.stack(pixels)[:, :, 2:10]).permute(0, 3, 1, 2))
        assert centre.labels == [0, 1]
        resized = load(DataConfig("dtd", str(tmp_path), split), 4)
        assert torch.equal(resized.images[1], from_pil(Image.fromarray(pixels[1]), 4))
        corner = load(DataConfig("dtd", str(tmp_path), split, "top_left"), 4)
        assert torch.equal(corner.images, torch.from_numpy(np.stack(pixels)[:, :4, :4]).permute(0, 3, 1, 2))


def test_dtd_corner_of_a_small_image(tmp_path: Path) -> None:
    make_dtd(tmp_path)
    with pytest.raises(ValueError, match=r"image 0 of split 'train'.* too few for a corner of 16x16"):
        load(DataConfig("dtd", str(tmp_path), crop="top_left"), 16)


def test_dtd_broken_image(tmp_path: Path) -> None:
    make_dtd(tmp_path)
    next((tmp_path / "dtd" / "dtd" / "images" / "zigzagged").glob("*train*")).write_bytes(b"no image")
    with pytest.raises(ValueError, match="image 1 of split 'train' of DTD"):
        load(DataConfig("dtd", str(tmp_path)), 8)


# --- LSUN ---


OFFICIAL: list[Any] = ["cifar10", "cifar100", "svhn", "celeba", "lsun", "mnist", "fashion_mnist", "dtd", "imagenet32"]


@pytest.mark.parametrize("source", OFFICIAL)
def test_missing_folder(tmp_path: Path, source: Any) -> None:
    with pytest.raises(ValueError, match="absent is not a folder; give the folder with the files of"):
        load(DataConfig(source, str(tmp_path / "absent")), 32)
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize("source", OFFICIAL)
def test_unknown_split(tmp_path: Path, source: Any) -> None:
    with pytest.raises(ValueError, match=r"split.* got 'holdout'"):
        load(DataConfig(source, str(tmp_path), "holdout"), 32)


@pytest.mark.parametrize("source", ["cifar10", "cifar100", "svhn", "celeba", "mnist", "fashion_mnist", "dtd"])
def test_no_files_and_no_network(tmp_path: Path, source: Any) -> None:
    with pytest.raises(ValueError, match=f"'{source}' is neither whole in .* nor could be downloaded there"):
        load(DataConfig(source, str(tmp_path)), 32)
