"""``python -m train evaluate frechet``: how far a model's samples are from data, with its floor and ceiling."""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ebm_core import images
from ebm_core.arguments import add_device, whole
from ebm_core.checkpoint import load_model
from ebm_core.config import override, to_dict
from ebm_core.files import write_atomically
from ebm_core.hub import find_model, open_space
from ebm_core.nets import EnergyNetwork
from ebm_core.recipe import SEED, fingerprint
from ebm_core.sampling import SamplePlan
from ebm_core.space import Space
from train.data import DataConfig, load
from train.evaluate.features import FrechetDistance
from train.evaluate.samples import draw_samples
from train.evaluate.split import Split, add_split
from train.provenance import add_allow_dirty, command_of, provenance

NEAREST_SHEET = "nearest-private.png"  # git ignores this name: training pictures are not this project's to pass on


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add_device(parser)
    parser.add_argument("model", help="a name under weights/, a path, or hf:owner/repo[@revision]")
    parser.add_argument("--train", required=True, help="zip of the training images (for the floor)")
    add_split(parser, "to measure the distance to")
    parser.add_argument("--num", type=whole(2), default=1000)
    parser.add_argument("--seed", type=SEED, default=0)
    parser.add_argument("--inception", type=Path, help="torch-fidelity's Inception weights; then it is the FID")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override the model's plan")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    add_allow_dirty(parser)


def run(a: argparse.Namespace) -> None:
    """The command itself. Raises ValueError, in a sentence, for what it cannot use."""
    if a.inception is not None and not a.inception.is_file():
        raise ValueError(f"{a.inception} is not there; give torch-fidelity's Inception weights or no --inception")
    path = find_model(a.model)
    net, info = load_model(path, a.device)
    split = Split.of(a)
    space = open_space(info.space, info.net, a.device, path)
    train, test = (load(DataConfig("zip", file), *space.size_and_channels).images for file in (a.train, split.path))
    options = {
        "train": a.train,
        split.kind: split.path,
        "num": a.num,
        "seed": a.seed,
        "inception": a.inception,
        "set": a.set,
        "out": a.out,
    }
    report = evaluate(
        net,
        override(info.plan, a.set),
        space,
        train,
        test,
        num=a.num,
        seed=a.seed,
        out=a.out,
        inception_weights=a.inception,
        device=a.device,
        read_on=split.to_plain(),
        model=fingerprint(path),
        command=command_of(["evaluate", "frechet", a.model], options, a.device),
    )
    print(json.dumps(report, indent=1))


def evaluate(
    net: EnergyNetwork,
    plan: SamplePlan,
    space: Space,
    train: Tensor,
    test: Tensor,
    *,
    num: int,
    seed: int,
    out: Path,
    inception_weights: Path | None,
    device: str,
    read_on: dict[str, str],
    model: str,
    command: str,
) -> dict[str, Any]:
    """Distance of ``num`` samples to the test set, beside train against test and noise against test.

    ``read_on`` says of which split ``test`` is (``Split.to_plain``), ``model`` is the fingerprint of the model's file.
    ``train`` and ``test`` are uint8 ``(N, 3, H, W)``. Also looks for each sample's nearest training image (mean squared
    error over pixels), so that memorising shows, beside the same figure for test images. Writes ``frechet.json``, an
    uncurated sheet of the first 64 samples and a sheet of the first 8 with their nearest training images into ``out``.
    """
    started = time.monotonic()
    samples, energies = draw_samples(net, plan, num, seed, space=space, device=device)
    seconds = time.monotonic() - started
    rng = torch.Generator().manual_seed(seed)
    noise = images.quantise(torch.rand(samples.shape, generator=rng))
    chosen = torch.randperm(len(train), generator=rng)[: len(samples)]

    distance = FrechetDistance(test, inception_weights=inception_weights, device=device)
    near_samples, neighbours = nearest(samples, train)
    near_test, _ = nearest(test, train)
    report = {
        "fingerprint": model,
        "features": distance.name,
        "distance": round(distance(samples), 4),
        "floor_train_against_test": round(distance(train[chosen]), 4),
        "ceiling_noise_against_test": round(distance(noise), 4),
        "plan": to_dict(plan),
        "num_samples": len(samples),
        "num_test": len(test),
        "read_on": read_on,
        "seed": seed,
        "sampling_seconds": round(seconds, 1),
        "energy_of_samples": {"mean": float(energies.mean()), "std": float(energies.std())},
        "nearest_training_image_mse": {
            "samples_median": float(near_samples.median()),
            "test_median": float(near_test.median()),
        },
        **provenance(command),
    }
    write_atomically(out / "frechet.json", json.dumps(report, indent=1).encode())
    images.sheet(samples[:64]).save(out / "samples.png")
    pairs = torch.cat([samples[:8], train[neighbours[:8]]])
    images.sheet(pairs).save(out / NEAREST_SHEET)
    return report


def nearest(x: Tensor, among: Tensor, batch: int = 100) -> tuple[Tensor, Tensor]:
    """For each image of ``x`` the mean squared error to the nearest of ``among``, in units of [0, 1], and its index."""
    reference = among.flatten(1).float() / 256
    errors, indices = [], []
    for part in x.split(batch):
        distance, index = torch.cdist(part.flatten(1).float() / 256, reference).min(dim=1)
        errors.append(distance.square() / reference.shape[1])
        indices.append(index)
    return torch.cat(errors), torch.cat(indices)
