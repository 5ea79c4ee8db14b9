"""A public tiny autoencoder whose latents a codec learns to reproduce: TAESD's FLUX.2 variant (madebyollin, MIT).

Only its published weights are read; nothing of it is shipped.
"""

from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from tqdm import tqdm

from ebm_core.device import has_bf16
from ebm_core.files import write_atomically

CHANNELS = 32  # of its latents, an eighth as wide as the pictures
WIDTH = 64
BOUND = 3.0  # its decoder takes 3 tanh(z / 3)
BATCH = 16


class Teacher(NamedTuple):
    """Pictures ``(B, 3, H, W)`` in [0, 1] to latents ``(B, 32, H/8, W/8)``, and back; frozen."""

    encoder: nn.Module
    decoder: nn.Module


def load_teacher(folder: str, device: str = "cpu") -> Teacher:
    """From ``encoder.safetensors`` and ``decoder.safetensors``. Raises ValueError when they are not its weights."""
    networks = []
    for name, network in (("encoder", _encoder()), ("decoder", _decoder())):
        path = Path(folder) / f"{name}.safetensors"
        try:
            network.load_state_dict(load_file(path))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise ValueError(
                f"{path} is not the teacher's {name} ({str(error).splitlines()[0]}); give the folder with "
                "encoder.safetensors and decoder.safetensors of TAESD's FLUX.2 variant"
            ) from error
        networks.append(network.requires_grad_(False).eval().to(device).to(memory_format=torch.channels_last))
    return Teacher(*networks)


@torch.no_grad()
def teacher_latents(folder: str, u8: Tensor, cache: Path, device: str = "cpu") -> Tensor:
    """The teacher's latents, float16 ``(N, 32, h, w)``, of pictures uint8 ``(N, 3, H, W)``; kept in ``cache``.

    A file there that holds as many latents of the same size is taken for theirs.
    """
    shape = (len(u8), CHANNELS, u8.shape[2] // 8, u8.shape[3] // 8)
    if cache.is_file():
        try:
            latents = load_file(cache)["latents"]
        except (OSError, SafetensorError, KeyError) as error:
            raise ValueError(f"{cache} cannot be read ({error}); delete it, and it is made again") from error
        if latents.shape == shape:
            return latents
    encoder, parts = load_teacher(folder, device).encoder, []
    with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=has_bf16(device)):
        for part in tqdm(u8.split(BATCH), "teacher's latents", leave=False):
            parts.append(encoder((part.to(device) + 0.5) / 256).half().cpu().contiguous())
    latents = torch.cat(parts)
    write_atomically(cache, save({"latents": latents}))
    return latents


class _Block(nn.Module):
    """Three convolutions with a skip; a pooled one first adds what 256 normalised channels say of the whole picture."""

    def __init__(self, pooled: bool) -> None:
        super().__init__()
        self.conv = nn.Sequential(_conv(WIDTH, WIDTH), nn.ReLU(), _conv(WIDTH, WIDTH), nn.ReLU(), _conv(WIDTH, WIDTH))
        if pooled:
            wide = 4 * WIDTH
            self.pool = nn.Sequential(
                nn.Conv2d(WIDTH, wide, 1, bias=False),
                nn.GroupNorm(4, wide),
                nn.ReLU(),
                nn.Conv2d(wide, WIDTH, 1, bias=False),
            )

    def forward(self, x: Tensor) -> Tensor:
        if hasattr(self, "pool"):
            x = x + self.pool(x)
        return F.relu(self.conv(x) + x)


class _Bound(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return BOUND * torch.tanh(z / BOUND)


def _conv(channels_in: int, channels_out: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=bias)


def _encoder() -> nn.Sequential:
    layers: list[nn.Module] = [_conv(3, WIDTH), _Block(False)]
    for stage in range(3):
        layers += [_conv(WIDTH, WIDTH, stride=2, bias=False), *(_Block(stage == 2) for _ in range(3))]
    return nn.Sequential(*layers, _conv(WIDTH, CHANNELS))


def _decoder() -> nn.Sequential:
    layers: list[nn.Module] = [_Bound(), _conv(CHANNELS, WIDTH), nn.ReLU(), *(_Block(True) for _ in range(3))]
    for blocks in (3, 3, 1):
        layers += [nn.Upsample(scale_factor=2), _conv(WIDTH, WIDTH, bias=False)]
        layers += [_Block(False) for _ in range(blocks)]
    return nn.Sequential(*layers, _conv(WIDTH, 3))
