"""One training step of each phase: random draws and losses, no I/O and no optimiser."""

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from ebm_core.energy import EnergyFn
from ebm_core.langevin import differentiable_step, drain, langevin_chain
from ebm_core.nets import EnergyNetwork
from ebm_core.sampling import uniform_noise
from ebm_core.transitions import TransitionConfig, transition
from train.config import MatchingConfig, TrainConfig
from train.losses import (
    contrastive_divergence,
    energy_penalty,
    entropy,
    matching_loss,
    pair_by_transport,
    sampler_energy,
)
from train.replay import ReplayBuffer


class StepOutput(NamedTuple):
    """Weighted loss terms, whose sum is the loss, and detached figures for the log."""

    terms: dict[str, Tensor]
    figures: dict[str, Tensor]

    @property
    def loss(self) -> Tensor:
        return torch.stack(list(self.terms.values())).sum()


def matching_step(net: EnergyNetwork, x_data: Tensor, config: TrainConfig, rng: torch.Generator) -> StepOutput:
    """The warm start's step on images ``(B, C, H, W)`` in [0, 1]."""
    loss = _matching(net, x_data, config, rng)
    return StepOutput({"matching": loss}, {"matching": loss.detach()})


def icd_step(
    net: EnergyNetwork, chain_net: EnergyFn, x_pos: Tensor, x_match: Tensor, buffer: ReplayBuffer,
    config: TrainConfig, rng: torch.Generator,
) -> StepOutput:  # fmt: skip
    """Algorithm 1: chains from the replay buffer, then L_CD + L_opt + L_ent + penalty (+ a share of matching).

    ``chain_net`` has the energy of ``net`` in its fastest form and makes all Langevin steps but those that L_opt
    is differentiated through. ``x_pos (B, C, H, W)`` are data; ``x_match`` is the batch of the matching loss. Adds
    the samples to the buffer. Raises NonFiniteEnergyError when the chain leaves the finite numbers.
    """
    c = config.icd
    x_start = chain_starts(buffer, x_pos.shape, config, rng)
    langevin = config.plan.langevin
    x_tilde = drain(langevin_chain(chain_net, x_start, replace(langevin, steps=c.steps - c.kl_steps), rng))
    for step in range(c.kl_steps):
        # Freshly detached, so that the graph begins here and not in the chain before.
        x_tilde = differentiable_step(net, x_tilde if step else x_tilde.detach(), langevin, rng)
    x_neg = x_tilde.detach()

    e_pos, e_neg = net(torch.cat([x_pos, x_neg])).split([len(x_pos), len(x_neg)])
    terms = {}
    if c.contrastive_weight:
        terms["cd"] = c.contrastive_weight * contrastive_divergence(e_pos, e_neg)
    if c.opt_weight:
        terms["opt"] = c.opt_weight * sampler_energy(net, x_tilde)
    if c.entropy_weight and len(buffer):
        terms["ent"] = -c.entropy_weight * entropy(x_tilde, buffer.draw(c.entropy_past, rng))
    if c.penalty_weight:
        terms["penalty"] = c.penalty_weight * energy_penalty(e_pos, e_neg)
    if c.matching_weight:
        terms["matching"] = c.matching_weight * _matching(net, x_match, config, rng)
    buffer.add(x_neg, rng)
    with torch.no_grad():
        figures = {
            "e_pos": e_pos.mean(),
            "e_neg": e_neg.mean(),
            "energy_gap": (e_neg - e_pos).mean(),
            "saturated": ((x_neg <= 0) | (x_neg >= 1)).float().mean(),
            "moved": (x_neg - x_start).flatten(1).norm(dim=1).mean(),
        }
        figures |= {name: term.detach() for name, term in terms.items()}
    return StepOutput(terms, figures)


def chain_starts(
    buffer: ReplayBuffer, shape: tuple[int, ...], config: TrainConfig, rng: torch.Generator
) -> Tensor:
    """Past samples after a transition, or noise with ``reinit_prob`` (always, while the buffer is empty).

    Noise is moved too only where the plan that samples the model does so: a chain must not train where it is
    never used.
    """
    noise, moves = uniform_noise(shape, rng), config.plan.transition
    if config.plan.move_noise:
        noise = transition(noise, moves, rng)
    if not len(buffer):
        return noise
    fresh = torch.rand(shape[0], generator=rng, device=noise.device) < config.icd.reinit_prob
    return torch.where(fresh[:, None, None, None], noise, transition(buffer.draw(shape[0], rng), moves, rng))


def matching_sources(x_data: Tensor, config: MatchingConfig, moves: TransitionConfig, rng: torch.Generator) -> Tensor:
    """Where the straight paths start: noise, noise after a transition, data after one, in the given shares."""
    noise = uniform_noise(tuple(x_data.shape), rng)
    kind = torch.rand(len(x_data), generator=rng, device=x_data.device)[:, None, None, None]
    source = noise
    if config.moved_noise:
        source = torch.where(kind >= config.noise, transition(noise, moves, rng), source)
    if config.moved_data:
        source = torch.where(kind >= config.noise + config.moved_noise, transition(x_data, moves, rng), source)
    return source


def _matching(net: EnergyNetwork, x_data: Tensor, config: TrainConfig, rng: torch.Generator) -> Tensor:
    c = config.matching
    source = matching_sources(x_data, c, config.plan.transition, rng)
    if c.pairing == "transport":
        x_data = pair_by_transport(source, x_data)
    t = torch.rand(len(x_data), generator=rng, device=x_data.device)
    reach = config.plan.langevin.step_size * c.chain_steps
    return matching_loss(net, source, x_data, t, reach=reach, decay_from=c.decay_from)
