"""What a codec loses, how learnable its latents are, what it costs."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from ebm_core import images
from ebm_core.codec import Codec, psnr
from train.evaluate.features import FrechetDistance
from train.evaluate.latents import latent_statistics

BATCH = 16
REPEATS = 7  # of a timing; the fastest counts

Map = Callable[[Tensor], Tensor]


class Measured:
    """The figures of encoders and decoders on one pair of data sets, uint8 ``(N, 3, H, W)`` each.

    On ``num`` pictures of each, drawn by ``seed``, or as many as the smaller one has.
    """

    def __init__(self, train: Tensor, test: Tensor, num: int, seed: int, device: str) -> None:
        rng, num = torch.Generator().manual_seed(seed), min(num, len(train), len(test))
        self.train, self.test = (u8[torch.randperm(len(u8), generator=rng)[:num]] for u8 in (train, test))
        self.device = device
        self.distance = FrechetDistance(self.test, device=device)
        self.floor = self.distance(self.train)

    def __call__(self, encode: Map, decode: Map) -> dict[str, Any]:
        latents, test = coded(self.test, encode, decode, self.device)
        train = coded(self.train, encode, decode, self.device)[1]
        return {
            "num": len(test),
            "psnr": round(float(psnr(self.test, test).mean()), 2),
            "features": self.distance.name,
            "floor_train_against_test": round(self.floor, 2),
            "train_reconstructed_against_test": round(self.distance(train), 2),
            "test_reconstructed_against_test": round(self.distance(test), 2),
            "latent_std": round(float(latents.std()), 3),
            **latent_statistics(latents)._asdict(),
        }


@torch.no_grad()
def costs(codec: Codec, device: str) -> dict[str, float]:
    """Milliseconds a picture, in float32 and batches, of encoding, decoding and the preview."""
    side = codec.config.image_size
    x = torch.rand(BATCH, 3, side, side, generator=torch.Generator().manual_seed(0)).to(device)
    z = codec.encode(x)
    figures: dict[str, float] = {"batch": BATCH}
    for name, work, value in (("encode", codec.encode, x), ("decode", codec.decode, z), ("preview", codec.preview, z)):
        seconds = []
        for _ in range(REPEATS):
            started = time.perf_counter()
            work(value)
            if value.is_cuda:
                torch.cuda.synchronize(value.device)
            seconds.append(time.perf_counter() - started)
        figures[f"{name}_ms"] = round(1000 * min(seconds) / BATCH, 2)
    return figures


@torch.no_grad()
def coded(u8: Tensor, encode: Map, decode: Map, device: str) -> tuple[Tensor, Tensor]:
    """Latents, float16, and reconstructions, uint8."""
    latents, pictures = [], []
    for part in tqdm(u8.split(BATCH), "reconstructions", leave=False):
        z = encode((part.to(device) + 0.5) / 256)
        latents.append(z.cpu().half())
        pictures.append(images.quantise(decode(z)).cpu())
    return torch.cat(latents), torch.cat(pictures)
