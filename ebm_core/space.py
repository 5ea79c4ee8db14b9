"""Where the points of a chain live: everything that knows what a point means, and nothing else does.

A point is what an energy is a function of: the picture itself, or its latents. A space says where chains start, what
becomes of a point after each step, how it is kept in memory, and how it becomes a picture and comes from one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor

from ebm_core.files import safe_name
from ebm_core.images import dequantise, quantise
from ebm_core.transitions import TransitionConfig, transition

if TYPE_CHECKING:
    from ebm_core.codec import Codec

# Step size times steps in which chains arrive from noise: training's (plan.langevin.step_size * matching.chain_steps).
PIXEL_REACH, LATENT_REACH = 100.0 * 60, 3000.0 * 60
LATENT_BOUND = 8.0  # of latents, in standard deviations: no picture lies further out
CODED_AT_ONCE = 64  # pictures


@dataclass(frozen=True)
class SpaceConfig:
    """The space of a model's chains; saved with its weights."""

    codec: str = ""  # name of the folder of the codec whose latents are the points; "" = pixels
    weights: str = ""  # digest of that codec's weights; "" = any

    def __post_init__(self) -> None:
        if self.codec:
            safe_name(self.codec)

    @property
    def is_latent(self) -> bool:
        return self.codec != ""

    def describe(self) -> str:
        """In words, after "an energy of"."""
        return f"the latents of the codec '{self.codec}' ({self.weights or 'any'})" if self.is_latent else "pixels"


@dataclass(frozen=True)
class Space:
    """A space of points ``(B, *shape)`` and the pictures ``(B, *picture_shape)`` that they stand for.

    ``pack_pictures`` takes pictures uint8 and ``pack`` points to the form in which many are kept (uint8 for pixels,
    float16 for latents); ``unpack`` makes points of it, pixels dequantised where there is a generator. ``preview`` is
    a cheap ``decode``, perhaps of fewer pixels.
    """

    shape: tuple[int, int, int]
    picture_shape: tuple[int, int, int]
    limits: tuple[float, float]  # of every coordinate
    noise: Callable[[int, Generator], Tensor]  # where chains start, on the generator's device
    jolt: Callable[[Tensor, TransitionConfig, Generator], Tensor]  # a transition of the pictures
    pack_pictures: Callable[[Tensor], Tensor]
    pack: Callable[[Tensor], Tensor]
    unpack: Callable[[Tensor, Generator | None], Tensor]
    decode: Callable[[Tensor], Tensor]  # points -> pictures in [0, 1]
    preview: Callable[[Tensor], Tensor]
    reach: float = inf  # step size times the steps that lead from noise to data, where that is known

    @property
    def is_coded(self) -> bool:
        """Whether a point is not the picture itself, so that it takes a decoder to see one."""
        return self.shape != self.picture_shape

    @property
    def size_and_channels(self) -> tuple[int, int]:
        """Of the pictures, in the order in which data are loaded."""
        channels, size, _ = self.picture_shape
        return size, channels

    def keep(self, x: Tensor) -> Tensor:
        """Points after a step, back within the limits."""
        return x.clamp(*self.limits)

    def encode(self, u8: Tensor, rng: Generator | None = None) -> Tensor:
        """The points of pictures uint8."""
        return self.unpack(self.pack_pictures(u8), rng)


def free(x: Tensor) -> Tensor:
    """The ``keep`` of a chain without limits, which samples ``exp(-E / T)`` exactly as its steps become small."""
    return x


def pixels(channels: int, size: int) -> Space:
    """Pictures in [0, 1] as they are; chains start from independent uniform pixels."""
    shape = (channels, size, size)
    return Space(
        shape,
        shape,
        (0.0, 1.0),
        noise=lambda num, rng: torch.rand(num, *shape, generator=rng, device=rng.device),
        jolt=transition,
        pack_pictures=lambda u8: u8,
        pack=quantise,
        unpack=_pixels_of,
        decode=lambda x: x,
        preview=lambda x: x,
        reach=PIXEL_REACH,
    )


def latent(codec: "Codec") -> Space:
    """Standardised latents of a codec; chains start from independent normal numbers.

    A jolt decodes, moves the pictures and encodes them: a transition is of pictures, in whatever space.
    """
    c = codec.config

    def packed(u8: Tensor) -> Tensor:
        device = codec.latent_mean.device
        parts = [_coded(codec.encode, part.to(device)).half() for part in torch.split(u8, CODED_AT_ONCE) if len(part)]
        return torch.cat(parts) if parts else torch.zeros(0, *c.latent_shape, dtype=torch.float16, device=device)

    return Space(
        c.latent_shape,
        (3, c.image_size, c.image_size),
        (-LATENT_BOUND, LATENT_BOUND),
        noise=lambda num, rng: torch.randn(num, *c.latent_shape, generator=rng, device=rng.device),
        jolt=lambda z, moves, rng: _coded(codec.encode, transition(_coded(codec.decode, z), moves, rng)),
        pack_pictures=packed,
        pack=lambda z: z.half(),
        unpack=lambda half, rng: half.float(),
        decode=lambda z: _coded(codec.decode, z),
        preview=lambda z: _coded(codec.preview, z),
        reach=LATENT_REACH,
    )


def _pixels_of(u8: Tensor, rng: Generator | None) -> Tensor:
    return (u8.float() + 0.5) / 256 if rng is None else dequantise(u8, rng)


@torch.no_grad()
def _coded(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    return function(x)
