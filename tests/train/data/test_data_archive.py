"""Zips and folders of images: pixels, order, labels, and what is said of bad ones."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from ebm_core.pictures import HEIC
from train.data import DataConfig, load

RNG = np.random.default_rng(0)


def picture(width: int = 8, height: int = 8) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def make_zip(path: Path, files: dict[str, bytes], labels: Any = None) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        if labels is not None:
            archive.writestr("dataset.json", labels if isinstance(labels, str | bytes) else json.dumps(labels))
    return path


def chw(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)


def test_zip_pixels_labels_and_order(tmp_path: Path) -> None:
    pixels = {name: picture() for name in ("00001/b.png", "00000/c.png", "00000/a.png")}
    labels = [["00001/b.png", 3], ["00000/a.png", {"type": "cube", "hue": 0.5}]]
    files = {name: png(p) for name, p in pixels.items()} | {"readme.txt": b"no image"}
    path = make_zip(tmp_path / "d.zip", files, {"labels": labels})
    data = load(DataConfig(path=str(path)), 8)
    assert data.images.dtype == torch.uint8
    order = ["00000/a.png", "00000/c.png", "00001/b.png"]
    assert torch.equal(data.images, torch.stack([chw(pixels[name]) for name in order]))
    assert data.labels == [{"type": "cube", "hue": 0.5}, None, 3]


def test_several_zips_follow_each_other(tmp_path: Path) -> None:
    first, second = picture(), picture()
    a = make_zip(tmp_path / "a.zip", {"0.png": png(first)}, {"labels": [["0.png", 1]]})
    b = make_zip(tmp_path / "b.zip", {"0.png": png(second)}, {"labels": [["0.png", 2]]})
    data = load(DataConfig(path=f"{b}, {a}"), 8)
    assert torch.equal(data.images, torch.stack([chw(second), chw(first)]))
    assert data.labels == [2, 1]


@pytest.mark.parametrize("labels", [None, {"labels": None}, {}])
def test_labels_may_be_absent(tmp_path: Path, labels: Any) -> None:
    path = make_zip(tmp_path / "d.zip", {"0.png": png(picture())}, labels)
    assert load(DataConfig(path=str(path)), 8).labels == [None]


def test_centre_square_is_resized(tmp_path: Path) -> None:
    wide = np.zeros((8, 16, 3), np.uint8)
    wide[:, 4:8], wide[:, 8:12] = (200, 0, 0), (0, 100, 0)  # the centre square is half red, half green
    path = make_zip(tmp_path / "d.zip", {"0.png": png(wide)})
    image = load(DataConfig(path=str(path)), 4).images[0]
    assert image.shape == (3, 4, 4)
    assert image[0].unique().tolist() == [0, 200]
    assert torch.equal(image[0, :, :2], torch.full((4, 2), 200, dtype=torch.uint8))
    assert torch.equal(image[1, :, 2:], torch.full((4, 2), 100, dtype=torch.uint8))


def test_one_channel(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "d.zip", {"0.png": png(np.full((8, 8, 3), 77, np.uint8))})
    assert torch.equal(load(DataConfig(path=str(path)), 8, 1).images, torch.full((1, 1, 8, 8), 77, dtype=torch.uint8))


def test_folder_pixels_labels_and_hidden_files(tmp_path: Path) -> None:
    pixels = {name: picture() for name in ("sub/b.png", "a.PNG")}
    for name, array in pixels.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(png(array))
    (tmp_path / "__MACOSX").mkdir()
    for name in ("__MACOSX/c.png", ".hidden.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"no image")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": [["sub/b.png", [0, 1]]]}))
    data = load(DataConfig(source="folder", path=str(tmp_path)), 8)
    assert torch.equal(data.images, torch.stack([chw(pixels["a.PNG"]), chw(pixels["sub/b.png"])]))
    assert data.labels == [None, [0, 1]]


def test_missing_paths(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"absent\.zip is not a zip file that can be read"):
        load(DataConfig(path=str(tmp_path / "absent.zip")), 8)
    with pytest.raises(ValueError, match="absent is not a folder"):
        load(DataConfig(source="folder", path=str(tmp_path / "absent")), 8)
    with pytest.raises(ValueError, match="path is empty"):
        load(DataConfig(), 8)


def test_one_missing_of_several_zips_is_named(tmp_path: Path) -> None:
    here = make_zip(tmp_path / "here.zip", {"0.png": png(picture())})
    with pytest.raises(ValueError, match=r"gone\.zip"):
        load(DataConfig(path=f"{here},{tmp_path / 'gone.zip'}"), 8)


def test_not_a_zip(tmp_path: Path) -> None:
    (tmp_path / "d.zip").write_bytes(b"these are no zip's bytes")
    with pytest.raises(ValueError, match="is not a zip file that can be read"):
        load(DataConfig(path=str(tmp_path / "d.zip")), 8)


def test_damaged_member(tmp_path: Path) -> None:
    image = png(picture())
    path = make_zip(tmp_path / "d.zip", {"0.png": image})
    raw = bytearray(path.read_bytes())
    raw[raw.find(image) + 20] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=r"d\.zip:0\.png cannot be read: the file cannot be unpacked"):
        load(DataConfig(path=str(path)), 8)


def test_empty_zip_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there are no picture files there"):
        load(DataConfig(path=str(make_zip(tmp_path / "d.zip", {}))), 8)
    with pytest.raises(ValueError, match="there are no picture files there"):
        load(DataConfig(source="folder", path=str(tmp_path)), 8)


def test_broken_image_is_named(tmp_path: Path) -> None:
    good = png(picture())
    path = make_zip(tmp_path / "d.zip", {"0.png": good, "1.png": good[:60]})
    with pytest.raises(ValueError, match=r"d\.zip:1\.png cannot be read: the image is damaged or cut off"):
        load(DataConfig(path=str(path)), 8)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "3",
        '{"labels": 3}',
        '{"labels": [1]}',
        '{"labels": [["0.png"]]}',
        b"\xff\xfe",
        "[" * 100_000,
        '{"labels": [[0, 1]]}',
    ],
)
def test_wrong_dataset_json(tmp_path: Path, text: str | bytes) -> None:
    path = make_zip(tmp_path / "d.zip", {"0.png": png(picture())}, text)
    with pytest.raises(ValueError, match=r"dataset\.json is not of the form"):
        load(DataConfig(path=str(path)), 8)


def test_label_of_an_absent_image(tmp_path: Path) -> None:
    labels = {"labels": [["0.png", 1], ["9.png", 1]]}
    path = make_zip(tmp_path / "d.zip", {"0.png": png(picture())}, labels)
    with pytest.raises(ValueError, match=r"names 1 images that are not there, such as 9\.png"):
        load(DataConfig(path=str(path)), 8)


def test_channels_and_options_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 or 3 channels"):
        load(DataConfig(path=str(make_zip(tmp_path / "d.zip", {"0.png": png(picture())}))), 8, 2)
    with pytest.raises(ValueError, match="has no splits"):
        load(DataConfig(path="x.zip", split="test"), 8)
    with pytest.raises(ValueError, match="for source 'dtd' only"):
        DataConfig(source="folder", crop="top_left")
    with pytest.raises(ValueError, match="crop must be"):
        DataConfig(source="dtd", crop="middle")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="source must be one of zip, folder"):
        load(DataConfig(source="tar", path="x"), 8)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def test_files_are_read_as_everywhere_else(tmp_path: Path) -> None:
    grey = picture()[:, :, 0]
    rgb = picture()
    on_side = Image.Exif()
    on_side[ExifTags.Base.Orientation] = 6
    clear = Image.new("RGBA", (8, 8))
    path = make_zip(
        tmp_path / "d.zip",
        {
            "0-sixteen.png": encoded(Image.fromarray(grey.astype(np.uint16) * 257), "PNG"),
            "1-phone.png": encoded(Image.fromarray(np.rot90(rgb)), "PNG", exif=on_side),
            "2-clear.png": encoded(clear, "PNG"),
            "3.gif": encoded(Image.fromarray(grey), "GIF"),
            "4.tif": encoded(Image.fromarray(rgb), "TIFF"),
            "5.jpg_large": png(rgb),
        },
    )
    data = load(DataConfig(path=str(path)), 8)
    wanted = [np.dstack([grey] * 3), rgb, np.full((8, 8, 3), 255, np.uint8), np.dstack([grey] * 3), rgb, rgb]
    assert torch.equal(data.images, torch.stack([chw(pixels) for pixels in wanted]))


def test_what_is_left_out_is_said_every_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
    files = {"0.png": png(picture()), "1.svg": b"<svg/>", "notes.txt": b"no picture at all", "2.tga": bytes(100)}
    path = make_zip(tmp_path / "d.zip", files | ({} if HEIC else {"3": heic}))
    for _ in range(2):  # the second time from the cache
        caplog.clear()
        assert len(load(DataConfig(path=str(path)), 8).images) == 1
        said = "\n".join(caplog.messages)
        assert f"{path}: left out: 1.svg, 2.tga: this is not an image that can be read here" in said
        assert f"{path}: left out: notes.txt: neither the name nor the first bytes" in said
        assert HEIC or f"{path}: left out: 3: HEIC pictures need a decoder" in said


def test_pictures_of_other_formats_alone_are_said_to_be_that(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "d.zip", {"0.tga": bytes(100)})
    with pytest.raises(ValueError, match=r"d\.zip: there is no picture that can be read here; left out: 0\.tga: this"):
        load(DataConfig(path=str(path)), 8)


def test_a_usual_name_without_a_picture_is_damage(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "d.zip", {"0.png": png(picture()), "1.png": b"no picture at all"})
    with pytest.raises(ValueError, match=r"d\.zip:1\.png cannot be read: this is not an image"):
        load(DataConfig(path=str(path)), 8)


def test_a_folder_is_no_zip(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is a folder, not a zip file; give 'folder' as the source"):
        load(DataConfig(path=str(tmp_path)), 8)
