"""Colour spaces: profiles are obeyed, sRGB stays bit for bit, a damaged profile costs a note and nothing else."""

import struct

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from ebm_core import images
from ebm_core.pictures import read_picture
from tests.core.test_pictures import SIZE, encoded, pixels

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
# Red and blue have changed places: what such a file calls red looks blue.
SWAPPED = SRGB.replace(b"rXYZ", b"xXYZ").replace(b"bXYZ", b"rXYZ").replace(b"xXYZ", b"bXYZ")


def print_profile():
    """CMYK to Lab by a table of the sixteen full and empty inks: none is white, cyan alone is black, others grey."""
    lightness = [255 if inks == 0 else 0 if inks == 0b1000 else 128 for inks in range(16)]
    ramp = bytes(range(256))
    identity = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + ramp * 4
    table += b"".join(bytes([value, 128, 128]) for value in lightness) + ramp * 3
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    start = 128 + 4 + 2 * 12
    tags = struct.pack(">I4sII4sII", 2, b"A2B0", start, len(table), b"wtpt", start + len(table), len(white))
    header = bytearray(128)
    header[:4] = struct.pack(">I", start + len(table) + len(white))
    header[8:12], header[12:24], header[36:40] = bytes([2, 0x10, 0, 0]), b"prtrCMYKLab ", b"acsp"
    header[68:80] = struct.pack(">3i", 63190, 65536, 54061)
    return bytes(header) + tags + table + white


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_srgb_by_its_own_name_changes_no_bit(format):
    options = {"lossless": True} if format == "WEBP" else {}
    picture = read_picture(encoded(format, icc_profile=SRGB, **options), SIZE)
    assert torch.equal(picture.u8, pixels())
    assert picture.notes == ()


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_another_rgb_space_becomes_srgb(format):
    options = {"lossless": True} if format == "WEBP" else {}
    picture = read_picture(encoded(format, icc_profile=SWAPPED, **options), SIZE)
    assert (picture.u8.int() - pixels().flip(0).int()).abs().max() <= 1
    assert picture.notes == ("colours converted to sRGB",)


def test_a_palette_and_transparent_pixels_are_converted_too():
    image = Image.new("RGBA", (SIZE, SIZE), (255, 0, 0, 255))
    image.paste((0, 0, 0, 0), (0, 0, 4, SIZE))
    for mode in ("RGBA", "P"):
        picture = read_picture(images.encode(image.convert(mode), "PNG", icc_profile=SWAPPED), SIZE)
        assert (picture.u8[:, 0, 0].tolist(), picture.u8[:, 0, 7].tolist()) == ([255, 255, 255], [0, 0, 255]), mode
        assert picture.notes == ("transparent parts shown on white", "colours converted to sRGB")


def test_grey_of_an_rgb_space_stays_grey():
    picture = read_picture(encoded(mode="L", icc_profile=SWAPPED), SIZE)
    wanted = torch.from_numpy(np.array(images.to_pil(pixels()).convert("L"))).int()
    assert (picture.u8.int() - wanted).abs().max() <= 1


def test_ink_is_read_by_its_profile():
    ink = Image.new("CMYK", (SIZE, SIZE), (255, 0, 0, 0))
    ink.paste((0, 0, 0, 0), (0, 0, 4, SIZE))
    picture = read_picture(images.encode(ink, "TIFF", icc_profile=print_profile()), SIZE)
    assert (picture.u8[:, :, :4] >= 254).all()
    assert (picture.u8[:, :, 4:] <= 1).all()  # cyan, had the profile been ignored
    assert picture.notes == ("CMYK colours converted to RGB",)


def test_lab_is_converted():
    lab = Image.new("LAB", (SIZE, SIZE), (0, 128, 128))
    lab.paste((255, 128, 128), (0, 0, 4, SIZE))
    picture = read_picture(images.encode(lab, "TIFF"), SIZE)
    assert (picture.u8[:, :, :4] >= 254).all()
    assert (picture.u8[:, :, 4:] <= 1).all()
    assert picture.notes == ("LAB colours converted to RGB",)


@pytest.mark.parametrize("profile", [b"junk" * 40, SRGB[:200], SRGB[:36] + b"junk" + SRGB[40:], print_profile()])
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP", "AVIF", "JPEG"])
def test_a_profile_that_is_damaged_or_of_other_pixels_costs_a_note(format, profile):
    picture = read_picture(encoded(format, icc_profile=profile), SIZE)
    assert torch.equal(picture.u8, read_picture(encoded(format), SIZE).u8)
    assert picture.notes == ("its colour profile cannot be used: colours taken as sRGB",)
