"""Training iterations a second, what they spend their time on, and the straightforward implementation's."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from benchmarks.measure import seconds
from benchmarks.straightforward import Training
from ebm_core.langevin import drain, langevin_chain
from ebm_core.nets.folding import refold
from train.config import TrainConfig
from train.step import chain_starts, matching_step
from train.trainer import Trainer


def compare(name: str, config: TrainConfig, images: Tensor, device: str, repeats: int) -> dict[str, Any]:
    """Iterations of Algorithm 1 both ways, and the seconds of the parts of ours."""
    config = replace(config, warm_start=replace(config.warm_start, iterations=0))
    trainer = Trainer(config, images, device)
    ours = seconds(trainer.step, device, repeats)
    baseline = seconds(Training(trainer.net, images, config, device).iteration, device, repeats)
    data = trainer._batch(config.icd.batch_size)
    x = chain_starts(trainer.buffer, data, config, trainer.rng, trainer.space).x
    energy = trainer.chain_energy(None)
    langevin = replace(config.plan.langevin, steps=config.icd.steps - config.icd.kl_steps)
    parts = {
        "draw": lambda: trainer._batch(config.icd.batch_size),
        "start and transitions": lambda: chain_starts(trainer.buffer, data, config, trainer.rng, trainer.space),
        "fold": lambda: refold(trainer.chain_net, trainer.net),
        "chain": lambda: drain(langevin_chain(energy, x, langevin, trainer.rng, trainer.space.keep)),
        "clip and optimiser": lambda: (trainer.optimiser.clip(), trainer.optimiser.step(0.0)),
        "moving average": lambda: trainer.averages.update(trainer.net),
    }
    measured = {part: seconds(action, device, repeats) for part, action in parts.items()}
    measured["losses and their gradients"] = max(0.0, ours - sum(measured.values()))
    return {
        "network": name,
        "batch": config.icd.batch_size,
        "chain_steps": config.icd.steps,
        "iterations_per_second": 1 / ours,
        "straightforward_iterations_per_second": 1 / baseline,
        "speedup": baseline / ours,
        "share": {part: duration / ours for part, duration in measured.items()},
    }


def warm_start_rate(config: TrainConfig, images: Tensor, device: str, repeats: int) -> float:
    """Iterations a second of the warm start."""
    trainer = Trainer(config, images, device)

    def iteration() -> None:
        data = trainer._batch(config.warm_start.batch_size)
        loss = matching_step(trainer.net, data, config, trainer.rng, trainer.space).loss
        trainer.optimiser.zero_grad()
        loss.backward()
        trainer.optimiser.clip()
        trainer.optimiser.step(1.0)
        trainer.averages.update(trainer.net)

    torch.manual_seed(0)
    return 1 / seconds(iteration, device, repeats)
