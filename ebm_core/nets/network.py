"""The energy network: a sum over resolutions, each term from an encoder given by a layout.

A layout is the architecture table of a paper in one line. Its tokens, left to right:
``2`` a residual block at the present width; ``2d`` a residual block, then down to half the size at twice the
base width; ``attn`` self-attention. The number after which the width is named only changes the width at a ``d``,
so it must agree with the present one elsewhere, which catches slips. CIFAR-10 in ICD is
``"1 1d 1 2d attn 2 4d 4 8d"``.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ebm_core.arguments import Bounds, brief, whole
from ebm_core.config import Positive, check_fields
from ebm_core.nets.blocks import (
    AttentionKind,
    ConvKind,
    Downsample,
    LinearDownsample,
    NormKind,
    PlainConv2d,
    PoolingKind,
    ResidualBlock,
    SelfAttention,
    TrunkKind,
    norm_groups,
)
from ebm_core.nets.silu import silu

MAX_SCALES, MAX_BLOCKS = 8, 200
TOKEN = re.compile(r"attn|\d{1,4}(?:/[1-9]\d{0,3}|\.\d{1,4})?d?")  # a multiple of the base width, perhaps a fraction


@dataclass(frozen=True)
class NetConfig:
    """Everything that makes the network; saved with every checkpoint. Defaults: CIFAR-10 in ICD."""

    image_size: Annotated[int, whole(1, 4096)] = 32  # side of the square points in pixels
    channels: Annotated[int, whole(1, 4096)] = 3
    patch: Annotated[int, whole(1, 64)] = 1  # such squares become channels before the first convolution
    width: Annotated[int, whole(1, 8192)] = 64  # base width F; the layouts count in multiples of it
    stem: Annotated[float, Bounds(0, 64, open=True)] = 1.0  # width after the first convolution, as a multiple of F
    # One layout per scale: full, half, quarter resolution. The energy is the sum of their energies.
    layouts: tuple[str, ...] = ("1 1d 1 2d attn 2 4d 4 8d", "1 1d 1 2d 2 4d", "1 1d 1 2d")
    label_dim: Annotated[int, whole(0, 10_000)] = 0  # length of the label vector; 0 = unconditional
    attention: bool = True  # False drops every "attn" of the layouts (Figure 8)
    attention_kind: AttentionKind = "dot"
    norm: NormKind = "reference"
    conv: ConvKind = "standardised"
    # "linear" = pooling before a convolution without a SiLU, none at the head: an unbroken path that cannot die.
    trunk: TrunkKind = "paper"
    pooling: PoolingKind = "average"
    energy_scale: Positive = 1.0  # the network's output times this is the energy: sets the natural step size

    def __post_init__(self) -> None:
        check_fields(self)
        if not 1 <= len(self.layouts) <= MAX_SCALES:
            raise ValueError(f"layouts must name 1 to {MAX_SCALES} scales, got {len(self.layouts)}")
        for layout in self.layouts:
            _check_layout(layout)
        coarsest = 2 ** (len(self.layouts) - 1) * self.patch
        if self.image_size < 1 or self.image_size % coarsest:
            raise ValueError(
                f"image_size {self.image_size} must be a multiple of {coarsest}: each scale halves it, and a patch of "
                f"{self.patch} must divide the coarsest"
            )
        for number, layout in enumerate(self.layouts):
            _check_fit(self, layout, self.image_size // self.patch >> number)


class EnergyNetwork(nn.Module):
    """``E(x, y)`` as a sum over resolutions (ICD section 2.4); labels ``y (B, label_dim)`` if conditional."""

    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        self.config = config
        self.bf16 = False  # autocast inside; whoever knows the device sets it, the weights stay float32
        self.scales = nn.ModuleList(Encoder(config, layout) for layout in config.layouts)

    def scale_energies(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Energies by resolution, ``(B, S)`` float32. Raises ValueError for images or labels that do not fit."""
        self._check(x, y)
        energies = []
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.bf16):
            for number, body in enumerate(self.scales):
                if number:
                    x = F.avg_pool2d(x, 2)
                energies.append(body(x, y))
        return self.config.energy_scale * torch.stack(energies, dim=1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Energy ``(B,)``: the sum of ``scale_energies``."""
        return self.scale_energies(x, y).sum(dim=1)

    def _check(self, x: Tensor, y: Tensor | None) -> None:
        c = self.config
        if x.dim() != 4 or x.shape[1:] != (c.channels, c.image_size, c.image_size):
            raise ValueError(
                f"this model takes images shaped (B, {c.channels}, {c.image_size}, {c.image_size}), got "
                f"{tuple(x.shape)}; resize them first"
            )
        if (y is None) != (c.label_dim == 0):
            raise ValueError(
                f"this model needs labels shaped (B, {c.label_dim})" if c.label_dim else "this model takes no labels"
            )
        if y is not None and y.shape != (len(x), c.label_dim):
            raise ValueError(f"labels must be shaped ({len(x)}, {c.label_dim}), got {tuple(y.shape)}")


class Encoder(nn.Module):
    """Energy ``(B,)`` at one resolution: the layout's blocks, SiLU (of a "paper" trunk), spatial mean, linear layer."""

    def __init__(self, config: NetConfig, layout: str) -> None:
        super().__init__()
        channels = _width(config, str(config.stem))
        self.patch, self.trunk = config.patch, config.trunk
        self.stem = PlainConv2d(config.channels * config.patch**2, channels, 3)
        self.layers = nn.ModuleList()
        for token in layout.split():
            if token == "attn":
                if config.attention:
                    self.layers.append(SelfAttention(channels, config.attention_kind))
                continue
            target = _width(config, token.removesuffix("d"))
            self.layers.append(ResidualBlock(channels, conv=config.conv, norm=config.norm, label_dim=config.label_dim))
            if token.endswith("d"):
                down = LinearDownsample if config.trunk == "linear" else Downsample
                self.layers.append(down(channels, target, conv=config.conv, pooling=config.pooling))
                channels = target
            elif target != channels:
                raise ValueError(
                    f"layout '{layout}': block '{token}' follows a width of {channels}; only 'd' changes it"
                )
        self.head = nn.Linear(channels, 1)

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        h = self.stem(F.pixel_unshuffle(x, self.patch) if self.patch > 1 else x)
        for layer in self.layers:
            h = layer(h, y) if isinstance(layer, ResidualBlock) else layer(h)
        # Reduced in float32 at least, whatever autocast made of the blocks.
        h = h.to(torch.promote_types(h.dtype, torch.float32))
        with torch.autocast(x.device.type, enabled=False):
            h = silu(h) if self.trunk == "paper" else h
            energy: Tensor = self.head(h.mean(dim=(2, 3)))[:, 0]
        return energy


def _check_layout(layout: str) -> None:
    tokens = layout.split()
    if len(tokens) > MAX_BLOCKS:
        raise ValueError(f"a layout has at most {MAX_BLOCKS} blocks, got {len(tokens)}")
    for token in tokens:
        if not TOKEN.fullmatch(token):
            raise ValueError(f"{brief(token)} is no width: layouts have tokens like '2', '2d' and 'attn'")


def _check_fit(config: NetConfig, layout: str, side: int) -> None:
    """Whether points of this side can be halved as often as the layout says, and its widths be normed."""
    # The paper's pooling rounds up, and so has no end; these two round down.
    halvings = sum(token.endswith("d") for token in layout.split())
    if (config.trunk == "linear" or config.pooling == "blur") and side >> halvings < 1:
        raise ValueError(
            f"layout '{layout}' halves a side of {side} points {halvings} times, of which trunk 'linear' and pooling "
            f"'blur' leave nothing; take a layout with at most {side.bit_length() - 1} 'd'"
        )
    channels = _width(config, str(config.stem))
    for token in layout.split():
        if token == "attn":
            continue
        if config.norm == "reference" and channels % norm_groups(channels):
            raise ValueError(
                f"layout '{layout}' has a block of {channels} channels, but norm 'reference' has groups of equal size: "
                f"above 128 take a multiple of {norm_groups(channels)}, or norm 'none'"
            )
        if token.endswith("d"):
            channels = _width(config, token.removesuffix("d"))


def _width(config: NetConfig, multiple: str) -> int:
    width = Fraction(multiple) * config.width
    if width <= 0 or width.denominator != 1:
        raise ValueError(f"{multiple} times the width {config.width} is not a whole number of channels")
    return int(width)
