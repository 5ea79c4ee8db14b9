"""Image files of strangers, as the tensors that a model sees. Every bad file ends in one sentence, none in a crash."""

import io
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from ebm_core.files import one_line
from ebm_core.images import from_pil

# Raster formats whose decoders come with Pillow; not those that run other programs or are programs (EPS, PDF, SVG).
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
OBLONG = 1.25  # longer over shorter side, above which the cut to the centre square is worth a note


class PictureError(ValueError):
    """A file that cannot be scored; the message says why, without the file's name."""


@dataclass(frozen=True)
class Limits:
    """What a file may cost; both are checked before a pixel is decoded."""

    max_bytes: int = 20 * 2**20
    max_pixels: int = 50_000_000  # Pillow itself stops at 179 million

    def __post_init__(self) -> None:
        if self.max_bytes < 1 or self.max_pixels < 1:
            raise ValueError(f"limits must be positive, got {self.max_bytes} bytes and {self.max_pixels} pixels")

    def check_bytes(self, num: int) -> None:
        """Raises PictureError for a file of ``num`` bytes that is empty or too large: ask before reading it."""
        if num == 0:
            raise PictureError("the file is empty")
        if num > self.max_bytes:
            raise PictureError(
                f"the file has {num / 2**20:.1f} MiB; the limit is {self.max_bytes / 2**20:g}: make it smaller"
            )

    def check_pixels(self, width: int, height: int) -> None:
        """Raises PictureError for a picture of too many pixels."""
        if width * height > self.max_pixels:
            raise PictureError(
                f"the picture has {width}x{height} pixels; the limit is {self.max_pixels / 1e6:g} million: make it "
                "smaller"
            )


class Picture(NamedTuple):
    """``u8 (C, size, size)``: what the model sees, and sentences about what was done to the file to get there."""

    u8: Tensor
    notes: tuple[str, ...]


def read_picture(data: bytes, size: int, channels: int = 3, limits: Limits | None = None) -> Picture:
    """The picture in an image file's bytes, upright, on white, its centre square, resized with antialiasing.

    Raises PictureError, in one sentence, for anything that is not a whole image within the limits.
    """
    limits = limits or Limits()
    limits.check_bytes(len(data))
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            limits.check_pixels(*image.size)
            # Not n_frames: counting a million empty frames takes minutes.
            notes = ["only the first frame of several"] if getattr(image, "is_animated", False) else []
            if image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9):  # gone once a TIFF is decoded
                notes.append("turned upright as its EXIF data say")
            plain, more = _eight_bit(ImageOps.exif_transpose(image))
            notes += more + _shape_notes(plain.size, size)
            return Picture(from_pil(plain, size, channels), tuple(notes))
    except PictureError:
        raise
    except UnidentifiedImageError as error:
        raise PictureError(
            f"this is not an image that can be read here, or its first bytes are damaged; take one of "
            f"{', '.join(FORMATS)}"
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureError("the picture unpacks to far too many pixels; make it smaller") from error
    # Decoders meet hostile bytes with errors of every class, and one file must not end a folder of a million.
    except Exception as error:
        what = f"{type(error).__name__}: {one_line(error)}"
        raise PictureError(f"the image is damaged or cut off ({what}); save it again") from error


def _eight_bit(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """As RGB or L with eight bits, and what was lost on the way."""
    if image.mode == "F":
        raise PictureError("its pixels are floating-point numbers of unknown range; save it with 8 bits")
    if image.mode == "I" or image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise PictureError(
                f"its pixels are whole numbers from {values.min()} to {values.max()}, beyond 16 bits; save it with 8 "
                "bits"
            )
        return Image.fromarray((values / 257).round().astype(np.uint8)), ["16 bits reduced to 8"]
    if image.has_transparency_data:
        over = image.convert("RGBA")
        is_opaque = over.getchannel("A").getextrema() == (255, 255)
        white = Image.new("RGBA", over.size, "white")
        notes = [] if is_opaque else ["transparent parts shown on white"]
        return Image.alpha_composite(white, over).convert("RGB"), notes
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
