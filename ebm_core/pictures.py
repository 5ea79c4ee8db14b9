"""Image files of strangers, as the tensors that a model sees. Every bad file ends in one sentence, none in a crash."""

import io
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from ebm_core.images import from_pil

# Raster formats whose decoders come with Pillow; not those that run other programs or are programs (EPS, PDF, SVG).
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
OBLONG = 1.25  # longer over shorter side, above which the cut to the centre square is worth a note


class PictureError(ValueError):
    """A file that cannot be scored; the message says why, without the file's name."""


@dataclass(frozen=True)
class Limits:
    """What a file may cost before it is decoded; both are checked from its first bytes."""

    max_bytes: int = 20 * 2**20
    max_pixels: int = 50_000_000


class Picture(NamedTuple):
    """``u8 (C, size, size)``: what the model sees, and sentences about what was done to the file to get there."""

    u8: Tensor
    notes: tuple[str, ...]


def read_picture(data: bytes, size: int, channels: int = 3, limits: Limits | None = None) -> Picture:
    """The picture in an image file's bytes, upright, on white, its centre square, resized with antialiasing.

    Raises PictureError, in one sentence, for anything that is not a whole image within the limits.
    """
    limits = limits or Limits()
    if not data:
        raise PictureError("the file is empty")
    if len(data) > limits.max_bytes:
        raise PictureError(
            f"the file has {len(data) / 2**20:.1f} MiB; the limit is {limits.max_bytes / 2**20:g}: make it smaller"
        )
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > limits.max_pixels:
                raise PictureError(
                    f"the picture has {width}x{height} pixels; the limit is {limits.max_pixels / 1e6:g} million: make "
                    "it smaller"
                )
            notes = ["only the first frame of several"] if getattr(image, "n_frames", 1) > 1 else []
            upright = ImageOps.exif_transpose(image)
            if upright.size != (width, height) or image.getexif().get(0x0112, 1) != 1:
                notes.append("turned upright as its EXIF data say")
            plain, more = _eight_bit(upright)
            notes += more + _shape_notes(plain.size, size)
            return Picture(from_pil(plain, size, channels), tuple(notes))
    except PictureError:
        raise
    except UnidentifiedImageError as error:
        raise PictureError(f"this is not an image that can be read here; take one of {', '.join(FORMATS)}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureError("the picture unpacks to far too many pixels; make it smaller") from error
    # Decoders meet hostile bytes with errors of every class, and one file must not end a folder of a million.
    except Exception as error:
        raise PictureError(
            f"the image is damaged or cut off ({type(error).__name__}: {error}); save it again"
        ) from error


def _eight_bit(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """As RGB or L with eight bits, and what was lost on the way."""
    if image.mode == "F":
        raise PictureError("its pixels are floating-point numbers of unknown range; save it with 8 bits")
    if image.mode == "I" or image.mode.startswith("I;16"):
        values = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        return Image.fromarray((values / 257).round().astype(np.uint8)), ["16 bits reduced to 8"]
    if image.has_transparency_data:
        over = image.convert("RGBA")
        white = Image.new("RGBA", over.size, "white")
        return Image.alpha_composite(white, over).convert("RGB"), ["transparent parts shown on white"]
    notes = [f"{image.mode} colours converted to RGB"] if image.mode in ("CMYK", "LAB", "HSV") else []
    return image.convert("L" if image.mode in ("1", "L") else "RGB"), notes


def _shape_notes(shape: tuple[int, int], size: int) -> list[str]:
    long, short = max(shape), min(shape)
    notes = []
    if long > OBLONG * short:
        notes.append(f"only the centre square of {shape[0]}x{shape[1]} pixels")
    if short < size:
        notes.append(f"enlarged from {short} to {size} pixels")
    elif short > 4 * size:
        notes.append(f"reduced from {short} to {size} pixels: detail is lost")
    return notes
