"""Bombs, limits and damaged files: each gives a picture or one sentence."""

import io
import random
import struct
import threading
import zlib

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageOps

from ebm_core import images
from ebm_core.colours import to_srgb
from ebm_core.images import from_pil
from ebm_core.pictures import (
    TURNS,
    Budget,
    Limits,
    PictureError,
    read_picture,
)
from tests.core.picture_bytes import SIZE, encoded, pixels, refusal


def png_of_size(width, height):
    """A PNG that says it has so many black and white pixels, with data for none."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_a_bomb_of_30000_by_30000_pixels_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("it was unpacked"))
    assert refusal(png_of_size(30_000, 30_000)) == "the picture unpacks to far too many pixels; make it smaller"
    assert "has 8000x7000 pixels; the limit is 50 million" in refusal(png_of_size(8000, 7000))
    assert "has 9x8 pixels; the limit is 7.1e-05 million" in refusal(png_of_size(9, 8), limits=Limits(max_pixels=71))


def test_limits_are_those_that_are_configured():
    data = encoded("BMP")
    assert read_picture(data, SIZE, limits=Limits(len(data), SIZE * SIZE)).notes == ()
    assert "MiB; the limit is 0.000" in refusal(data, limits=Limits(max_bytes=len(data) - 1))
    with pytest.raises(ValueError, match="limits must be positive, got 0 bytes"):
        Limits(max_bytes=0)


def valid_files():
    """One tiny file of every format and of every kind of pixel that its decoder has a way of its own for."""
    rgb = images.to_pil(pixels())
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    more = [images.to_pil(pixels(seed)) for seed in (1, 2)]
    sixteen = Image.fromarray(np.arange(64, dtype=np.uint16).reshape(SIZE, SIZE) * 1000)
    made = {
        "png": (rgb, "PNG", {"exif": exif}),
        "png palette": (rgb.quantize(8), "PNG", {"transparency": 3}),
        "png grey": (ImageOps.grayscale(rgb), "PNG", {}),
        "png alpha": (rgb.convert("RGBA"), "PNG", {}),
        "png 16 bits": (sixteen, "PNG", {}),
        "png animated": (rgb, "PNG", {"save_all": True, "append_images": more}),
        "jpeg": (rgb, "JPEG", {"exif": exif}),
        "jpeg progressive": (rgb, "JPEG", {"progressive": True}),
        "jpeg cmyk": (rgb.convert("CMYK"), "JPEG", {}),
        "webp": (rgb, "WEBP", {"exif": exif}),
        "webp lossless": (rgb.convert("RGBA"), "WEBP", {"lossless": True}),
        "webp animated": (rgb, "WEBP", {"save_all": True, "append_images": more}),
        "avif": (rgb, "AVIF", {"exif": exif}),
        "gif": (rgb, "GIF", {}),
        "gif animated": (rgb, "GIF", {"save_all": True, "append_images": more}),
        "bmp": (rgb, "BMP", {}),
        "bmp palette": (rgb.quantize(8), "BMP", {}),
        "tiff": (rgb, "TIFF", {"exif": exif}),
        "tiff 16 bits": (sixteen, "TIFF", {}),
        "tiff float": (sixteen.convert("F"), "TIFF", {}),
        "tiff lzw": (rgb, "TIFF", {"compression": "tiff_lzw"}),
        "tiff deflate": (rgb, "TIFF", {"compression": "tiff_adobe_deflate"}),
        "tiff jpeg": (rgb, "TIFF", {"compression": "jpeg"}),
        "tiff pages": (rgb, "TIFF", {"save_all": True, "append_images": more}),
        "ppm": (rgb, "PPM", {}),
        "ppm grey": (ImageOps.grayscale(rgb), "PPM", {}),
        "pbm": (rgb.convert("1"), "PPM", {}),
    }
    return {name: images.encode(image, format, **options) for name, (image, format, options) in made.items()}


def mutated(data, chance):
    """A copy that was cut, or had bytes changed (often in its head), removed, inserted or repeated."""
    result = bytearray(data)
    kind = chance.choice(["cut", "head", "head", "bytes", "bytes", "remove", "insert", "repeat"])
    start = chance.randrange(len(data))
    stop = min(len(data), start + chance.randint(1, 8))
    if kind == "cut":
        del result[start:]
    elif kind == "remove":
        del result[start:stop]
    elif kind == "insert":
        result[start:start] = chance.randbytes(stop - start)
    elif kind == "repeat":
        result[start:start] = result[start:stop] * chance.randint(1, 20)
    else:
        end = min(len(data), 64) if kind == "head" else len(data)
        for _ in range(chance.randint(1, 6)):
            result[chance.randrange(end)] = chance.choice([0, 1, 127, 128, 255, chance.randrange(256)])
    return bytes(result)


def picture_or_sentence(data, limits):
    try:
        return read_picture(data, SIZE, limits=limits)
    except PictureError as error:
        return str(error)


@pytest.mark.filterwarnings("ignore")  # Pillow warns of odd metadata; on the page and the command line that is all
def test_thousands_of_damaged_files_each_give_a_picture_or_a_sentence():
    chance = random.Random(0)
    limits = Limits(max_pixels=100_000)  # a changed header must not cost seconds
    seen, refused = 0, 0
    files = valid_files()
    for name, data in files.items():
        for number in range(300):
            result = picture_or_sentence(mutated(data, chance), limits)
            if isinstance(result, str):
                refused += 1
                assert len(result.splitlines()) == 1, (name, number)
            else:
                seen += 1
                assert result.u8.shape == (3, SIZE, SIZE), (name, number)
                assert result.u8.dtype == torch.uint8, (name, number)
    print(f"{seen + refused} damaged files of {len(files)} kinds: {seen} pictures, {refused} sentences")
    assert seen + refused == 300 * 27 == 8100
    assert min(seen, refused) > 1000


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize(
    ("mode", "size"), [("RGB", 6), ("RGBA", 17), ("P", 5), ("LA", 4), ("L", 40), ("I;16", 6), ("1", 3)]
)
def test_a_large_picture_read_in_bands_is_the_same(mode, size, turn, monkeypatch):
    values = np.random.default_rng(0).integers(0, 256, (23, 18, 4), dtype=np.uint8)
    picture = Image.fromarray(values).convert({"I;16": "L"}.get(mode, mode))
    if mode == "I;16":
        picture = Image.fromarray(values[..., 0].astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = turn
    file = io.BytesIO()
    picture.save(file, "PNG", exif=exif)
    upright = picture if turn == 1 else picture.transpose(TURNS[turn])
    monkeypatch.setattr("ebm_core.pictures.BAND", 5 * 18)
    for channels in (1, 3):
        whole, notes = to_srgb(upright)
        read = read_picture(file.getvalue(), size, channels)
        assert torch.equal(read.u8, from_pil(whole, size, channels))
        assert set(notes) <= set(read.notes)


def test_pictures_wait_while_too_many_pixels_are_in_memory():
    budget, order = Budget(100), []
    second = threading.Event()

    def decode():
        with budget.of(10, 10):
            order.append("other")
            second.set()

    with budget.of(20, 20):  # larger than all of it: alone
        other = threading.Thread(target=decode)
        other.start()
        assert not second.wait(0.05)
        order.append("first")
    other.join(60)
    assert order == ["first", "other"]
    assert budget.left == 100
    with pytest.raises(ZeroDivisionError), budget.of(3, 3):
        _ = budget.left / 0
    assert budget.left == 100
