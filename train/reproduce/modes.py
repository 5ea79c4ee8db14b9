"""Figure 7: many noiseless steps, down into the valleys. Do the lowest-energy pictures look like data?"""

from dataclasses import dataclass, replace
from typing import Any

import torch

from ebm_core.config import to_dict
from ebm_core.images import quantise
from ebm_core.nets import EnergyNetwork
from ebm_core.precision import for_sampling
from ebm_core.sampling import SamplePlan, sample
from ebm_core.space import pixels
from train.config import TrainConfig
from train.evaluate.frechet import nearest
from train.history import objective
from train.reproduce.compute import equal_compute, spent
from train.reproduce.experiment import Claim, Experiment, Findings, Size
from train.reproduce.figures import COLOURS, figure, legend, rows_of_pictures
from train.reproduce.lab import Lab, NotRun
from train.reproduce.measures import median, saturated_share
from train.reproduce.training import NO_KL, NO_TRANSITIONS, TEST, from_scratch, train, variants_of

DATA = {
    "objects": ("objects64-train.zip", "objects64-test.zip"),
    "faces": ("celeba128-train.zip", "celeba128-test.zip"),
}
FULL = "full ICD, from scratch"
SCRATCH = {FULL: [], "baseline CD, from scratch": [*NO_KL, *NO_TRANSITIONS]}
CLOSE = 2.0  # times the error of test pictures to their nearest training picture still "looks like data"


@dataclass(frozen=True)
class Settings:
    """``steps`` noiseless steps from noise and from test pictures, by shipped models and by two from scratch."""

    config: TrainConfig
    test: str  # of the two from scratch
    models: tuple[str, ...] = ("objects", "faces")
    chains: int = 16
    steps: int = 300
    pictures: int = 8  # those of the lowest energy

    @property
    def seed(self) -> int:
        return self.config.seed


def settings(size: Size) -> Settings:
    """The paper takes 1,000 steps."""
    config = from_scratch(size)
    return Settings(config, TEST[size]) if size == "small" else Settings(config, TEST[size], chains=64, steps=1000)


def run(lab: Lab, s: Settings) -> Findings:
    """Models that are not there are left out, with a note."""
    plunges: dict[str, dict[str, Any]] = {}
    notes = []
    for name in s.models:
        try:
            net, info = lab.pixel_model(name)
            plunges[name] = _plunge(lab, name, net, info.plan, DATA[name], [to_dict(s), info.provenance], s)
            notes += [f"{name}: {sentence}" for sentence in [objective(info.provenance)] if sentence]
        except NotRun as reason:
            notes.append(f"{name}: not run: {reason}.")
    configs = equal_compute(variants_of(s.config, SCRATCH), of=FULL)
    for name, config in configs.items():
        trained = train(lab, name, config)
        files = (config.data.path, s.test)
        plunges[name] = _plunge(lab, name, trained.net, config.plan, files, [to_dict(s), to_dict(config)], s)
    return _findings(plunges, s, notes, tuple(map(spent, configs.values())))


def _plunge(
    lab: Lab, name: str, net: EnergyNetwork, plan: SamplePlan, files: tuple[str, str], about: Any, s: Settings
) -> dict[str, Any]:
    """From noise and from test pictures: energies by step and the lowest pictures, with their distance to data."""

    def compute() -> dict[str, Any]:
        train_images, test = (lab.images(file, net.config.image_size) for file in files)
        fast, space = for_sampling(net), pixels(net.config.channels, net.config.image_size)
        rng = torch.Generator(lab.device).manual_seed(s.seed)
        noise, data = space.noise(s.chains, rng), space.encode(test[: s.chains].to(lab.device))
        down = replace(plan.refining(s.steps), langevin=replace(plan.langevin, noise_std=0.0))
        error_of_test = median(nearest(test[:500], train_images)[0].tolist())
        result: dict[str, Any] = {"data_saturated": saturated_share(test)}
        for start, x in (("noise", noise), ("data", data)):
            energies = []
            for state in sample(fast, x, down, rng, space):
                energies.append(float(state.energy.mean()))
            order = state.energy.argsort()[: s.pictures]
            lowest = quantise(state.x[order]).cpu()
            result[start] = {
                "energy": energies,
                "lowest": lowest,
                "saturated": saturated_share(lowest),
                "error": median(nearest(lowest, train_images)[0].tolist()) / error_of_test,
            }
        return result

    piece: dict[str, Any] = lab.piece(f"{name}, downhill", about, compute)
    return piece


def _findings(
    plunges: dict[str, dict[str, Any]], s: Settings, notes: list[str], compute: tuple[float, ...]
) -> Findings:
    plot, (energy, error) = figure(2, ["Mean energy on the way down, from noise", "Lowest-energy pictures, from noise"])
    table, claims, pictures, curves = [], [], {}, {}
    for (name, plunge), colour in zip(plunges.items(), COLOURS, strict=False):
        curve = plunge["noise"]["energy"]
        energy.plot([value - plunge["data"]["energy"][0] for value in curve], color=colour, label=name)
        error.bar(name.replace(", ", ",\n"), plunge["noise"]["error"], color=colour)
        for start in ("noise", "data"):
            table.append(
                {
                    "model": name,
                    "from": start,
                    "energy, less that of data": plunge[start]["energy"][-1] - plunge["data"]["energy"][0],
                    "distance to data": plunge[start]["error"],
                    "saturated": plunge[start]["saturated"],
                    "saturated in data": plunge["data_saturated"],
                }
            )
        # Not those from data: in the valleys they still look like data, which are not this project's to pass on.
        pictures[f"{name}: lowest energies from noise"] = rows_of_pictures([plunge["noise"]["lowest"]])
        curves[name] = {start: plunge[start]["energy"] for start in ("noise", "data")}
        if name not in SCRATCH:
            ratio = plunge["noise"]["error"]
            claims.append(
                Claim(
                    f"the lowest-energy pictures of `{name}` are as close to data as data are, within a factor "
                    f"{CLOSE:g}",
                    CLOSE - ratio,
                    f"From noise they are {ratio:.2f} times as far from the nearest training picture as "
                    f"test pictures are; {plunge['noise']['saturated']:.0%} of their pixels are saturated, of data's "
                    f"{plunge['data_saturated']:.0%}.",
                    one_model=True,
                )
            )
    full, baseline = (plunges[name] for name in SCRATCH)
    claims.append(
        Claim(
            "trained from scratch, the baseline's lowest-energy pictures are further from data than those of full ICD",
            baseline["noise"]["error"] - full["noise"]["error"],
            f"From noise {baseline['noise']['error']:.1f} times the distance of test pictures for the baseline, "
            f"{full['noise']['error']:.1f} for full ICD; from data {baseline['data']['error']:.1f} and "
            f"{full['data']['error']:.1f}; saturated {baseline['noise']['saturated']:.0%} and "
            f"{full['noise']['saturated']:.0%}.",
            compute,
        )
    )
    energy.set_xlabel("noiseless step")
    energy.set_ylabel("energy, less that of data")
    energy.set_yscale("symlog", linthresh=1e-3)
    legend(energy)
    error.axhline(1, color="#9ca3af", linestyle="--")
    error.set_ylabel("distance to data, test = 1")
    error.tick_params(axis="x", labelsize=8)
    notes.append(
        f"Distance to data: median squared error of the {s.pictures} lowest of {s.chains} pictures to their nearest "
        "training picture, over that of test pictures. It is low for blurred pictures too, so look at them."
    )
    steep = [name for name, plunge in plunges.items() if plunge["noise"]["energy"][-1] > plunge["data"]["energy"][0]]
    if steep:
        notes.append(
            f"{' and '.join(steep)}: the sampler's own steps end above the energy of data. Its energy is so steep that "
            "they jump over every valley, in training as well as here."
        )
    return Findings(table, claims, plot, pictures, notes, curves)


EXPERIMENT = Experiment(
    "modes",
    "Figure 7",
    "Do the pictures of lowest energy look like data?",
    "After 1,000 noiseless steps the model's lowest-energy pictures are still realistic, those of a model trained by "
    "plain contrastive divergence are oversaturated.",
    settings,
    run,
)
