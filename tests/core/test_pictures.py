"""Image files of strangers: each gives the right picture with the right notes, or one sentence."""

import io
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from ebm_core import images
from ebm_core.pictures import (
    FORMATS,
    HEAD,
    HEIC,
    OTHER_SUFFIXES,
    SUFFIXES,
    is_picture,
    read_picture,
)
from tests.core.picture_bytes import SIZE, encoded, pixels, refusal


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("PPM", {}),
    ],
)
def test_a_lossless_file_of_the_right_size_is_seen_bit_for_bit(format, options):
    picture = read_picture(encoded(format, **options), SIZE)
    assert torch.equal(picture.u8, pixels())
    assert picture.notes == ()


def test_a_grey_model_sees_luma():
    picture = read_picture(encoded(), SIZE, channels=1)
    assert torch.equal(picture.u8[0], torch.from_numpy(np.array(images.to_pil(pixels()).convert("L"))))
    assert read_picture(encoded(mode="L"), SIZE).u8.shape == (3, SIZE, SIZE)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM"])
def test_a_truncated_file_is_refused(format):
    assert format in FORMATS
    data = encoded(format)
    assert "damaged or cut off" in refusal(data[:-40])
    # Three bytes are the whole signature of a PPM; of the others nothing can be told by them.
    assert ("damaged or cut off" if format == "PPM" else "not an image that can be read here") in refusal(data[:3])


def test_a_file_without_a_byte_is_refused():
    assert refusal(b"") == "the file is empty"


@pytest.mark.parametrize("data", [b"hello, I am a text file called cat.png", b"%PDF-1.7\n", b"\0" * 100, b"<svg/>"])
def test_other_files_with_the_name_of_an_image_are_refused(data):
    assert refusal(data).startswith("this is not an image that can be read here, or ")
    assert refusal(data).endswith("take one of PNG, JPEG, WEBP, AVIF, GIF, BMP, TIFF, PPM")


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_is_seen(format):
    frames = [images.to_pil(pixels(seed)).convert("P").convert("RGB") for seed in range(3)]
    options = {"lossless": True} if format == "WEBP" else {}
    data = images.encode(frames[0], format, save_all=True, append_images=frames[1:], **options)
    picture = read_picture(data, SIZE)
    if format == "GIF":  # which has a palette of its own making
        with Image.open(io.BytesIO(images.encode(frames[0], "GIF"))) as alone:
            frames[0] = alone.convert("RGB")
    assert torch.equal(picture.u8, images.from_pil(frames[0], SIZE))
    assert picture.notes == ("only the first frame of several",)


def test_cmyk_is_converted_with_a_note():
    ink = Image.new("CMYK", (SIZE, SIZE), (255, 0, 0, 0))
    picture = read_picture(images.encode(ink, "TIFF"), SIZE)
    assert picture.u8[:, 0, 0].tolist() == [0, 255, 255]
    assert picture.notes == ("CMYK colours converted to RGB",)
    assert read_picture(images.encode(ink, "JPEG"), SIZE).notes == picture.notes


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_reduced_to_eight_over_the_whole_range(format):
    values = (np.arange(64, dtype=np.uint32) * 65535 // 63).astype(np.uint16).reshape(SIZE, SIZE)
    picture = read_picture(images.encode(Image.fromarray(values), format), SIZE)
    assert torch.equal(picture.u8[0], torch.from_numpy((values / 257).round().astype(np.uint8)))
    assert picture.u8.flatten()[[0, 63]].tolist() == [0, 255]
    assert picture.notes == ("16 bits reduced to 8",)


def test_whole_numbers_beyond_sixteen_bits_are_refused():
    for value in (-1, 65536):
        data = images.encode(Image.fromarray(np.full((SIZE, SIZE), value, dtype=np.int32)), "TIFF")
        assert f"whole numbers from {value} to {value}, beyond 16 bits" in refusal(data)


def test_floating_point_pixels_are_refused():
    data = images.encode(Image.fromarray(np.zeros((SIZE, SIZE), dtype=np.float32)), "TIFF")
    assert refusal(data) == "its pixels are floating-point numbers of unknown range; save it with 8 bits"


def test_a_palette_is_looked_up():
    image = images.to_pil(pixels()).quantize(16)
    picture = read_picture(images.encode(image, "PNG"), SIZE)
    assert torch.equal(picture.u8, images.from_pil(image.convert("RGB"), SIZE))
    assert picture.notes == ()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_turned_upright(format, orientation):
    # Four quarters of different colours, so that all eight turns and mirrorings differ.
    upright = Image.new("RGB", (32, 32))
    for number, colour in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]):
        upright.paste(colour, (number % 2 * 16, number // 2 * 16, number % 2 * 16 + 16, number // 2 * 16 + 16))
    turns = Image.Transpose
    undo = {
        2: turns.FLIP_LEFT_RIGHT,
        3: turns.ROTATE_180,
        4: turns.FLIP_TOP_BOTTOM,
        5: turns.TRANSPOSE,
        6: turns.ROTATE_90,
        7: turns.TRANSVERSE,
        8: turns.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {"lossless": True} if format == "WEBP" else {}
    picture = read_picture(images.encode(stored, format, exif=exif, **options), 2)
    wanted = images.from_pil(upright, 2).float()
    assert (picture.u8 - wanted).abs().max() < 15  # JPEG smears colours
    turned = ("turned upright as its EXIF data say",) if orientation > 1 else ()
    assert picture.notes == (*turned, "reduced from 32 to 2 pixels: detail is lost")


def test_an_orientation_that_is_none_turns_nothing():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 9
    picture = read_picture(encoded(exif=exif), SIZE)
    assert torch.equal(picture.u8, pixels())
    assert picture.notes == ()


def test_a_single_pixel_is_enlarged_with_a_note():
    picture = read_picture(images.encode(Image.new("RGB", (1, 1), (1, 2, 3)), "PNG"), SIZE)
    assert torch.equal(picture.u8, torch.tensor([1, 2, 3], dtype=torch.uint8)[:, None, None].expand(3, SIZE, SIZE))
    assert picture.notes == ("enlarged from 1 to 8 pixels",)


def test_of_an_oblong_picture_the_centre_square_is_seen_with_a_note():
    wide = Image.new("RGB", (24, 8))
    wide.paste((9, 8, 7), (8, 0, 16, 8))
    picture = read_picture(images.encode(wide, "PNG"), SIZE)
    assert (picture.u8 == torch.tensor([9, 8, 7])[:, None, None]).all()
    assert picture.notes == ("only the centre square of 24x8 pixels",)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_shown_on_white(mode):
    image = Image.new("RGBA", (SIZE, SIZE), (0, 0, 0, 255))
    image.paste((0, 0, 0, 0), (0, 0, 4, SIZE))
    picture = read_picture(images.encode(image.convert(mode), "PNG"), SIZE)
    assert (picture.u8[:, :, :4] == 255).all()
    assert (picture.u8[:, :, 4:] == 0).all()
    assert picture.notes == ("transparent parts shown on white",)


def test_an_alpha_channel_that_hides_nothing_is_not_worth_a_note():
    picture = read_picture(encoded(mode="RGBA"), SIZE)
    assert torch.equal(picture.u8, pixels())
    assert picture.notes == ()


# --- formats ---

HEIC_HEAD = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


def test_heic_is_a_picture_whose_decoder_has_to_be_installed(monkeypatch):
    monkeypatch.setattr("ebm_core.pictures.HEIC", ())
    assert is_picture(HEIC_HEAD[:HEAD])
    assert refusal(HEIC_HEAD + bytes(100)) == (
        "HEIC pictures need a decoder that is not here: pip install pillow-heif, or save it as JPEG"
    )


def test_the_suffixes_are_those_of_the_formats():
    assert {
        ".png",
        ".apng",
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".mpo",
        ".webp",
        ".avif",
        ".avifs",
        ".gif",
        ".bmp",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".pfm",
    } == {suffix for suffix in SUFFIXES if not suffix.startswith((".hei", ".hif"))}
    assert not SUFFIXES & OTHER_SUFFIXES or HEIC


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM"])
def test_pictures_are_told_by_their_first_bytes(format):
    assert is_picture(encoded(format)[:HEAD])


@pytest.mark.parametrize(
    "data", [b"", b"P", b"BM", b"hello, I am a text", b"%PDF-1.7 and more", bytes(100), b"RIFFsizeWAVEfmt "]
)
def test_other_files_are_not(data):
    assert not is_picture(data[:HEAD])


MEMORY = """
import io, re, threading
from pathlib import Path
from PIL import Image
from ebm_core.pictures import read_picture

def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

file = io.BytesIO()
Image.new("RGBA", (3200, 3200), (0, 128, 128, 200)).save(file, "PNG")
small = io.BytesIO()
Image.new("RGBA", (32, 32)).save(small, "PNG")
read_picture(small.getvalue(), 32)
before = resident()
for _ in range(4):
    thread = threading.Thread(target=read_picture, args=(file.getvalue(), 32))
    thread.start()
    thread.join()
print(resident() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_of_a_picture_is_given_back():
    """The allocator keeps smaller blocks for each thread that has decoded one: here 156 MiB."""
    child = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    assert float(child.stdout) < 39
