"""Layers of the energy network. All can be differentiated twice, and none looks across the batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ebm_core.nets.conv import conv2d
from ebm_core.nets.silu import silu

ConvKind = Literal["standardised", "spectral", "plain"]
NormKind = Literal["reference", "none"]
TrunkKind = Literal["paper", "linear"]
PoolingKind = Literal["average", "blur"]
AttentionKind = Literal["dot", "cosine"]


class StandardisedConv2d(nn.Conv2d):
    """Convolution that keeps the size, whose weights have mean zero and variance 1/fan_in for each output channel.

    Weight standardisation of Qiao et al. (2019). The reference code leaves out the 1/fan_in; under the norm
    that follows it makes no difference, and without a norm it keeps activations from growing.
    """

    _shared: tuple[Tensor, Tensor] | None = None  # a weight and its standardised form, while ``shared_weights`` lasts

    def standardised_weight(self) -> Tensor:
        """The weight that multiplies, ``(out, in, 3, 3)``."""
        w = self.weight
        if self._shared is not None and self._shared[0] is w:  # and not a stand-in for it
            return self._shared[1]
        centred = w - w.mean(dim=(1, 2, 3), keepdim=True)
        std = centred.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        standardised: Tensor = centred / ((std + 1e-5) * w[0].numel() ** 0.5)
        return standardised

    def forward(self, x: Tensor) -> Tensor:
        return conv2d(x, self.standardised_weight(), self.bias)


class PlainConv2d(nn.Conv2d):
    """Convolution of an odd width that keeps the size."""

    def __init__(self, channels_in: int, channels_out: int, width: int) -> None:
        super().__init__(channels_in, channels_out, width, padding=width // 2)

    def forward(self, x: Tensor) -> Tensor:
        return conv2d(x, self.weight, self.bias)


@contextmanager
def shared_weights(net: nn.Module) -> Iterator[None]:
    """Inside, each weight of ``net`` is standardised once for all passes, and its gradient once for a ``backward``."""
    convs = [module for module in net.modules() if isinstance(module, StandardisedConv2d)]
    for conv in convs:
        conv._shared = (conv.weight, conv.standardised_weight())
    try:
        yield
    finally:
        for conv in convs:
            conv._shared = None


def conv3x3(kind: ConvKind, channels_in: int, channels_out: int) -> nn.Module:
    """A 3x3 convolution that keeps the size; ``spectral`` bounds its Lipschitz constant (the IGEBM baseline)."""
    if kind == "standardised":
        return StandardisedConv2d(channels_in, channels_out, 3, padding=1)
    conv = PlainConv2d(channels_in, channels_out, 3)
    return spectral_norm(conv) if kind == "spectral" else conv


def norm_groups(channels: int) -> int:
    """Of the norm ``reference``: one group per channel up to 128 channels, else 32 groups."""
    return channels if channels <= 128 else 32


def make_norm(kind: NormKind, channels: int) -> nn.Module:
    """``reference``: groups as ``norm_groups`` says."""
    return nn.Identity() if kind == "none" else nn.GroupNorm(norm_groups(channels), channels)


class ResidualBlock(nn.Module):
    """Twice (convolution, norm, label gain and bias, SiLU), plus skip; keeps the shape ``(B, C, H, W)``.

    The gain starts at one and the bias at zero for every label, so that a conditional network starts as the
    unconditional one.
    """

    def __init__(self, channels: int, *, conv: ConvKind, norm: NormKind, label_dim: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(conv3x3(conv, channels, channels) for _ in range(2))
        self.norms = nn.ModuleList(make_norm(norm, channels) for _ in range(2))
        self.labels = nn.ModuleList()
        if label_dim:
            self.labels.extend(nn.Linear(label_dim, 2 * channels) for _ in range(2))
            for layer in self.labels.parameters():
                nn.init.zeros_(layer)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = x
        for i in range(2):
            h = self.norms[i](self.convs[i](h))
            if y is not None:
                gain, bias = self.labels[i](y)[:, :, None, None].chunk(2, dim=1)
                h = h * (1 + gain) + bias
            h = silu(h)
        return x + h


class Downsample(nn.Module):
    """Convolution 3x3, pooling by two, SiLU: ``(B, C, H, W) -> (B, C', H/2, W/2)``."""

    def __init__(self, channels_in: int, channels_out: int, *, conv: ConvKind, pooling: PoolingKind) -> None:
        super().__init__()
        self.conv = conv3x3("spectral" if conv == "spectral" else "plain", channels_in, channels_out)
        self.pool = BlurPool() if pooling == "blur" else nn.AvgPool2d(3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return silu(self.pool(self.conv(x)))


class LinearDownsample(nn.Module):
    """Pooling by two, convolution 3x3: ``(B, C, H, W) -> (B, C', H/2, W/2)`` at a quarter of ``Downsample``'s work.

    A SiLU in the trunk can die: once its inputs are far below zero everything behind it is zero, and so is every
    gradient. Without one an unbroken linear path leads from the picture to the head.
    """

    def __init__(self, channels_in: int, channels_out: int, *, conv: ConvKind, pooling: PoolingKind) -> None:
        super().__init__()
        self.pool = BlurPool() if pooling == "blur" else nn.AvgPool2d(2)
        self.conv = conv3x3(conv, channels_in, channels_out)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.conv(self.pool(x))
        return result


class BlurPool(nn.Module):
    """Anti-aliased pooling by two with the binomial filter [1, 3, 3, 1] (Zhang, 2019)."""

    def forward(self, x: Tensor) -> Tensor:
        channels, row = x.shape[1], x.new_tensor([1.0, 3.0, 3.0, 1.0]) / 8
        kernel = (row[:, None] * row).expand(channels, 1, 4, 4)
        return F.conv2d(F.pad(x, [1, 1, 1, 1], mode="replicate"), kernel, stride=2, groups=channels)


class SelfAttention(nn.Module):
    """Attention over positions, added with a learned gain.

    ``dot`` (paper): scaled dot products, and a gain that begins at zero. Nothing bounds them where no norm comes
    before: Muon, whose steps do not shrink, grows them to a thousand within four thousand iterations; each position
    then looks at one other, whatever is there, the gain returns to zero, and on the way a second derivative that large
    can end a run. ``cosine``: of queries and keys only the direction counts (Henry et al., 2020, arXiv:2010.04245), the
    weights are standardised, and the gain begins at a tenth: at zero it changes its sign with the noise of the
    gradient, and the weights' direction of learning with it.

    Written out: the fused attention kernels have no second derivative.
    """

    def __init__(self, channels: int, kind: AttentionKind) -> None:
        super().__init__()
        self.kind = kind
        if kind == "cosine":
            self.qkv: nn.Module = StandardisedConv2d(channels, 3 * channels, 1)
            self.out: nn.Module = StandardisedConv2d(channels, channels, 1)
        else:
            self.qkv = PlainConv2d(channels, 3 * channels, 1)
            self.out = PlainConv2d(channels, channels, 1)
        self.gain = nn.Parameter(torch.tensor(0.1 if kind == "cosine" else 0.0))

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        q, k, v = self.qkv(x).reshape(b, 3, c, h * w).unbind(1)
        if self.kind == "cosine":
            q, k = (c**0.5 * F.normalize(part, dim=1) for part in (q, k))
        weights = torch.softmax(q.transpose(1, 2) @ k / c**0.5, dim=2)
        attended: Tensor = self.out((v @ weights.transpose(1, 2)).reshape(b, c, h, w))
        return x + self.gain * attended
