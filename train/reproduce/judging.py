"""Variants judged by their samples: trained, sampled and measured alike, each step a piece of the experiment."""

from typing import Any

import torch
from torch import Tensor

from ebm_core.config import to_dict
from ebm_core.hub import open_space
from ebm_core.images import quantise
from ebm_core.langevin import NonFiniteEnergyError
from train.config import TrainConfig
from train.evaluate.samples import draw_samples
from train.reproduce.lab import Lab
from train.reproduce.quality import quality
from train.reproduce.training import Trained, train

SHOWN = 12  # samples of each variant in the report


def judge(lab: Lab, name: str, trained: Trained, test: str, num: int) -> dict[str, Any]:
    """Distance and score of ``num`` samples of Algorithm 2 against the zip ``test``; samples uint8 under "shown".

    Distance and score are None where the chains leave the finite numbers.
    """
    config = trained.config

    def compute() -> dict[str, Any]:
        try:
            samples, _ = draw_samples(
                trained.net,
                config.plan,
                num,
                config.seed,
                space=open_space(config.space, config.net, lab.device),
                device=lab.device,
            )
        except NonFiniteEnergyError:
            return {"distance": None, "score": None, "shown": torch.zeros(0, 3, *[config.net.image_size] * 2)}
        distance = lab.distance_to(test, config.net.image_size)
        figures = quality(samples, distance, inception_weights=lab.inception, device=lab.device)
        return {**figures, "shown": samples[:SHOWN]}

    about = [to_dict(config), test, num, str(lab.inception)]
    piece: dict[str, Any] = lab.piece(f"{name}, samples", about, compute)
    return piece


def train_and_judge(
    lab: Lab, configs: dict[str, TrainConfig], test: str, num: int
) -> dict[str, tuple[Trained, dict[str, Any]]]:
    """Each variant trained and judged, one after the other."""
    runs = {}
    for name, config in configs.items():
        trained = train(lab, name, config)
        runs[name] = (trained, judge(lab, name, trained, test, num))
    return runs


def reference(
    lab: Lab, train_files: str, test: str, size: int, num: int, name: str = "data"
) -> dict[str, dict[str, Any]]:
    """The same figures of training images, which a model can hardly beat, and of noise."""

    def compute() -> dict[str, Any]:
        distance, rng = lab.distance_to(test, size), torch.Generator().manual_seed(0)
        images = lab.images(train_files, size)
        chosen = images[torch.randperm(len(images), generator=rng)[:num]]
        noise = quantise(torch.rand(chosen.shape, generator=rng))
        return {
            name: quality(x, distance, inception_weights=lab.inception, device=lab.device)
            for name, x in (("training images", chosen), ("noise", noise))
        }

    piece: dict[str, Any] = lab.piece(f"{name}, reference", [train_files, test, size, num, str(lab.inception)], compute)
    return piece


def sample_rows(runs: dict[str, tuple[Trained, dict[str, Any]]]) -> list[Tensor]:
    """A row of samples for each variant that has any."""
    return [quality["shown"] for _, quality in runs.values() if len(quality["shown"])]
