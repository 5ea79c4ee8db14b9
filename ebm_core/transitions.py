"""Data-augmentation transitions of the chain (ICD section 3.2), batched on the device.

Every image has a draw of its own. Each operation takes its parameters, so that it can be checked against
torchvision's functional operation on the same ones; ``transition`` draws them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from ebm_core.arguments import Bounds
from ebm_core.config import Probability, check_fields

BLUR_KERNEL = 5
BLUR_SIGMA = (0.1, 2.0)
CROP_RATIO = (3 / 4, 4 / 3)


@dataclass(frozen=True)
class TransitionConfig:
    """Strengths of the transitions; the defaults are the reference code's.

    The strength must fit the data: a camera that never moves wants a ``crop_min_scale`` near 1.
    """

    crop_min_scale: Annotated[float, Bounds(1e-6, 1)] = 0.08  # smallest crop, a share of the area; 1 = none
    flip_prob: Probability = 0.5
    jitter_strength: Annotated[float, Bounds(0, 1.25)] = 1.0  # times 0.8 of all but hue, 0.4 of hue, which ends at 0.5
    jitter_prob: Probability = 0.8
    grayscale_prob: Probability = 0.2
    blur_prob: Probability = 0.5

    def __post_init__(self) -> None:
        check_fields(self)


def scaled(config: TransitionConfig, strength: float) -> TransitionConfig:
    """The same transitions ``strength`` times as strong: 0 = none, 1 = unchanged; ends at what is possible."""
    if not 0 <= strength <= 4:
        raise ValueError(f"the transition strength must be from 0 to 4, got {strength}")
    return TransitionConfig(
        crop_min_scale=max(0.05, 1 - (1 - config.crop_min_scale) * strength),
        flip_prob=min(1.0, config.flip_prob * strength),
        jitter_strength=min(1.25, config.jitter_strength * strength),
        jitter_prob=config.jitter_prob,
        grayscale_prob=min(1.0, config.grayscale_prob * strength),
        blur_prob=min(1.0, config.blur_prob * strength),
    )


def transition(x: Tensor, config: TransitionConfig, rng: torch.Generator) -> Tensor:
    """One random transition of images ``(B, C, H, W)`` in [0, 1], a draw of its own for each.

    ``C`` is 3, or 1: pictures without colour keep what changes colours alone (saturation, hue, greyness).
    """
    c = config
    if c.crop_min_scale < 1:
        x = resized_crop(x, draw_boxes(len(x), x.shape[2], x.shape[3], c.crop_min_scale, rng))
    if c.flip_prob > 0:
        x = _where(_coin(x, c.flip_prob, rng), x.flip(3), x)
    if c.jitter_prob > 0 and c.jitter_strength > 0:
        x = _where(_coin(x, c.jitter_prob, rng), colour_jitter(x, *draw_jitter(x, c.jitter_strength, rng)), x)
    if c.grayscale_prob > 0:
        x = _where(_coin(x, c.grayscale_prob, rng), grayscale(x).expand_as(x), x)
    if c.blur_prob > 0:
        sigma = BLUR_SIGMA[0] + (BLUR_SIGMA[1] - BLUR_SIGMA[0]) * _uniform(len(x), rng)
        x = _where(_coin(x, c.blur_prob, rng), gaussian_blur(x, sigma), x)
    return x


def draw_boxes(num: int, height: int, width: int, min_scale: float, rng: torch.Generator) -> Tensor:
    """Crop boxes ``(num, 4)``: top, left, height, width in whole pixels.

    The area is uniform, the aspect ratio log-uniform from 3:4 to 4:3; a side longer than the picture is cut to
    it (torchvision draws again instead, which a batch cannot do without waiting for the device).
    """
    area = height * width * (min_scale + (1 - min_scale) * _uniform(num, rng))
    low, high = math.log(CROP_RATIO[0]), math.log(CROP_RATIO[1])
    ratio = torch.exp(low + (high - low) * _uniform(num, rng))
    w = (area * ratio).sqrt().round().clamp(1, width)
    h = (area / ratio).sqrt().round().clamp(1, height)
    top = (_uniform(num, rng) * (height - h + 1)).floor()
    left = (_uniform(num, rng) * (width - w + 1)).floor()
    return torch.stack([top, left, h, w], dim=1)


def resized_crop(x: Tensor, boxes: Tensor) -> Tensor:
    """Each image's own box ``(B, 4)``: top, left, height, width, resized bilinearly to the full size."""
    top, left, h, w = boxes.unbind(1)
    rows = _source_coordinates(top, h, x.shape[2])
    columns = _source_coordinates(left, w, x.shape[3])
    grid = torch.stack(
        [
            (2 * columns / max(x.shape[3] - 1, 1) - 1)[:, None, :].expand(-1, x.shape[2], -1),
            (2 * rows / max(x.shape[2] - 1, 1) - 1)[:, :, None].expand(-1, -1, x.shape[3]),
        ],
        dim=3,
    )
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=True)


def _source_coordinates(start: Tensor, length: Tensor, size: int) -> Tensor:
    # Pixel centres are at half-integers; clamping to the box keeps pixels outside of it from leaking in.
    centres = (torch.arange(size, device=start.device) + 0.5) / size
    inside = (centres * length[:, None] - 0.5).clamp(min=0)
    return start[:, None] + torch.minimum(inside, length[:, None] - 1)


def draw_jitter(x: Tensor, strength: float, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Factors ``(B, 4)`` for brightness, contrast, saturation, hue and the order ``(B, 4)`` to apply them in."""
    spread = strength * torch.tensor([0.8, 0.8, 0.8, 0.4], device=x.device)
    centre = torch.tensor([1.0, 1.0, 1.0, 0.0], device=x.device)
    u = torch.rand(len(x), 4, generator=rng, device=x.device)
    factors = centre + spread * (2 * u - 1)
    factors[:, :3].clamp_(min=0)  # at strength 1.25 rounding could put a factor a hair below zero
    order = torch.rand(len(x), 4, generator=rng, device=x.device).argsort(dim=1)
    return factors, order


def colour_jitter(x: Tensor, factors: Tensor, order: Tensor) -> Tensor:
    """Brightness, contrast, saturation and hue by ``factors (B, 4)``, in each image's own ``order (B, 4)``."""
    operations: list[Callable[[Tensor, Tensor], Tensor]] = [
        adjust_brightness,
        adjust_contrast,
        adjust_saturation,
        adjust_hue,
    ]
    for place in range(4):
        results = [op(x, factors[:, i]) for i, op in enumerate(operations)]
        chosen = order[:, place]
        for i, result in enumerate(results):
            x = _where(chosen == i, result, x)
    return x


def grayscale(x: Tensor) -> Tensor:
    """Luma ``(B, 1, H, W)`` with torchvision's weights (ITU-R 601); pictures of one channel as they are."""
    if x.shape[1] == 1:
        return x
    weights = torch.tensor([0.2989, 0.587, 0.114], device=x.device, dtype=x.dtype)
    return (x * weights[:, None, None]).sum(dim=1, keepdim=True)


def adjust_brightness(x: Tensor, factor: Tensor) -> Tensor:
    """Scale towards black; ``factor (B,)``, 1 = unchanged."""
    return (x * _column(factor)).clamp(0, 1)


def adjust_contrast(x: Tensor, factor: Tensor) -> Tensor:
    """Scale towards the image's mean luma; ``factor (B,)``, 1 = unchanged."""
    return _blend(x, grayscale(x).mean(dim=(1, 2, 3), keepdim=True), factor)


def adjust_saturation(x: Tensor, factor: Tensor) -> Tensor:
    """Scale towards the grey image; ``factor (B,)``, 1 = unchanged."""
    return _blend(x, grayscale(x), factor)


def adjust_hue(x: Tensor, shift: Tensor) -> Tensor:
    """Turn the hue by ``shift (B,)``, in turns from -0.5 to 0.5; pictures of one channel have none to turn."""
    if x.shape[1] == 1:
        return x
    high, low = x.amax(dim=1), x.amin(dim=1)
    chroma = high - low
    safe = torch.where(chroma > 0, chroma, 1)
    r, g, b = ((high[:, None] - x) / safe[:, None]).unbind(1)
    is_r, is_g = x[:, 0] == high, x[:, 1] == high
    sector = torch.where(is_r, b - g, torch.where(is_g, 2 + r - b, 4 + g - r))
    hue = torch.where(chroma > 0, sector / 6, 0) + shift[:, None, None]
    # HSV back to RGB without branches: each channel is the value less the chroma times a ramp in the hue.
    offsets = torch.tensor([5.0, 3.0, 1.0], device=x.device)[:, None, None]
    k = (offsets + 6 * hue[:, None]) % 6
    return (high[:, None] - chroma[:, None] * torch.minimum(k, 4 - k).clamp(0, 1)).clamp(0, 1)


def gaussian_blur(x: Tensor, sigma: Tensor) -> Tensor:
    """Blur with a 5x5 kernel of standard deviation ``sigma (B,)`` pixels, edges reflected."""
    half = BLUR_KERNEL // 2
    offsets = torch.arange(-half, half + 1, device=x.device)
    kernel = torch.exp(-0.5 * (offsets / sigma[:, None]) ** 2)
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    b, c, h, w = x.shape
    padded = F.pad(x, [half] * 4, mode="reflect").reshape(1, b * c, h + 2 * half, w + 2 * half)
    kernel = kernel.repeat_interleave(c, dim=0)
    rows = F.conv2d(padded, kernel[:, None, :, None], groups=b * c)
    return F.conv2d(rows, kernel[:, None, None, :], groups=b * c).reshape(x.shape)


def _blend(x: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    f = _column(factor)
    return (f * x + (1 - f) * other).clamp(0, 1)


def _column(factor: Tensor) -> Tensor:
    return factor[:, None, None, None]


def _uniform(num: int, rng: torch.Generator) -> Tensor:
    return torch.rand(num, generator=rng, device=rng.device)


def _coin(x: Tensor, prob: float, rng: torch.Generator) -> Tensor:
    return _uniform(len(x), rng) < prob


def _where(mask: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    return torch.where(mask[:, None, None, None], yes, no)
