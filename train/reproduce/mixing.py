"""Figures 5 and 6: chains that all start as one picture, with and without transitions."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from ebm_core.config import to_dict
from ebm_core.diversity import mean_pairwise_distance
from ebm_core.images import quantise
from ebm_core.nets import EnergyNetwork
from ebm_core.precision import for_sampling
from ebm_core.sampling import SamplePlan, final_state, sample
from ebm_core.space import pixels
from ebm_core.transitions import scaled
from train.history import objective
from train.reproduce.experiment import Claim, Experiment, Findings, Size
from train.reproduce.figures import COLOURS, figure, legend, rows_of_pictures
from train.reproduce.lab import Lab, NotRun

FACTOR = 2.0  # how much further apart the chains must be with transitions
WITH, WITHOUT, INDEPENDENT = "with transitions", "without", "independent, each from noise of its own"
ARMS = {WITH: 1.0, WITHOUT: 0.0, INDEPENDENT: None}  # strength of the transitions


@dataclass(frozen=True)
class Settings:
    """For each model: one picture of its own, from which ``chains`` walk ``rounds`` rounds of its plan."""

    models: tuple[str, ...] = ("objects", "faces")
    chains: int = 12
    rounds: int = 3
    pictures: int = 6  # chains shown
    seed: int = 0


def settings(size: Size) -> Settings:
    """``full`` has the paper's many chains and goes on for longer."""
    return Settings() if size == "small" else Settings(chains=64, rounds=20)


def run(lab: Lab, s: Settings) -> Findings:
    """Models that are not there are left out, with a note; without any of them the experiment is not run."""
    walks: dict[str, dict[str, Any]] = {}
    notes = []
    for name in s.models:
        try:
            net, info = lab.pixel_model(name)
        except NotRun as reason:
            notes.append(f"{name}: not run: {reason}.")
            continue
        notes += [f"{name}: {sentence}" for sentence in [objective(info.provenance)] if sentence]
        walks[name] = {
            arm: lab.piece(
                f"{name}, {arm}",
                [to_dict(info.plan), to_dict(s), info.provenance],
                partial(_walk, lab, net, info.plan, strength, s),
            )
            for arm, strength in ARMS.items()
        }
    if not walks:
        raise NotRun(" ".join(notes))
    return _findings(walks, s, notes)


def _walk(lab: Lab, net: EnergyNetwork, own: SamplePlan, strength: float | None, s: Settings) -> dict[str, Any]:
    """Distances and mean energies by step, the start, and pictures at the end of every round and of the walk."""
    space, net = pixels(net.config.channels, net.config.image_size), for_sampling(net)
    rng = torch.Generator(lab.device).manual_seed(s.seed)
    noise = space.noise(s.chains, rng)
    start, plan = noise, own
    if strength is not None:
        start = final_state(sample(net, noise[:1], own, rng, space)).x.expand_as(noise)
        # The first round, too, begins with a transition.
        plan = replace(own, rounds=s.rounds, candidates=1, move_noise=True, transition=scaled(own.transition, strength))
    # The state with the number of a round's first step has had its transition already.
    ends = {(number + 1) * plan.langevin.steps - 1 for number in range(plan.rounds)} | {plan.num_steps}
    distances, energies, pictures = [], [], []
    for state in sample(net, start, plan, rng, space):
        distances.append(float(mean_pairwise_distance(state.x)))
        energies.append(float(state.energy.mean()))
        if state.step in ends:
            pictures.append(quantise(state.x[: s.pictures]).cpu())
    return {
        "start": quantise(start[: s.pictures]).cpu(),
        "distance": distances,
        "energy": energies,
        "pictures": pictures,
    }


def _findings(walks: dict[str, dict[str, Any]], s: Settings, notes: list[str]) -> Findings:
    plot, axes = figure(len(walks), [f"{name}: {s.chains} chains from one picture" for name in walks])
    table, claims, pictures = [], [], {}
    for (name, arms), axis in zip(walks.items(), axes, strict=True):
        for (arm, walk), colour in zip(arms.items(), COLOURS, strict=False):
            table.append(
                {
                    "model": name,
                    "chains": arm,
                    "mean pairwise distance at the end": walk["distance"][-1],
                    "mean energy at the start": walk["energy"][0],
                    "at the end": walk["energy"][-1],
                }
            )
            if arm == INDEPENDENT:
                axis.axhline(walk["distance"][-1], color="#9ca3af", linestyle="--", label="independent samples")
                continue
            axis.plot(walk["distance"], color=colour, label=arm)
            pictures[f"{name}, {arm}: the start, then the chains at the end of each round and of the walk"] = (
                rows_of_pictures([walk["start"], *walk["pictures"]])
            )
        axis.set_xlabel("Langevin step")
        axis.set_ylabel("mean pairwise distance")
        legend(axis)
        far, near, independent = (arms[arm]["distance"][-1] for arm in ARMS)
        claims.append(
            Claim(
                f"with transitions chains of `{name}` end at least {FACTOR:g} times as far apart",
                far - FACTOR * near,
                f"After {len(arms[WITHOUT]['distance']) - 1} steps the mean pairwise distance is {far:.3f} with and "
                f"{near:.3f} without; independent samples have {independent:.3f}.",
                one_model=True,
            )
        )
    notes.append(
        "The distance is the root mean square difference of pixels in [0, 1], the mean over all pairs of chains. The "
        "paper shows such chains as pictures only, so the factor is ours."
    )
    curves = {
        name: {arm: {"distance": walk["distance"], "energy": walk["energy"]} for arm, walk in arms.items()}
        for name, arms in walks.items()
    }
    return Findings(table, claims, plot, pictures, notes, curves)


EXPERIMENT = Experiment(
    "mixing",
    "Figures 5 and 6",
    "Do chains that start as the same picture move apart?",
    "Langevin chains alone stay at one mode; with data augmentation as transitions they travel between many.",
    settings,
    run,
)
