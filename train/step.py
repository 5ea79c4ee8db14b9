"""One training step of each phase: random draws and losses, no I/O and no optimiser."""

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from ebm_core.compose import conditioned
from ebm_core.contrastive import contrastive_divergence, energy_penalty
from ebm_core.energy import energy_and_grad
from ebm_core.langevin import differentiable_step, drain, langevin_chain
from ebm_core.nets import EnergyNetwork
from ebm_core.space import Space
from ebm_core.transitions import TransitionConfig
from train.batch import Batch
from train.compiled import EnergyOf
from train.config import MatchingConfig, TrainConfig
from train.losses import (
    entropy,
    label_contrast,
    matching_loss,
    mates_by_time,
    pair_by_transport,
    sampler_energy,
    straight_path,
)
from train.replay import ReplayBuffer


class StepOutput(NamedTuple):
    """Weighted loss terms, whose sum is the loss, and detached figures for the log."""

    terms: dict[str, Tensor]
    figures: dict[str, Tensor]

    @property
    def loss(self) -> Tensor:
        return torch.stack(list(self.terms.values())).sum()


def matching_step(
    net: EnergyNetwork,
    data: Batch,
    config: TrainConfig,
    rng: torch.Generator,
    space: Space,
    energy_of: EnergyOf | None = None,
) -> StepOutput:
    """The warm start's step; ``energy_of`` gives for labels the energy of ``net`` in a faster form, if there is one."""
    terms = matching_terms(net, data, config, rng, space, energy_of or partial(conditioned, net))
    return StepOutput(terms, {name: term.detach() for name, term in terms.items()})


def icd_step(
    net: EnergyNetwork,
    chain_energy: EnergyOf,
    pos: Batch,
    match: Batch,
    buffer: ReplayBuffer,
    config: TrainConfig,
    rng: torch.Generator,
    space: Space,
    energy_of: EnergyOf | None = None,
) -> StepOutput:
    """Algorithm 1: chains from the replay buffer, then L_CD + L_opt + L_ent + penalty (+ a share of matching).

    ``chain_energy`` gives for labels the energy of ``net`` in its fastest form, which makes all Langevin steps but
    those that L_opt is differentiated through, which take ``energy_of``. ``pos`` are data; ``match`` is the batch of
    the matching loss. Adds the samples to the buffer. Raises NonFiniteEnergyError when the chain leaves the finite
    numbers.
    """
    c = config.icd
    energy_of = energy_of or partial(conditioned, net)
    start = chain_starts(buffer, pos, config, rng, space)
    langevin = replace(config.plan.langevin, steps=c.steps - c.kl_steps)
    x_tilde = drain(langevin_chain(chain_energy(start.y), start.x, langevin, rng, space.keep))
    for step in range(c.kl_steps):
        # Freshly detached, so that the graph begins here and not in the chain before.
        x = x_tilde if step else x_tilde.detach()
        x_tilde = differentiable_step(energy_of(start.y), x, langevin, rng, space.keep)
    x_neg = x_tilde.detach()

    both = torch.cat([pos.x, x_neg])
    labels = None if pos.y is None or start.y is None else torch.cat([pos.y, start.y])
    e_pos, e_neg = net(both, labels).split([len(pos.x), len(x_neg)])
    terms = {}
    if c.contrastive_weight:
        terms["cd"] = c.contrastive_weight * contrastive_divergence(e_pos, e_neg)
    if c.opt_weight:
        terms["opt"] = c.opt_weight * sampler_energy(net, x_tilde, start.y)
    if c.entropy_weight and len(buffer):
        terms["ent"] = -c.entropy_weight * entropy(x_tilde, buffer.draw(c.entropy_past, rng).x)
    if c.penalty_weight:
        terms["penalty"] = c.penalty_weight * energy_penalty(e_pos, e_neg)
    if c.matching_weight:
        matching = matching_terms(net, match, config, rng, space, energy_of)
        terms |= {name: c.matching_weight * term for name, term in matching.items()}
    buffer.add(Batch(x_neg, start.y), rng)
    with torch.no_grad():
        figures = {
            "e_pos": e_pos.mean(),
            "e_neg": e_neg.mean(),
            "energy_gap": (e_neg - e_pos).mean(),
            "saturated": ((x_neg <= space.limits[0]) | (x_neg >= space.limits[1])).float().mean(),
            "moved": (x_neg - start.x).flatten(1).norm(dim=1).mean(),
        }
        figures |= {name: term.detach() for name, term in terms.items()}
    return StepOutput(terms, figures)


def chain_starts(buffer: ReplayBuffer, data: Batch, config: TrainConfig, rng: torch.Generator, space: Space) -> Batch:
    """Past samples after a transition, or noise with ``reinit_prob`` (always, while the buffer is empty).

    Of the ``data`` only the shape and the labels count: past samples keep theirs, noise takes these. Noise is moved
    too only where the plan that samples the model does so: a chain must not train where it is never used.
    """
    noise, moves = space.noise(len(data.x), rng), config.plan.transition
    if config.plan.move_noise:
        noise = space.jolt(noise, moves, rng)
    if not len(buffer):
        return Batch(noise, data.y)
    fresh = torch.rand(len(noise), generator=rng, device=noise.device) < config.icd.reinit_prob
    past = buffer.draw(len(noise), rng)
    x = torch.where(fresh[:, None, None, None], noise, space.jolt(past.x, moves, rng))
    return Batch(x, None if past.y is None or data.y is None else torch.where(fresh[:, None], data.y, past.y))


def matching_sources(
    x_data: Tensor, config: MatchingConfig, moves: TransitionConfig, rng: torch.Generator, space: Space
) -> Tensor:
    """Where the straight paths start: noise, noise after a transition, data after one, in the given shares."""
    noise = space.noise(len(x_data), rng)
    kind = torch.rand(len(x_data), generator=rng, device=x_data.device)
    of_data = kind >= config.noise + config.moved_noise
    source = torch.where(of_data[:, None, None, None], x_data, noise)
    moved = (kind >= config.noise).nonzero()[:, 0]
    if len(moved):
        source[moved] = space.jolt(source[moved], moves, rng)
    return source


def path_times(num: int, config: MatchingConfig, rng: torch.Generator) -> Tensor:
    """Where on their paths the pictures of a batch are, ``(num,)`` in [0, 1]: uniform or logit-normal."""
    if not config.t_std:
        return torch.rand(num, generator=rng, device=rng.device)
    return torch.sigmoid(config.t_mean + config.t_std * torch.randn(num, generator=rng, device=rng.device))


def matching_terms(
    net: EnergyNetwork, data: Batch, config: TrainConfig, rng: torch.Generator, space: Space, energy_of: EnergyOf
) -> dict[str, Tensor]:
    """The matching loss and, where there are labels to tell apart, their contrast on the same points."""
    c, x_data = config.matching, data.x
    source = matching_sources(x_data, c, config.plan.transition, rng, space)
    if c.pairing == "transport":
        x_data = pair_by_transport(source, x_data, data.y)
    t = path_times(len(x_data), c, rng)
    x_t, descent = straight_path(source, x_data, t, c.decay_from)
    at = energy_and_grad(energy_of(data.y), x_t.requires_grad_(), create_graph=True)
    reach = config.plan.langevin.step_size * c.chain_steps
    terms = {"matching": matching_loss(at.grad, descent, reach)}
    if c.label_weight and data.y is not None:
        mates = mates_by_time(t)
        other = data.y[mates]
        differ = (other != data.y).any(dim=1).float()
        contrast = label_contrast(at.energy, net(x_t.detach(), other), mates, differ, c.label_sharpness)
        terms["labels"] = c.label_weight * contrast
    return terms
