"""Images between files, bytes and tensors in [0, 1]; grids and films of chains."""

import io
import json
import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from ebm_core.files import HEAD, kind_of, one_line

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
SHEET_SIDE = 96  # pixels at least that a picture is looked at with
RECIPE_KEY = "ebm-studio"  # name of the PNG text chunk that says how a picture was made


def quantise(x: Tensor) -> Tensor:
    """[0, 1] to uint8: the inverse of ``dequantise``."""
    return (x * 256).floor().clamp(0, 255).to(torch.uint8)


def dequantise(u8: Tensor, rng: torch.Generator) -> Tensor:
    """uint8 to [0, 1]: ``(u8 + U(0, 1)) / 256``, so that pixels have a density."""
    return (u8 + torch.rand(u8.shape, generator=rng, device=u8.device)) / 256


def to_pil(x: Tensor) -> Image.Image:
    """One image ``(C, H, W)`` in [0, 1], or uint8, as a PIL image."""
    u8 = x if x.dtype == torch.uint8 else quantise(x)
    array = u8.permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)


def centre_square(shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of it in a picture of ``shape`` (width, height)."""
    side = min(shape)
    left, top = (shape[0] - side) // 2, (shape[1] - side) // 2
    return left, top, left + side, top + side


def resampling(side: int, size: int) -> Image.Resampling:
    """How ``side`` pixels become ``size``."""
    return Image.Resampling.BOX if side % size == 0 else Image.Resampling.LANCZOS


def from_pil(image: Image.Image, size: int, channels: int = 3) -> Tensor:
    """A PIL image as uint8 ``(C, size, size)``: the centre square, resized with antialiasing."""
    image = image.convert("RGB" if channels == 3 else "L")
    if image.size != (size, size):
        box = centre_square(image.size)
        image = image.resize((size, size), resampling(box[2] - box[0], size), box=box)
    array = np.array(image).reshape(size, size, channels)
    return torch.from_numpy(array).permute(2, 0, 1).contiguous()


def tile(x: Tensor, columns: int, padding: int, value: float) -> Tensor:
    """Images ``(B, C, H, W)`` beside and below each other as one ``(3, H', W')``, ``value`` around each; one alone as
    it is. What ``torchvision.utils.make_grid`` gives, whose import would cost every process seconds and 160 MiB."""
    num, channels, height, width = x.shape
    x = x.expand(num, max(3, channels), height, width)
    if num == 1:
        return x[0]
    columns = min(columns, num)
    rows = math.ceil(num / columns)
    cells = F.pad(x, (padding, 0, padding, 0), value=value)
    cells = torch.cat([cells, cells.new_full((rows * columns - num, *cells.shape[1:]), value)])
    lines = cells.unflatten(0, (rows, columns)).permute(2, 0, 3, 1, 4).flatten(3).flatten(1, 2)
    return F.pad(lines, (0, padding, 0, padding), value=value)


def grid(x: Tensor, columns: int | None = None, *, zoom: int = 1, padding: int = 2) -> Image.Image:
    """Images ``(B, C, H, W)`` in [0, 1] as one picture, pixels enlarged ``zoom`` times without smoothing."""
    columns = columns or math.ceil(math.sqrt(len(x)))
    x = x.repeat_interleave(zoom, dim=2).repeat_interleave(zoom, dim=3)
    return to_pil(tile(x, columns, padding, 1.0))


def sheet(x: Tensor, columns: int = 8) -> Image.Image:
    """``grid`` of pictures to look at: small ones are enlarged to about ``SHEET_SIDE`` pixels."""
    return grid(x, columns, zoom=max(1, SHEET_SIDE // x.shape[3]))


def encode_sheet(x: Tensor, columns: int = 8) -> bytes:
    """``sheet`` as a WebP file: a seventh of a PNG, and to the eye the same."""
    return encode(sheet(x, columns), "WEBP", quality=90, method=6)


def encode(image: Image.Image, format: str, **options: Any) -> bytes:
    """A PIL image as the bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def encode_film(frames: Sequence[Image.Image], *, frame_ms: int = 80, hold_ms: int = 1500) -> bytes:
    """Frames as an endless animated GIF; the last one stays for ``hold_ms``."""
    durations = [frame_ms] * (len(frames) - 1) + [hold_ms]
    # A palette for each frame (one for all, made from the last, would starve the noise), and no dithering: it doubles
    # the file and shows as specks on smooth ground.
    frames = [frame.quantize(method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE) for frame in frames]
    return encode(frames[0], "GIF", save_all=True, append_images=list(frames[1:]), duration=durations, loop=0)


def encode_png(image: Image.Image, recipe: dict[str, Any]) -> bytes:
    """A PNG whose text chunk holds, as JSON, all that is needed to make the same picture again."""
    info = PngInfo()
    info.add_itxt(RECIPE_KEY, json.dumps(recipe))
    return encode(image, "PNG", pnginfo=info)


def read_own(data: bytes, kind: Literal["PNG", "WebP"], most: int = 10**7) -> Image.Image:
    """A file that this program or its page made, as RGBA; everybody else's pictures go through ``ebm_core.pictures``.

    Raises ValueError, in a sentence, for what is none of that kind, damaged, or of more than so many pixels.
    """
    try:
        with Image.open(io.BytesIO(data), formats=[kind.upper()]) as image:
            if image.width * image.height > most:
                raise ValueError(f"it has {image.width}x{image.height} pixels")
            return image.convert("RGBA")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"this is no {kind} that can be read: {one_line(error)}") from error


def read_recipe(data: bytes) -> dict[str, Any]:
    """The recipe of a PNG made by ``encode_png``. Raises ValueError, in a sentence, when there is none."""
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            text = image.info.get(RECIPE_KEY)  # chunks before the pixels; ``image.text`` would decode these
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        what = kind_of(data[:HEAD]) if not data.startswith(PNG_SIGNATURE) else f"damaged ({one_line(error)})"
        raise ValueError(f"this is not a PNG file that can be read: it is {what}") from error
    if text is None:
        raise ValueError("this PNG has no settings in it; only pictures saved by EBM Studio do")
    try:
        recipe = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("the settings in this PNG are damaged; download the picture again") from error
    if not isinstance(recipe, dict):
        raise ValueError("the settings in this PNG are not of EBM Studio's form")
    return recipe
