"""Pixels of any colour space as sRGB, on white, with eight bits: what every model was trained on."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

SPACES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}  # of profiles, and the mode of their pixels
UNUSABLE = "its colour profile cannot be used: colours taken as sRGB"


class PixelError(ValueError):
    """Pixels whose range nobody knows; the message says which, and what to do."""


def to_srgb(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """A decoded picture as RGB or L with eight bits, and sentences about what was done to it.

    Raises PixelError for numbers that are no colours.
    """
    profile = image.info.get("icc_profile")
    plain, notes = _eight_bits(image)
    if plain.has_transparency_data:
        plain, more = _on_white(plain)
        notes += more
    elif plain.mode in ("1", "P", "YCbCr"):
        plain = plain.convert("L" if plain.mode == "1" else "RGB")
    if profile or plain.mode not in ("L", "RGB"):
        plain, more = _converted(plain, profile or b"")
        notes += more
    return plain, notes


def _eight_bits(image: Image.Image) -> tuple[Image.Image, list[str]]:
    if image.mode == "F":
        raise PixelError("its pixels are floating-point numbers of unknown range; save it with 8 bits")
    if image.mode != "I" and not image.mode.startswith("I;16"):
        return image, []
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise PixelError(
            f"its pixels are whole numbers from {values.min()} to {values.max()}, beyond 16 bits; save it with 8 bits"
        )
    return Image.fromarray((values / 257).round().astype(np.uint8)), ["16 bits reduced to 8"]


def _on_white(image: Image.Image) -> tuple[Image.Image, list[str]]:
    mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    over = image.convert("RGBA")
    if over.getchannel("A").getextrema() == (255, 255):
        return over.convert(mode), []
    white = Image.new("RGBA", over.size, "white")
    return Image.alpha_composite(white, over).convert(mode), ["transparent parts shown on white"]


def _converted(image: Image.Image, profile: bytes) -> tuple[Image.Image, list[str]]:
    """By the profile; without one, or with one that does not fit, as the mode alone says."""
    notes = [] if image.mode in ("L", "RGB") else [f"{image.mode} colours converted to RGB"]
    try:
        transform, mode = _transform(profile, image.mode)
    # Profiles are programs of strangers: any class of error.
    except Exception:
        notes += [UNUSABLE] if profile else []
        transform, mode = _transform(b"", image.mode)
    if transform is None:
        return image if image.mode in ("L", "RGB") else image.convert("RGB"), notes
    converted = ImageCms.applyTransform(image if image.mode == mode else image.convert(mode), transform)
    assert converted is not None
    return converted, notes or ["colours converted to sRGB"]


@lru_cache(maxsize=64)  # a folder's pictures mostly have one profile, and it takes longer to build than to apply
def _transform(profile: bytes, mode: str) -> tuple[ImageCms.ImageCmsTransform | None, str]:
    """From a profile to sRGB, and the mode it is applied to; None where it would move no colour.

    An empty profile is what a mode alone says. Raises errors of many classes for one that is damaged or does not fit.
    """
    if not profile and mode != "LAB":
        return None, mode
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile)) if profile else ImageCms.createProfile("LAB")
    space = source.profile.xcolor_space if isinstance(source, ImageCms.ImageCmsProfile) else source.xcolor_space
    target = SPACES[space.strip()]
    if target != mode and (mode, target) != ("L", "RGB"):
        raise ValueError(f"the profile is of {target} pixels, not of {mode}")
    transform = ImageCms.buildTransform(
        source,
        ImageCms.createProfile("sRGB"),
        target,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    return (None if target in ("L", "RGB") and _moves_nothing(transform, target) else transform), target


def _moves_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether no colour of a lattice moves by more than the rounding of one step: sRGB by whatever name."""
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    axes = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(len(steps), -1, 3)
    lattice = Image.fromarray(axes).convert(mode)
    moved = ImageCms.applyTransform(lattice, transform)
    return bool(np.abs(np.asarray(moved, np.int16) - np.asarray(lattice.convert("RGB"), np.int16)).max() <= 1)
