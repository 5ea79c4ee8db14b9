"""Damaged metadata never cost the pixels; damaged pixels are never taken for whole."""

import struct
import zlib

import pytest
import torch
from PIL import ExifTags, Image

from ebm_core import images
from ebm_core.metadata import without_metadata
from ebm_core.pictures import FORMATS, PictureError, read_picture
from tests.core.test_pictures import SIZE, encoded, pixels

ASIDE = ("its metadata are damaged and left aside",)
UNREAD = ("its EXIF data cannot be read: shown as stored",)
END = 12  # bytes of the last chunk of a PNG


def chunk(kind, data, checksum=None):
    checksum = zlib.crc32(kind + data) if checksum is None else checksum
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def png_with(added, where):
    data = encoded()
    return data[:where] + added + data[where:]


@pytest.mark.parametrize("where", [33, -END], ids=["before the pixels", "behind them"])
@pytest.mark.parametrize(
    "added",
    [
        chunk(b"eXIf", b"no EXIF data at all"),
        chunk(b"tEXt", b"Raw profile type exif\0no number"),
        chunk(b"tEXt", b"name\0text", checksum=7),
        chunk(b"tEXt", b"\xff" * 100),
        chunk(b"iTXt", b"name\0"),
        chunk(b"zTXt", b"name\0\0no stream"),
        chunk(b"zTXt", b"name\0\0" + zlib.compress(bytes(2**21))),
        chunk(b"iCCP", b"name\0\7unknown compression"),
        chunk(b"pHYs", b""),
        chunk(b"gAMA", b"1"),
        chunk(b"sRGB", b""),
        chunk(b"acTL", b"1"),
    ],
)
def test_of_a_png_no_chunk_beside_the_pixels_costs_them(added, where):
    assert torch.equal(read_picture(png_with(added, where), SIZE).u8, pixels())


def test_what_was_left_aside_is_said():
    assert read_picture(png_with(chunk(b"gAMA", b"1"), 33), SIZE).notes == ASIDE
    assert read_picture(png_with(chunk(b"eXIf", b"no EXIF data at all"), 33), SIZE).notes == UNREAD


@pytest.mark.parametrize("kind", [b"EXIF", b"XMP "])
@pytest.mark.parametrize("size", [0, 1, 10**6, 2**32 - 1])
def test_of_a_webp_a_block_of_a_wrong_length_costs_nothing(kind, size):
    data = bytearray(encoded("WEBP", lossless=True, exif=b"Exif\0\0" + b"junk" * 9, xmp=b"junk" * 9))
    start = data.index(kind) + 4
    data[start : start + 4] = struct.pack("<I", size)
    picture = read_picture(bytes(data), SIZE)
    assert torch.equal(picture.u8, pixels())
    assert picture.notes == ASIDE


def test_exif_data_that_are_none_are_said_to_be_unread():
    picture = read_picture(encoded("WEBP", lossless=True, exif=b"Exif\0\0" + b"junk" * 9), SIZE)
    assert torch.equal(picture.u8, pixels())
    assert picture.notes == UNREAD


def test_an_avif_is_read_whatever_its_exif_data_are():
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "a camera"
    data = encoded("AVIF", exif=exif)
    head = data.index(b"MM\0*") if b"MM\0*" in data else data.index(b"II*\0")
    picture = read_picture(data[:head] + b"junk" + data[head + 4 :], SIZE)
    assert torch.equal(picture.u8, read_picture(data, SIZE).u8)
    assert picture.notes == ASIDE


def test_previews_behind_a_phones_jpeg_are_no_frames():
    image = images.to_pil(pixels())
    data = images.encode(image, "MPO", save_all=True, append_images=[image.resize((4, 4))])
    assert b"MPF\0" in data
    picture = read_picture(data, SIZE)
    assert torch.equal(picture.u8, read_picture(encoded("JPEG"), SIZE).u8)
    assert picture.notes == ()


@pytest.mark.parametrize("format", [format for format in FORMATS if format != "PPM"])
def test_without_metadata_the_pixels_are_the_same(format):
    options = {} if format in ("GIF", "BMP") else {"exif": Image.Exif()}
    data = encoded(format, **options)
    assert torch.equal(read_picture(without_metadata(data), SIZE).u8, read_picture(data, SIZE).u8)


def test_damaged_pixels_are_refused_with_their_own_reason():
    data = png_with(chunk(b"gAMA", b"1"), 33)
    start = data.index(b"IDAT") + 10
    for broken in (data[:start] + b"junkjunk" + data[start + 8 :], data[: start + 20]):
        with pytest.raises(PictureError, match="the image is damaged or cut off"):
            read_picture(broken, SIZE)
