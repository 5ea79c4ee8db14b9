"""The energy network: a sum over resolutions, each term from an encoder or a U-Net given by a layout.

A layout is the architecture table of a paper in one line. Its tokens, left to right:
``2`` a residual block at the present width; ``2d`` a residual block, then down to half the size at twice the
base width; ``attn`` self-attention. The number after which the width is named only changes the width at a ``d``,
so it must agree with the present one elsewhere, which catches slips. CIFAR-10 in ICD is
``"1 1d 1 2d attn 2 4d 4 8d"``.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ebm_core.nets.blocks import (
    ConvKind,
    Downsample,
    NormKind,
    PoolingKind,
    ResidualBlock,
    SelfAttention,
)


@dataclass(frozen=True)
class NetConfig:
    """Everything that makes the network; saved with every checkpoint. Defaults: CIFAR-10 in ICD."""

    image_size: int = 32  # side of the square images in pixels; chains start from noise of this size
    channels: int = 3
    width: int = 64  # base width F; the layouts count in multiples of it
    stem: float = 1.0  # width after the first convolution, as a multiple of F
    # One layout per scale: full, half, quarter resolution. The energy is the sum of their energies.
    layouts: tuple[str, ...] = ("1 1d 1 2d attn 2 4d 4 8d", "1 1d 1 2d 2 4d", "1 1d 1 2d")
    body: Literal["encoder", "unet"] = "encoder"
    patch: int = 1  # pixels on a side that the first convolution takes as one position
    label_dim: int = 0  # length of the label vector; 0 = unconditional
    attention: bool = True  # False drops every "attn" of the layouts (Figure 8)
    norm: NormKind = "reference"
    conv: ConvKind = "standardised"
    pooling: PoolingKind = "average"
    energy_scale: float = 1.0  # the network's output times this is the energy: sets the natural step size

    def __post_init__(self) -> None:
        if not self.layouts:
            raise ValueError("layouts must name at least one scale")
        for number, layout in enumerate(self.layouts):
            downs = sum(token.endswith("d") for token in layout.split())
            unit = self.patch * 2**number * (2**downs if self.body == "unet" else 1)
            if self.image_size % unit or self.image_size < unit:
                raise ValueError(
                    f"image_size {self.image_size} must be a multiple of {unit} for layout '{layout}' at scale "
                    f"{number} with patch {self.patch}"
                )
        if self.label_dim < 0:
            raise ValueError(f"label_dim must be 0 or more, got {self.label_dim}")


class EnergyNetwork(nn.Module):
    """``E(x, y)`` as a sum over resolutions (ICD section 2.4); labels ``y (B, label_dim)`` if conditional."""

    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        self.config = config
        self.bf16 = False  # autocast inside; whoever knows the device sets it, the weights stay float32
        body = UNet if config.body == "unet" else Encoder
        self.scales = nn.ModuleList(body(config, layout) for layout in config.layouts)

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
    """The paper's body: blocks, then SiLU, spatial mean and a linear layer to one energy ``(B,)``."""

    def __init__(self, config: NetConfig, layout: str) -> None:
        super().__init__()
        self.patch = config.patch
        self.stem, self.layers, widths = _encoder(config, layout)
        self.head = nn.Linear(widths[-1], 1)

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        h = self.stem(F.pixel_unshuffle(x, self.patch))
        for layer in self.layers:
            h = layer(h, y) if isinstance(layer, ResidualBlock) else layer(h)
        energy: Tensor = self.head(F.silu(h.float()).mean(dim=(2, 3)))[:, 0]
        return energy.float()


class UNet(nn.Module):
    """A U-Net ``u`` with the scalar ``E(x) = <x - 1/2, u(x)>``.

    The inner product makes the gradient start near ``u(x)`` itself, which the matching loss of the warm start
    learns much faster than an encoder's (measured in weights/objects/README.md). The decoder mirrors the
    encoder: up by two, add the encoder's features of that size, one residual block.
    """

    def __init__(self, config: NetConfig, layout: str) -> None:
        super().__init__()
        self.patch = config.patch
        self.stem, self.layers, widths = _encoder(config, layout)
        self.ups = nn.ModuleList()
        self.blocks = nn.ModuleList()
        for low, high in zip(widths[:0:-1], widths[-2::-1], strict=True):
            self.ups.append(nn.Conv2d(low, high, 3, padding=1))
            self.blocks.append(_block(config, high))
        self.out = nn.Conv2d(widths[0], config.channels * config.patch**2, 3, padding=1)

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        h = self.stem(F.pixel_unshuffle(x, self.patch))
        skips = []
        for layer in self.layers:
            if isinstance(layer, Downsample):
                skips.append(h)
            h = layer(h, y) if isinstance(layer, ResidualBlock) else layer(h)
        for up, block in zip(self.ups, self.blocks, strict=True):
            h = block(F.interpolate(up(h), scale_factor=2.0, mode="nearest") + skips.pop(), y)
        u = F.pixel_shuffle(self.out(F.silu(h)), self.patch)
        return ((x.float() - 0.5) * u.float()).sum(dim=(1, 2, 3))


def _block(config: NetConfig, channels: int) -> ResidualBlock:
    return ResidualBlock(channels, conv=config.conv, norm=config.norm, label_dim=config.label_dim)


def _encoder(config: NetConfig, layout: str) -> tuple[nn.Conv2d, nn.ModuleList, list[int]]:
    """Stem, layers, and the width at each resolution from the first to the last."""
    channels = _width(config, str(config.stem))
    stem = nn.Conv2d(config.channels * config.patch**2, channels, 3, padding=1)
    layers, widths = nn.ModuleList(), [channels]
    for token in layout.split():
        if token == "attn":
            if config.attention:
                layers.append(SelfAttention(channels))
            continue
        target = _width(config, token.removesuffix("d"))
        layers.append(_block(config, channels))
        if token.endswith("d"):
            layers.append(Downsample(channels, target, conv=config.conv, pooling=config.pooling))
            channels = target
            widths.append(channels)
        elif target != channels:
            raise ValueError(f"layout '{layout}': block '{token}' follows a width of {channels}; only 'd' changes it")
    return stem, layers, widths


def _width(config: NetConfig, multiple: str) -> int:
    try:
        width = Fraction(multiple) * config.width
    except ValueError as error:
        raise ValueError(f"'{multiple}' is no width: layouts have tokens like '2', '2d' and 'attn'") from error
    if width <= 0 or width.denominator != 1:
        raise ValueError(f"{multiple} times the width {config.width} is not a whole number of channels")
    return int(width)
