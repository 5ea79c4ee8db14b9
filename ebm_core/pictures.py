"""Image files of strangers, as the tensors that a model sees. Every bad file ends in one sentence, none in a crash.

The only decoder: training, calibrating, evaluating, scoring and the page read a file by ``read_picture``.
"""

import io
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError
from torch import Tensor

from ebm_core.colours import PixelError, to_srgb
from ebm_core.files import one_line
from ebm_core.images import centre_square, from_pil, resampling
from ebm_core.metadata import without_metadata

try:  # not a dependency: its wheels bring a large decoder that few people need
    from pillow_heif import register_heif_opener
except ImportError:
    HEIC: tuple[str, ...] = ()
else:
    register_heif_opener()
    HEIC = ("HEIF",)

# Of Pillow's 16 MiB the allocator keeps what was ever decoded, for each thread; from 32 MiB on it goes back at once.
Image.core.set_block_size(64 * 2**20)  # type: ignore[attr-defined]

# Raster formats whose decoders come with Pillow; not those that run other programs or are programs (EPS, PDF, SVG).
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM", *HEIC)
# The usual ends of such files' names. MPO is a JPEG with further pictures behind it, as phones write them.
SUFFIXES = frozenset(end for end, format in Image.registered_extensions().items() if format in (*FORMATS, "MPO"))
# Of pictures that are not read here: such a file is not passed over in silence.
OTHER_SUFFIXES = {
    ".heic",
    ".heif",
    ".hif",
    ".tga",
    ".jp2",
    ".j2k",
    ".jxl",
    ".psd",
    ".ico",
    ".svg",
    ".eps",
    ".exr",
    ".hdr",
    ".dng",
    ".cr2",
    ".cr3",
    ".nef",
    ".arw",
    ".raf",
    ".orf",
    ".rw2",
}
HEAD = 16  # bytes that tell a format
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
BAND = 2**21  # pixels that are converted at once
LOBES = 3  # of Lanczos' kernel to each side, each as wide as a pixel of the result
OBLONG = 1.25  # longer over shorter side, above which the cut to the centre square is worth a note
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What a turn does to the stored picture, whose rows are then columns, or whose first column or row is then the last.
SIDEWAYS = tuple(TURNS[number] for number in (5, 6, 7, 8))
FROM_THE_RIGHT, FROM_BELOW = (tuple(TURNS[number] for number in numbers) for numbers in ((2, 3, 7, 8), (3, 4, 6, 7)))


class PictureError(ValueError):
    """A file that cannot be read; the message says why, without the file's name."""


class FormatError(PictureError):
    """A file of no format that is read here."""


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


class Budget:
    """So many pixels may be decoded at the same time, by all threads together; the others wait. A larger one alone."""

    def __init__(self, pixels: int) -> None:
        self.pixels = self.left = pixels
        self._changed = threading.Condition()

    @contextmanager
    def of(self, width: int, height: int) -> Iterator[None]:
        """While a picture of that size is in memory."""
        cost = min(width * height, self.pixels)
        with self._changed:
            self._changed.wait_for(lambda: self.left >= cost)
            self.left -= cost
        try:
            yield
        finally:
            with self._changed:
                self.left += cost
                self._changed.notify_all()


BUDGET = Budget(50_000_000)  # of mostly 4 bytes each


class Picture(NamedTuple):
    """``u8 (C, size, size)``: what the model sees, and sentences about what was done to the file to get there."""

    u8: Tensor
    notes: tuple[str, ...]


def is_picture(head: bytes) -> bool:
    """Whether the first ``HEAD`` bytes of a file are those of a picture, HEIC included."""
    accepts = (Image.OPEN[format][1] for format in FORMATS)
    if len(head) < HEAD:
        return False
    return _is_heic(head) or any(accept is not None and accept(head) is True for accept in accepts)


def _is_heic(head: bytes) -> bool:
    return head[4:8] == b"ftyp" and head[8:12] in HEIC_BRANDS


def read_picture(data: bytes, size: int, channels: int = 3, limits: Limits | None = None) -> Picture:
    """The picture in an image file's bytes: upright, sRGB with eight bits, on white, its centre square, resized with
    antialiasing.

    Damaged metadata cost a note, not the picture. Raises PictureError, in one sentence, for anything that is not a
    whole image within the limits; FormatError if it is of another format.
    """
    limits = limits or Limits()
    limits.check_bytes(len(data))
    try:
        return _decode(data, size, channels, limits)
    except PictureError:
        raise
    # Decoders meet hostile bytes with errors of every class, and one file must not end a folder of a million.
    except Exception as error:
        return _decode_bare(data, size, channels, limits, error)


def _decode_bare(data: bytes, size: int, channels: int, limits: Limits, error: Exception) -> Picture:
    """A second try, without what a whole picture can do without. ``error`` is what the first one met with."""
    bare = without_metadata(data)
    if bare == data:
        raise _reason(data, error) from error
    try:
        picture = _decode(bare, size, channels, limits)
    except Exception as second:  # of every class, as before
        raise _reason(data, second) from second
    return Picture(picture.u8, ("its metadata are damaged and left aside", *picture.notes))


def _decode(data: bytes, size: int, channels: int, limits: Limits) -> Picture:
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        limits.check_pixels(*image.size)
        with BUDGET.of(*image.size):
            return _decode_open(image, size, channels)


def _decode_open(image: ImageFile.ImageFile, size: int, channels: int) -> Picture:
    notes = []
    # Not n_frames: counting a million empty frames takes minutes. Behind an MPO's first picture are previews.
    if getattr(image, "is_animated", False) and image.format != "MPO":
        notes.append("only the first frame of several")
    if image.format == "TIFF":  # which turns itself as it is decoded, and then knows no more of it
        (_, more), turn = _turn(image), None
        image.load()
    else:
        image.load()
        turn, more = _turn(image)
    notes += more
    shape = image.size if turn not in SIDEWAYS else image.size[::-1]
    u8, more = _square(image, turn, shape, size, channels)
    return Picture(u8, tuple(notes + more + _shape_notes(shape, size)))


def _square(
    image: Image.Image, turn: Image.Transpose | None, shape: tuple[int, int], size: int, channels: int
) -> tuple[Tensor, list[str]]:
    """The centre square of the upright picture, whose ``shape`` it is, and what was done to its colours.

    Band by band, each of which is made as narrow as it is wanted: a large picture lies in memory once, as it was
    decoded. Pillow too resizes a whole picture first in width and then in height, so every bit is the same.
    """
    left, top, right, bottom = centre_square(shape)
    side, mode = right - left, "RGB" if channels == 3 else "L"
    method, margin = resampling(side, size), math.ceil(LOBES * max(1.0, side / size)) + 1  # that is looked at beyond it
    west, north = max(0, left - margin), max(0, top - margin)
    east, south = min(right + margin, shape[0]), min(bottom + margin, shape[1])
    narrow = Image.new(mode, (size, south - north))
    notes: dict[str, None] = {}
    rows = max(1, BAND // (east - west))
    for start in range(north, south, rows):
        end = min(start + rows, south)
        part = image.crop(_stored((west, start, east, end), turn, image.size))
        band, more = to_srgb(part if turn is None else part.transpose(turn))
        box = (left - west, 0, right - west, end - start)
        narrow.paste(band.convert(mode).resize((size, end - start), method, box), (0, start - north))
        notes |= dict.fromkeys(more)
    square = narrow.resize((size, size), method, (0, top - north, size, bottom - north))
    return from_pil(square, size, channels), list(notes)


def _stored(
    box: tuple[int, int, int, int], turn: Image.Transpose | None, shape: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Where a box of the upright picture lies in the stored one, whose ``shape`` it is."""
    left, top, right, bottom = box
    if turn in SIDEWAYS:
        left, top, right, bottom = top, left, bottom, right
    if turn in FROM_THE_RIGHT:
        left, right = shape[0] - right, shape[0] - left
    if turn in FROM_BELOW:
        top, bottom = shape[1] - bottom, shape[1] - top
    return left, top, right, bottom


def _turn(image: Image.Image) -> tuple[Image.Transpose | None, list[str]]:
    """How a picture becomes upright by its EXIF or XMP data."""
    try:
        turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # of every class, as the pixels' decoders
        return None, ["its EXIF data cannot be read: shown as stored"]
    return turn, [] if turn is None else ["turned upright as its EXIF data say"]


def _reason(data: bytes, error: Exception) -> PictureError:
    if isinstance(error, PictureError | PixelError):
        return PictureError(str(error))
    if _is_heic(data) and not HEIC:
        return FormatError("HEIC pictures need a decoder that is not here: pip install pillow-heif, or save it as JPEG")
    if isinstance(error, UnidentifiedImageError):
        return FormatError(
            f"this is not an image that can be read here, or its first bytes are damaged; take one of "
            f"{', '.join(FORMATS)}"
        )
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return PictureError("the picture unpacks to far too many pixels; make it smaller")
    what = f"{type(error).__name__}: {one_line(error)}"
    return PictureError(f"the image is damaged or cut off ({what}); save it again")


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
