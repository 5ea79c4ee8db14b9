"""Compute as the number of floating-point operations, so that runs of different kinds can be given as much of it."""

from dataclasses import replace
from functools import cache
from math import gcd
from typing import Any, Literal

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from train.config import TrainConfig
from train.trainer import Trainer


def equal_compute(configs: dict[str, TrainConfig], of: str) -> dict[str, TrainConfig]:
    """The same runs from scratch with as many iterations as take the compute of the one named ``of``."""
    budget = configs[of].icd.iterations * flops(configs[of], "icd")
    return {
        name: replace(c, icd=replace(c.icd, iterations=max(1, round(budget / flops(c, "icd")))))
        for name, c in configs.items()
    }


def spent(config: TrainConfig) -> float:
    """Floating-point operations of a whole run."""
    warm, icd = config.warm_start.iterations, config.icd.iterations
    return (warm * flops(config, "warm_start") if warm else 0) + (icd * flops(config, "icd") if icd else 0)


@cache
def flops(config: TrainConfig, phase: Literal["warm_start", "icd"]) -> int:
    """Floating-point operations of one training iteration of a phase.

    Counted on the CPU, with the smallest batches that are in the same ratio: convolutions, matrix products and
    attention, not what is done pixel by pixel.
    """
    icd = config.icd
    times = gcd(icd.batch_size, icd.matching_batch) if icd.matching_weight else icd.batch_size
    times = config.warm_start.batch_size if phase == "warm_start" else times
    few = replace(
        icd, iterations=2, buffer_size=icd.batch_size, batch_size=max(1, icd.batch_size // times),
        matching_batch=max(1, icd.matching_batch // times),
    )  # fmt: skip
    warm = replace(config.warm_start, iterations=2 if phase == "warm_start" else 0, batch_size=1)
    small = replace(config, icd=few, warm_start=warm, start_from="")
    c = config.net
    images = torch.zeros(1, c.channels, c.image_size, c.image_size, dtype=torch.uint8)
    trainer = Trainer(small, images, "cpu")
    trainer.step()  # the entropy has nothing to compare with yet
    with _Counter() as counter:
        trainer.step()
    return times * counter.flops


class _Counter(TorchDispatchMode):
    """torch's FlopCounterMode hooks into modules and cannot follow a gradient with respect to the input alone."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if (count := flop_registry.get(func._overloadpacket)) is not None:
            self.flops += count(*args, **(kwargs or {}), out_val=result)
        return result
