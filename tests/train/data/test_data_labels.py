"""Labels beside pictures: where they are found, in which form, and what is said of pictures without."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from ebm_core.attribute import Attribute
from tests.train.data.test_data_archive import make_zip, picture, png
from train.batch import label_vectors
from train.data import DataConfig, ImageSet, load

KIND = Attribute("kind", "binary", ("label",), ("a", "b"))
PICTURES = {name: png(picture()) for name in ("sub/0.png", "sub/1.png", "2.png")}
LABELS = {"sub/0.png": 0, "sub/1.png": 1, "2.png": 1}  # in the order of names: 2, 0, 1
JSON = json.dumps({"labels": list(LABELS.items())}).encode()
TABLE = "".join(f"{name},{label}\r\n" for name, label in [("file", "label"), *LABELS.items()])


def loaded(tmp_path: Path, files: dict[str, bytes]) -> ImageSet:
    return load(DataConfig(path=str(make_zip(tmp_path / "d.zip", files))), 8)


def inside(folder: str, files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}/{name}": data for name, data in files.items()}


@pytest.mark.parametrize(
    "files",
    [
        PICTURES | {"dataset.json": JSON},
        inside("mine", PICTURES | {"dataset.json": JSON}),
        inside("mine", PICTURES) | {"mine/dataset.json": JSON.replace(b'["', b'["mine/')},
        PICTURES | {"labels.csv": TABLE.encode()},
        inside("mine/deeper", PICTURES | {"labels.csv": TABLE.encode("utf-8-sig")}),
        PICTURES | {"labels.csv": TABLE.replace(",", ";").encode("utf-16")},
        PICTURES | {"labels.csv": TABLE.replace(",", "\t").replace("sub/", ".\\sub\\").encode()},
        {name.replace("/", "\\"): data for name, data in PICTURES.items()} | {"dataset.json": JSON},
        PICTURES | {"dataset.json": JSON} | {"sub/dataset.json": b"of something else"},
    ],
)
def test_labels_are_found(tmp_path: Path, files: dict[str, bytes], caplog: pytest.LogCaptureFixture) -> None:
    data = loaded(tmp_path, files)
    vectors = label_vectors(data.labels, KIND, data.names)
    assert torch.equal(vectors, torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]))
    assert "json" not in caplog.text.replace("sub/dataset.json", "")
    assert "csv" not in caplog.text


def test_a_table_has_a_column_for_each_attribute(tmp_path: Path) -> None:
    table = b'file,type,hue,young\n2.png,cube,0.5,1\n"sub/0.png", sphere ,-1e-3,0\n\n'
    assert loaded(tmp_path, PICTURES | {"labels.csv": table}).labels == [
        {"type": "cube", "hue": 0.5, "young": 1},
        {"type": "sphere", "hue": -0.001, "young": 0},
        None,
    ]


def test_a_table_keeps_the_zeros_that_a_name_begins_with(tmp_path: Path) -> None:
    table = b"file,class,hue\n2.png,01,0.5\nsub/0.png, 007 ,0\n"
    assert loaded(tmp_path, PICTURES | {"labels.csv": table}).labels == [
        {"class": "01", "hue": 0.5},
        {"class": "007", "hue": 0},
        None,
    ]


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (b"2.png,0\nsub/0.png,1\n", "its first line is '2.png,0'"),
        (b"file\n2.png\n", "its first line is 'file'"),
        (b"\n", ""),
        (b"file,label\n2.png\n", ""),
        (b"file,label\n2.png,0,1\n", ""),
        (b"file,label\n\xff.png,0\n", "utf-8"),
        (b'file,label\n"2.png"x,0\n', ""),
    ],
)
def test_a_table_of_another_form_is_refused(tmp_path: Path, table: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=r"labels\.csv is not of the form file,label and then a line") as caught:
        loaded(tmp_path, PICTURES | {"labels.csv": table})
    assert reason in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_label_file_without_a_byte_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"d\.zip: labels\.csv: the file is empty"):
        loaded(tmp_path, PICTURES | {"labels.csv": b""})


def test_two_files_must_not_label_one_picture(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"2\.png has labels in two files; keep one of them"):
        loaded(tmp_path, PICTURES | {"dataset.json": JSON, "labels.csv": TABLE.encode()})


def test_a_label_of_a_picture_that_is_left_out_is_no_error(tmp_path: Path) -> None:
    table = TABLE.encode() + b"3.tga,0\n4,1\n"
    data = loaded(tmp_path, PICTURES | {"labels.csv": table, "3.tga": b"some pixels", "4": b""})
    assert list(data.names) == sorted(PICTURES)
    assert [note.partition(": ")[2] for note in data.notes] == [
        "left out: 4: neither the name nor the first bytes are those of a picture",
        "left out: 3.tga: this is not an image that can be read here, or its first bytes are damaged; take one of "
        "PNG, JPEG, WEBP, AVIF, GIF, BMP, TIFF, PPM",
    ]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, None, None], r"2 of 3 pictures have no label, such as b\.png; labels are looked for in dataset\.json"),
        ([0, 1, "c"], r"c\.png: kind must be one of a, b; got 'c'"),
        ([0, {"type": 1}, 1], r"b\.png: the labels have no 'label'; there are: type"),
    ],
)
def test_a_picture_without_a_usable_label_is_named(labels: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        label_vectors(labels, KIND, ["a.png", "b.png", "c.png"])
    with pytest.raises(ValueError, match=message.replace(r"b\.png", "picture 2").replace(r"c\.png", "picture 3")):
        label_vectors(labels, KIND)
