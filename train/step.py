"""One training step of each phase: random draws and losses, no I/O and no optimiser."""

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from ebm_core.compose import conditioned
from ebm_core.contrastive import contrastive_divergence, energy_penalty
from ebm_core.energy import energy_and_grad
from ebm_core.langevin import differentiable_step, drain, langevin_chain, standard_normal
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
    """Weighted loss terms, whose sum is the loss, detached figures for the log, and ICD's samples ``(B, ...)``."""

    terms: dict[str, Tensor]
    figures: dict[str, Tensor]
    samples: Tensor | None = None

    @property
    def loss(self) -> Tensor:
        return torch.stack(list(self.terms.values())).sum()


class MatchingPoints(NamedTuple):
    """Points ``x (B, ...)`` on their paths, the ``descent`` wanted there, and, where labels are told apart, the labels
    ``y``, those of each point's mate, ``other``, and the number of the mate, ``mates (B,)``."""

    x: Tensor
    descent: Tensor
    y: Tensor | None
    other: Tensor | None
    mates: Tensor | None


class IcdPoints(NamedTuple):
    """What ICD's losses are read at: ``data``; chains that began at ``start``, at ``x`` before the Langevin steps that
    are differentiated, and the ``noises`` of these; ``past`` samples for the entropy; the points of the matching."""

    data: Batch
    x: Tensor
    start: Batch
    noises: list[Tensor]
    past: Tensor | None
    match: MatchingPoints | None


def matching_step(
    net: EnergyNetwork,
    data: Batch,
    config: TrainConfig,
    rng: torch.Generator,
    space: Space,
    energy_of: EnergyOf | None = None,
) -> StepOutput:
    """The warm start's step; ``energy_of`` gives for labels the energy of ``net`` in a faster form, if there is one."""
    return matching_losses(net, matching_points(data, config, rng, space), config, energy_of)


def matching_losses(
    net: EnergyNetwork, points: MatchingPoints, config: TrainConfig, energy_of: EnergyOf | None = None
) -> StepOutput:
    """The losses of the warm start's step at its points."""
    terms = matching_terms(net, points, config, energy_of or partial(conditioned, net))
    return StepOutput(terms, {name: term.detach() for name, term in terms.items()})


def icd_points(
    chain_energy: EnergyOf,
    pos: Batch,
    match: Batch,
    buffer: ReplayBuffer,
    config: TrainConfig,
    rng: torch.Generator,
    space: Space,
) -> IcdPoints:
    """All of a step of Algorithm 1 that no gradient passes through: chains from the replay buffer, paths to data.

    ``chain_energy`` gives for labels the energy in its fastest form, which makes all Langevin steps but those that
    L_opt is differentiated through. ``pos`` are data; ``match`` is the batch of the matching loss. Raises
    NonFiniteEnergyError when the chain leaves the finite numbers.
    """
    c = config.icd
    start = chain_starts(buffer, pos, config, rng, space)
    langevin = replace(config.plan.langevin, steps=c.steps - c.kl_steps)
    x = drain(langevin_chain(chain_energy(start.y), start.x, langevin, rng, space.keep))
    noises = [standard_normal(x, rng) for _ in range(c.kl_steps)]
    past = buffer.draw(c.entropy_past, rng).x if c.entropy_weight and len(buffer) else None
    matching = matching_points(match, config, rng, space) if c.matching_weight else None
    return IcdPoints(pos, x, start, noises, past, matching)


def icd_losses(
    net: EnergyNetwork,
    points: IcdPoints,
    config: TrainConfig,
    space: Space,
    energy_of: EnergyOf | None = None,
) -> StepOutput:
    """The last Langevin steps, by ``energy_of``, then L_CD + L_opt + L_ent + penalty (+ a share of matching).

    The samples are for the caller to add to the buffer.
    """
    c, pos, start = config.icd, points.data, points.start
    energy_of = energy_of or partial(conditioned, net)
    x_tilde = points.x.detach()  # the graph begins here and not in the chain before
    for noise in points.noises:
        x_tilde = differentiable_step(energy_of(start.y), x_tilde, noise, config.plan.langevin, space.keep)
    x_neg = x_tilde.detach()

    both = torch.cat([pos.x, x_neg])
    labels = None if pos.y is None or start.y is None else torch.cat([pos.y, start.y])
    e_pos, e_neg = net(both, labels).split([len(pos.x), len(x_neg)])
    terms = {}
    if c.contrastive_weight:
        terms["cd"] = c.contrastive_weight * contrastive_divergence(e_pos, e_neg)
    if c.opt_weight:
        terms["opt"] = c.opt_weight * sampler_energy(net, x_tilde, start.y)
    if points.past is not None:
        terms["ent"] = -c.entropy_weight * entropy(x_tilde, points.past)
    if c.penalty_weight:
        terms["penalty"] = c.penalty_weight * energy_penalty(e_pos, e_neg)
    if points.match is not None:
        matching = matching_terms(net, points.match, config, energy_of)
        terms |= {name: c.matching_weight * term for name, term in matching.items()}
    with torch.no_grad():
        figures = {
            "e_pos": e_pos.mean(),
            "e_neg": e_neg.mean(),
            "energy_gap": (e_neg - e_pos).mean(),
            "saturated": ((x_neg <= space.limits[0]) | (x_neg >= space.limits[1])).float().mean(),
            "moved": (x_neg - start.x).flatten(1).norm(dim=1).mean(),
        }
        figures |= {name: term.detach() for name, term in terms.items()}
    return StepOutput(terms, figures, x_neg)


def chain_starts(buffer: ReplayBuffer, data: Batch, config: TrainConfig, rng: torch.Generator, space: Space) -> Batch:
    """Past samples, after a transition with ``jolt_prob``, or noise with ``reinit_prob`` (always, while empty).

    Of the ``data`` only the shape and the labels count: past samples keep theirs, noise takes these. Noise is moved
    too only where the plan that samples the model does so: a chain must not train where it is never used.
    """
    noise, moves = space.noise(len(data.x), rng), config.plan.transition
    if config.plan.move_noise:
        noise = space.jolt(noise, moves, rng)
    if not buffer.has_chains:
        return Batch(noise, data.y)
    fresh = torch.rand(len(noise), generator=rng, device=noise.device) < config.icd.reinit_prob
    past = buffer.take(len(noise), rng)
    moved = torch.arange(len(noise), device=noise.device)
    if config.icd.jolt_prob < 1:
        moved = moved[torch.rand(len(noise), generator=rng, device=noise.device) < config.icd.jolt_prob]
    if len(moved):  # the others are spared a way through the codec
        past.x[moved] = space.jolt(past.x[moved], moves, rng)
    x = torch.where(fresh[:, None, None, None], noise, past.x)
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


def matching_points(data: Batch, config: TrainConfig, rng: torch.Generator, space: Space) -> MatchingPoints:
    """Points on straight paths from noise, or data after a transition, to data."""
    c, x_data = config.matching, data.x
    source = matching_sources(x_data, c, config.plan.transition, rng, space)
    if c.pairing == "transport":
        x_data = pair_by_transport(source, x_data, data.y)
    t = path_times(len(x_data), c, rng)
    x_t, descent = straight_path(source, x_data, t, c.decay_from)
    if not c.label_weight or data.y is None:
        return MatchingPoints(x_t, descent, data.y, None, None)
    mates = mates_by_time(t)
    return MatchingPoints(x_t, descent, data.y, data.y[mates], mates)


def matching_terms(
    net: EnergyNetwork, points: MatchingPoints, config: TrainConfig, energy_of: EnergyOf
) -> dict[str, Tensor]:
    """The matching loss and, where there are labels to tell apart, their contrast on the same points."""
    c = config.matching
    at = energy_and_grad(energy_of(points.y), points.x.detach().requires_grad_(), create_graph=True)
    reach = config.plan.langevin.step_size * c.chain_steps
    terms = {"matching": matching_loss(at.grad, points.descent, reach)}
    if points.y is not None and points.other is not None and points.mates is not None:
        differ = (points.other != points.y).any(dim=1).float()
        contrast = label_contrast(at.energy, net(points.x, points.other), points.mates, differ, c.label_sharpness)
        terms["labels"] = c.label_weight * contrast
    return terms
