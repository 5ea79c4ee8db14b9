"""Contrastive divergence in a space of features: the learned energy is trained by the chain that samples it."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from ebm_core.contrastive import contrastive_divergence, energy_penalty
from ebm_core.detector.methods import BentGaussian
from ebm_core.langevin import LangevinConfig, drain, langevin_chain
from ebm_core.space import Space


@dataclass(frozen=True)
class ContrastiveConfig:
    """Chosen on pictures that no report is of; see ``train/evaluate/detector.py``."""

    iterations: int = 200
    batch: int = 128
    width: int = 128
    # noise_std^2 = 2 step_size: the temperature is 1, so the chain samples exp(-E) itself.
    langevin: LangevinConfig = field(default_factory=lambda: LangevinConfig(20, step_size=0.05, noise_std=0.1**0.5))
    past: int = 4096  # samples that chains go on from ...
    fresh: float = 0.05  # ... but for this share, which starts from noise
    lr: float = 5e-3
    weight_decay: float = 0.01
    smoothing: float = 0.1  # standard deviation of noise on the data, else few points become wells of their own
    penalty: float = 0.0  # weight of the mean squared energy


def train(net: BentGaussian, points: Tensor, space: Space, config: ContrastiveConfig, rng: Generator) -> Iterator[int]:
    """Train ``net`` on points ``(N, dim)``; yields how many iterations are done after each, then freezes it.

    Raises NonFiniteEnergyError when a chain leaves the finite numbers.
    """
    c = config
    past = space.noise(c.past, rng)
    optimiser = torch.optim.AdamW(net.parameters(), lr=c.lr, weight_decay=c.weight_decay)
    for iteration in range(c.iterations):
        for group in optimiser.param_groups:
            group["lr"] = c.lr * (1 - iteration / c.iterations)
        pos = points[torch.randint(len(points), (c.batch,), generator=rng)]
        pos = pos + c.smoothing * torch.randn(pos.shape, generator=rng)
        place = torch.randint(len(past), (c.batch,), generator=rng)
        fresh = torch.rand(c.batch, 1, 1, 1, generator=rng) < c.fresh
        start = torch.where(fresh, space.noise(c.batch, rng), past[place])
        net.requires_grad_(False)
        neg = drain(langevin_chain(net, start, c.langevin, rng, space.keep))
        net.requires_grad_(True)
        past[place] = neg
        e_pos, e_neg = net(pos), net(neg)
        loss = contrastive_divergence(e_pos, e_neg)
        if c.penalty:
            loss = loss + c.penalty * energy_penalty(e_pos, e_neg)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        yield iteration + 1
    net.requires_grad_(False)
