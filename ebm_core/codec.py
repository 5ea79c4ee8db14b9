"""The autoencoder: pictures to a small grid of latents that an energy can live on, and back.

Convolutions only, with no attention and no norm that looks beyond a position, so that it is fast on a CPU and codes
every picture alone. Its outermost resolution is never computed: the encoder begins, and the decoder ends, by moving
2x2 pixels into channels (space to depth, the same span as LiteVAE's Haar wavelet; Sadat et al., 2024).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor, nn

from ebm_core.arguments import whole
from ebm_core.checkpoint import CheckpointError, digest, filled, read_safetensors
from ebm_core.config import ConfigError, check_fields, from_dict, to_dict
from ebm_core.files import write_atomically

METADATA_KEY = "ebm_studio_codec"
FORMAT_VERSION = 1
MAX_HALVINGS, WIDTHS, BLOCKS = 6, whole(1, 4096), whole(0, 100)
BOUND = 4.0  # latents are softly bounded before decoding, so that a chain that strays still gives a picture


@dataclass(frozen=True)
class CodecConfig:
    """What makes a codec; saved with its weights. Each list goes from fine to coarse, one entry for each halving."""

    image_size: Annotated[int, whole(1, 4096)] = 128
    channels: Annotated[int, whole(1, 1024)] = 32  # of the latents
    encoder_widths: Annotated[tuple[int, ...], WIDTHS] = (32, 64, 96)
    encoder_blocks: Annotated[tuple[int, ...], BLOCKS] = (1, 1, 3)
    decoder_widths: Annotated[tuple[int, ...], WIDTHS] = (32, 64, 96)
    decoder_blocks: Annotated[tuple[int, ...], BLOCKS] = (1, 2, 3)

    def __post_init__(self) -> None:
        sides = (self.encoder_widths, self.encoder_blocks, self.decoder_widths, self.decoder_blocks)
        check_fields(self)
        if not 1 <= len(self.encoder_widths) <= MAX_HALVINGS or len({len(side) for side in sides}) != 1:
            raise ValueError(
                f"widths and blocks of encoder and decoder must have one entry for each of 1 to {MAX_HALVINGS} halvings"
            )
        if self.image_size < 1 or self.image_size % self.reduction:
            raise ValueError(f"image_size {self.image_size} must be a multiple of the reduction, {self.reduction}")

    @property
    def reduction(self) -> int:
        """How many times narrower the latents are than the pictures."""
        return 1 << len(self.encoder_widths)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """``(C, h, w)`` of a picture's latents."""
        side = self.image_size // self.reduction
        return self.channels, side, side


class Codec(nn.Module):
    """Encoder, decoder and a linear preview; latents ``(B, C, h, w)`` have mean 0 and deviation 1 in each channel."""

    latent_mean: Tensor
    latent_std: Tensor
    preview_weight: Tensor
    preview_bias: Tensor

    def __init__(self, config: CodecConfig, provenance: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.config, self.provenance = config, provenance or {}
        self.weights = ""  # digest of the file's tensors; "" = not from a file
        self.encoder = _encoder(config)
        self.decoder = _decoder(config)
        self.apply(_initialise)
        # What turns the encoder's outputs into standardised latents, and latents into colours; fitted after training.
        self.register_buffer("latent_mean", torch.zeros(config.channels))
        self.register_buffer("latent_std", torch.ones(config.channels))
        self.register_buffer("preview_weight", torch.zeros(3, config.channels))
        self.register_buffer("preview_bias", torch.full((3,), 0.5))

    def encode(self, x: Tensor) -> Tensor:
        """Standardised latents ``(B, C, h, w)`` of pictures ``(B, 3, H, W)``, in [0, 1] or uint8.

        Raises ValueError for pictures of another shape.
        """
        c = self.config
        if x.dim() != 4 or x.shape[1:] != (3, c.image_size, c.image_size):
            raise ValueError(
                f"this codec takes pictures shaped (B, 3, {c.image_size}, {c.image_size}), got {tuple(x.shape)}; "
                "resize them first"
            )
        x = (x.float() + 0.5) / 256 if x.dtype == torch.uint8 else x
        raw: Tensor = self.encoder(2 * x - 1)
        return (raw - self.latent_mean[:, None, None]) / self.latent_std[:, None, None]

    def decode(self, z: Tensor) -> Tensor:
        """Pictures ``(B, 3, H, W)`` in [0, 1] of latents ``(B, C, h, w)``. Raises ValueError for another shape."""
        return self.reconstruct(z).clamp(0, 1)

    def reconstruct(self, z: Tensor) -> Tensor:
        """``decode`` without the last cut to [0, 1], which has no gradient."""
        self._check_latents(z)
        raw = z * self.latent_std[:, None, None] + self.latent_mean[:, None, None]
        y: Tensor = self.decoder(BOUND * torch.tanh(raw / BOUND))
        return (y + 1) / 2

    def preview(self, z: Tensor) -> Tensor:
        """Coarse pictures ``(B, 3, h, w)`` in [0, 1] of latents, by one linear map: for views of a running chain."""
        self._check_latents(z)
        colours = torch.einsum("kc,bchw->bkhw", self.preview_weight, z) + self.preview_bias[:, None, None]
        return colours.clamp(0, 1)

    def _check_latents(self, z: Tensor) -> None:
        if z.dim() != 4 or z.shape[1:] != self.config.latent_shape:
            c, h, w = self.config.latent_shape
            raise ValueError(
                f"this codec decodes latents shaped (B, {c}, {h}, {w}), got {tuple(z.shape)}; they are another codec's"
            )

    @torch.no_grad()
    def fit_latents(self, u8: Tensor, batch: int = 32) -> None:
        """Set the standardisation and the preview from pictures uint8 ``(N, 3, H, W)``.

        The preview is the least-squares map from latents to the mean colour of the pixels that each stands for.
        """
        self.latent_mean.zero_()
        self.latent_std.fill_(1.0)
        device = self.latent_mean.device
        raw = torch.cat([self.encode(part.to(device)).cpu().half() for part in torch.split(u8, batch)])
        mean, std = moments(raw)
        self.latent_mean.copy_(mean)
        self.latent_std.copy_(std)
        size = self.config.channels + 1
        gram, product = torch.zeros(size, size, dtype=torch.float64), torch.zeros(size, 3, dtype=torch.float64)
        for part, pictures in zip(torch.split(raw, batch), torch.split(u8, batch), strict=True):
            z = (part.double() - mean[:, None, None]) / std[:, None, None]
            a = F.pad(z, (0, 0, 0, 0, 0, 1), value=1.0).movedim(1, -1).flatten(0, -2)
            colours = F.avg_pool2d((pictures.double() + 0.5) / 256, self.config.reduction)
            gram += a.T @ a
            product += a.T @ colours.movedim(1, -1).flatten(0, -2)
        solution = torch.linalg.lstsq(gram, product).solution.to(device, torch.float32)
        self.preview_weight.copy_(solution[:-1].T)
        self.preview_bias.copy_(solution[-1])


def moments(latents: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation ``(C,)`` of each channel of latents ``(N, C, h, w)``, in float64."""
    parts = torch.split(latents, 256)
    count = latents.numel() // latents.shape[1]
    mean = torch.stack([p.double().sum(dim=(0, 2, 3)) for p in parts]).sum(dim=0) / count
    squares = torch.stack([(p.double() - mean[:, None, None]).square().sum(dim=(0, 2, 3)) for p in parts]).sum(dim=0)
    return mean, (squares / count).sqrt().clamp(min=1e-6)


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB, ``(B,)``, of pictures uint8 ``(B, C, H, W)``; 99 where they are equal."""
    error = (x.double() - y.double()).square().flatten(1).mean(dim=1)
    return (10 * torch.log10(255.0**2 / error)).clamp(max=99.0)


class Block(nn.Module):
    """``x + conv(SiLU(conv(x / |x|)))``; keeps the shape ``(B, width, H, W)``.

    ``|x|`` is the root mean square over a position's channels: without it the blocks' gains multiply, and a large
    learning rate ends in overflow.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        unit = x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-6)
        return x + cast(Tensor, self.second(F.silu(self.first(unit))))


def _initialise(module: nn.Module) -> None:
    """Every convolution keeps the variance, and every block begins as the identity: depth costs nothing at first."""
    if isinstance(module, nn.Conv2d):
        if not module.weight.is_meta:  # of which torch draws normal numbers with its compiler: 200 MiB and seconds
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
        nn.init.zeros_(cast(Tensor, module.bias))
    elif isinstance(module, Block):  # called after its convolutions
        nn.init.zeros_(module.second.weight)


def _encoder(c: CodecConfig) -> nn.Sequential:
    layers: list[nn.Module] = [nn.PixelUnshuffle(2), nn.Conv2d(12, c.encoder_widths[0], 3, padding=1)]
    for level, (width, blocks) in enumerate(zip(c.encoder_widths, c.encoder_blocks, strict=True)):
        if level:
            layers.append(nn.Conv2d(c.encoder_widths[level - 1], width, 3, stride=2, padding=1))
        layers += [Block(width) for _ in range(blocks)]
    return nn.Sequential(*layers, nn.Conv2d(c.encoder_widths[-1], c.channels, 3, padding=1))


def _decoder(c: CodecConfig) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(c.channels, c.decoder_widths[-1], 3, padding=1)]
    for level in reversed(range(len(c.decoder_widths))):
        width = c.decoder_widths[level]
        layers += [Block(width) for _ in range(c.decoder_blocks[level])]
        finer = c.decoder_widths[level - 1] if level else 3
        # Wide kernels only where the result is seen: in front of pixels.
        layers += [nn.Conv2d(width, 4 * finer, 1) if level else nn.Conv2d(width, 12, 3, padding=1), nn.PixelShuffle(2)]
    return nn.Sequential(*layers)


def save_codec(path: Path, codec: Codec) -> None:
    """Write a codec in one piece, its weights as float16. Raises FileError when the disk refuses."""
    fitted = dict(codec.named_buffers())  # in float32: a chain's points are read through them
    tensors = {
        name: (tensor if name in fitted else tensor.half()).detach().cpu().contiguous()
        for name, tensor in codec.state_dict().items()
    }
    metadata = {
        "format_version": FORMAT_VERSION,
        "codec": to_dict(codec.config),
        "provenance": codec.provenance,
    }
    write_atomically(path, save(tensors, metadata={METADATA_KEY: json.dumps(metadata)}))


def load_codec(path: Path, device: str = "cpu") -> Codec:
    """The frozen float32 codec of a file, in evaluation mode, laid out for fast convolutions.

    Raises CheckpointError, in one sentence, for a file that is missing, truncated, of another kind or format, or
    whose tensors are missing, foreign, misshapen or not finite.
    """
    file = read_safetensors(path, METADATA_KEY)
    codec = filled(path, lambda: _parse(path, file.text), file.tensors)
    codec.weights = digest(file.tensors)
    if not bool((codec.latent_std > 0).all()):
        raise CheckpointError(f"{path}: the latents' deviations must be positive; export the codec again")
    return codec.requires_grad_(False).eval().to(device).to(memory_format=torch.channels_last)


def _parse(path: Path, text: str) -> Codec:
    try:
        metadata = json.loads(text)
        version = metadata["format_version"]
        if not isinstance(version, int) or version > FORMAT_VERSION:
            raise CheckpointError(
                f"{path} has format version {version}, this program reads up to {FORMAT_VERSION}; update ebm-studio"
            )
        return Codec(from_dict(CodecConfig, metadata["codec"], "codec"), dict(metadata["provenance"]))
    except CheckpointError:
        raise
    except ConfigError as error:
        raise CheckpointError(f"{path}: its configuration is not valid: {error}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path}: its metadata cannot be read ({error!r}); export the codec again") from error
