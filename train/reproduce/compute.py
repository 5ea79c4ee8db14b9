"""Compute as the number of floating-point operations, so that runs of different kinds can be given as much of it."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from math import gcd
from typing import Literal

import torch

from train.config import TrainConfig
from train.trainer import Trainer
from train.work import work

Phase = Literal["warm_start", "icd"]
PHASES: tuple[Phase, ...] = ("warm_start", "icd")


def lasting(config: TrainConfig, compute: Mapping[Phase, float], like: TrainConfig | None = None) -> TrainConfig:
    """The run with as many iterations of each named phase as take that many floating-point operations.

    ``like`` is another config whose iterations cost as much: one that needs no labels.
    """

    def iterations(phase: Phase, total: float) -> int:
        return max(1, round(total / flops(like or config, phase))) if total else 0

    return replace(
        config,
        **{
            phase: replace(getattr(config, phase), iterations=iterations(phase, total))
            for phase, total in compute.items()
        },
    )


def equal_compute(configs: dict[str, TrainConfig], of: str) -> dict[str, TrainConfig]:
    """The same runs from scratch with as many iterations as take the compute of the one named ``of``."""
    budget = configs[of].icd.iterations * flops(configs[of], "icd")
    return {name: lasting(config, {"icd": budget}) for name, config in configs.items()}


def spent(config: TrainConfig, like: TrainConfig | None = None) -> float:
    """Floating-point operations of a whole run; ``like`` as in ``lasting``."""
    iterations = {phase: getattr(config, phase).iterations for phase in PHASES}
    total: float = sum(num * flops(like or config, phase) for phase, num in iterations.items() if num)
    return total


@cache
def flops(config: TrainConfig, phase: Phase) -> int:
    """Floating-point operations of one training iteration of a phase.

    Counted on the CPU, of the smallest batches that are in the same ratio and of twice these: what the second adds is
    the cost of pictures, the rest that of an iteration, such as Muon's products of the weights. Convolutions, matrix
    products and attention count, not what is done pixel by pixel.
    """
    icd, batch = config.icd, config.warm_start.batch_size
    times = gcd(icd.batch_size, icd.matching_batch) if icd.matching_weight else icd.batch_size
    times = batch if phase == "warm_start" else times
    once, twice = (_counted(config, phase, times, shares) for shares in (1, 2))
    return once + (times - 1) * (twice - once)


def _counted(config: TrainConfig, phase: Phase, times: int, shares: int) -> int:
    """Operations of one iteration whose batches are ``shares`` of their ``times`` equal parts."""
    icd, c = config.icd, config.net
    few = replace(
        icd,
        iterations=2,
        buffer_size=max(icd.batch_size, 2),
        batch_size=shares * max(1, icd.batch_size // times),
        matching_batch=shares * max(1, icd.matching_batch // times),
    )
    warm = replace(config.warm_start, iterations=2 if phase == "warm_start" else 0, batch_size=shares)
    small = replace(config, icd=few, warm_start=warm, start_from="", compile=False)
    trainer = Trainer(small, torch.zeros(2, c.channels, c.image_size, c.image_size, dtype=torch.uint8), "cpu")
    trainer.step()  # the entropy has nothing to compare with yet
    return work(trainer.step)[0]
