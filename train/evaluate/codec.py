"""``python -m train evaluate codec CODEC``: what a codec loses, how learnable its latents are, what it costs."""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from ebm_core import images
from ebm_core.checkpoint import write_atomically
from ebm_core.codec import Codec, load_codec
from ebm_core.hub import WEIGHTS
from train.data import DataConfig, load
from train.evaluate.features import FrechetDistance
from train.evaluate.latents import latent_statistics
from train.provenance import provenance
from train.teacher import load_teacher

SHEET = "reconstructions-private.png"  # git ignores this name: the data sets' pictures are not this project's
BATCH = 16
REPEATS = 7  # of a timing; the fastest counts

Map = Callable[[Tensor], Tensor]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("codec", type=Path, nargs="?", default=WEIGHTS / "codec" / "codec.safetensors")
    parser.add_argument(
        "--data", nargs=2, action="append", required=True, metavar=("TRAIN", "TEST"), help="zips; may be repeated"
    )
    parser.add_argument("--teacher", help="folder of the teacher's weights, to be measured beside it")
    parser.add_argument("--seed", type=int, default=0, help="which training pictures are compared with the test set")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")


def run(a: argparse.Namespace) -> None:
    codec = load_codec(a.codec, a.device)
    encode, decode = codec.encode, codec.decode
    coders: dict[str, tuple[Map, Map]] = {"codec": (encode, decode)}
    if a.teacher:
        teacher = load_teacher(a.teacher, a.device)
        coders["teacher"] = (lambda x: teacher.encoder(x), lambda z: teacher.decoder(z).clamp(0, 1))
    rows: list[dict[str, Any]] = []
    a.out.mkdir(parents=True, exist_ok=True)
    for paths in a.data:
        train, test = (load(DataConfig("zip", path), codec.config.image_size).images for path in paths)
        measured = Measured(train, test, a.seed, a.device)
        for name, (encode, decode) in coders.items():
            rows.append({"data": Path(paths[1]).stem, "coder": name, **measured(encode, decode)})
            print(json.dumps(rows[-1]), flush=True)
        sheet = torch.cat([test[:8], *(_mapped(test[:8], *coder, a.device)[1] for coder in coders.values())])
        images.grid(sheet, 8, zoom=2).save(a.out / f"{Path(paths[1]).stem}-{SHEET}")
    report = {
        "rows": rows, "cost": costs(codec, test, a.device),
        "parameters": {n: sum(p.numel() for p in getattr(codec, n).parameters()) for n in ("encoder", "decoder")},
        "mib": round(a.codec.stat().st_size / 2**20, 2), "seed": a.seed, "trained": codec.provenance,
        "provenance": provenance(),
    }  # fmt: skip
    write_atomically(a.out / "codec.json", json.dumps(report, indent=1).encode())
    write_atomically(a.out / "README.md", markdown(report).encode())


class Measured:
    """The figures of encoders and decoders on one pair of data sets, uint8 ``(N, 3, H, W)`` each."""

    def __init__(self, train: Tensor, test: Tensor, seed: int, device: str) -> None:
        chosen = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))[: len(test)]
        self.train, self.test, self.device = train[chosen], test, device
        self.distance = FrechetDistance(test, device=device)
        self.floor = self.distance(self.train)

    def __call__(self, encode: Map, decode: Map) -> dict[str, Any]:
        latents, test = _mapped(self.test, encode, decode, self.device)
        train = _mapped(self.train, encode, decode, self.device)[1]
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


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB, ``(B,)``, of pictures uint8 ``(B, C, H, W)``; 99 where they are equal."""
    error = (x.double() - y.double()).square().flatten(1).mean(dim=1)
    return (10 * torch.log10(255.0**2 / error)).clamp(max=99.0)


@torch.no_grad()
def costs(codec: Codec, u8: Tensor, device: str) -> dict[str, float]:
    """Milliseconds a picture, in float32 and batches of 16, of encoding, decoding and the preview."""
    x = ((u8[torch.arange(BATCH) % len(u8)].to(device)) + 0.5) / 256
    z = codec.encode(x)
    figures = {}
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
def _mapped(u8: Tensor, encode: Map, decode: Map, device: str) -> tuple[Tensor, Tensor]:
    """Latents, float16, and reconstructions, uint8."""
    latents, pictures = [], []
    for part in tqdm(u8.split(BATCH), "reconstructions", leave=False):
        z = encode((part.to(device) + 0.5) / 256)
        latents.append(z.cpu().half())
        pictures.append(images.quantise(decode(z)).cpu())
    return torch.cat(latents), torch.cat(pictures)


def markdown(report: dict[str, Any]) -> str:
    """The report in words and a table."""
    rows, cost, origin = report["rows"], report["cost"], report["provenance"]
    head = [
        "pictures", "coder", "PSNR, dB", "Fréchet distance, train reconstructed to test", "train to test (floor)",
        "ratio", "test reconstructed to test", "lag-1 correlation", "not predicted by 3x3 neighbours",
        "mean picture's share",
    ]  # fmt: skip
    lines = ["# Codec", "", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in rows:
        floor, train = row["floor_train_against_test"], row["train_reconstructed_against_test"]
        cells = [
            f"{row['data']} ({row['num']})", row["coder"], f"{row['psnr']:.1f}", f"{train:.1f}", f"{floor:.1f}",
            f"{train / floor:.2f}", f"{row['test_reconstructed_against_test']:.1f}", f"{row['lag1']:.2f}",
            f"{row['unpredicted']:.2f}", f"{row['mean_picture']:.2f}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([
        *lines, "",
        f"Distances are on {rows[0]['features']} features, so no FID; the codec was trained on a loss of the same "
        "features, which flatters its distances. The last three columns are of the test pictures' latents "
        "(`train/evaluate/latents.py` says how).",
        "",
        f"The codec's file has {report['mib']:.2f} MiB. A picture costs {cost['encode_ms']:.1f} ms to encode, "
        f"{cost['decode_ms']:.1f} ms to decode and {cost['preview_ms']:.2f} ms to preview, in float32 and batches of "
        f"{BATCH}.",
        "",
        f"`{origin['command']}`, {origin['date']}, commit {origin['commit']}, {origin['machine']}. The reconstructions "
        "are not kept here: the pictures are not the project's to pass on.",
        "",
    ])  # fmt: skip
