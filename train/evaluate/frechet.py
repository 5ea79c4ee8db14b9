"""``python -m train evaluate frechet``: how far a model's samples are from data, with its floor and ceiling."""

import json
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ebm_core import images
from ebm_core.files import write_atomically
from ebm_core.nets import EnergyNetwork
from ebm_core.sampling import SamplePlan
from ebm_core.space import Space
from train.evaluate.features import FrechetDistance
from train.evaluate.samples import draw_samples
from train.provenance import provenance

NEAREST_SHEET = "nearest-private.png"  # git ignores this name: training pictures are not this project's to pass on


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
    command: str,
) -> dict[str, Any]:
    """Distance of ``num`` samples to the test set, beside train against test and noise against test.

    ``read_on`` says of which split ``test`` is (``Split.to_plain``). ``train`` and ``test`` are uint8
    ``(N, 3, H, W)``. Also looks for every sample's nearest training image (mean squared error over pixels), so that
    memorising shows, beside the same figure for test images. Writes ``frechet.json``, an uncurated sheet of the first
    64 samples and a sheet of the first 8 with their nearest training images into ``out``.
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
        "features": distance.name,
        "distance": round(distance(samples), 4),
        "floor_train_against_test": round(distance(train[chosen]), 4),
        "ceiling_noise_against_test": round(distance(noise), 4),
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
    images.grid(samples[:64], 8, zoom=3).save(out / "samples.png")
    pairs = torch.cat([samples[:8], train[neighbours[:8]]])
    images.grid(pairs, 8, zoom=3).save(out / NEAREST_SHEET)
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
