"""``python -m train evaluate chain MODEL...``: where chains are that walk on long after their plan has ended.

Plain Langevin dynamics at the model's own step size and noise, from noise, without jolts: what a chain of 10,000 steps
settles in is what the energy itself holds for likely, however the model is sampled in use. With ``--round-steps`` it is
the paper's Algorithm 2 for ever: the model's jolt between rounds of so many steps, as a chain that is left to wander.
Several models of the same data are drawn beside each other. (The paper's Figure 7 is of 1,000 steps without noise:
``reproduce modes``.)
"""

import argparse
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from ebm_core import images
from ebm_core.arguments import POSITIVE, add_device, whole
from ebm_core.checkpoint import load_model
from ebm_core.diversity import mean_pairwise_distance
from ebm_core.energy import EnergyFn
from ebm_core.files import write_atomically
from ebm_core.hub import find_model, open_space
from ebm_core.precision import for_sampling
from ebm_core.recipe import SEED
from ebm_core.sampling import SamplePlan, sample
from ebm_core.space import Space
from train.data import DataConfig, load
from train.evaluate.features import FrechetDistance
from train.evaluate.split import Split, add_split, saying
from train.markdown import table
from train.provenance import add_allow_dirty, command_of, provenance
from train.reproduce.measures import saturated_share

SHOWN = 8  # chains of a sheet
FRAMED = 6  # spreads of the data's energies that the plot shows: on noise energies are a hundred higher
INTRODUCTION = """# Long chains

{num} chains of each model walk {steps:,} steps of Langevin dynamics from noise, at {size} and
noise, {jolts}. Energies are less the mean of {num_data} pictures of the {kind}
file, in brackets the standard deviation of those; the distance between chains is a root mean square over pixels; the
Fréchet distance ({features} features) is of {num} pictures: compare it with that of as many training pictures alone.

{saying}

"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add_device(parser)
    parser.add_argument("models", nargs="+", metavar="MODEL", help="names under weights/, paths, or hf:owner/repo")
    parser.add_argument("--train", required=True, help="zip of the training images (for the floor)")
    add_split(parser, "to compare with")
    parser.add_argument("--steps", type=whole(1, 10**6), default=10_000)
    parser.add_argument(
        "--round-steps",
        type=whole(0, 10**6),
        default=0,
        metavar="N",
        help="a jolt after so many steps; 0 = plain chains",
    )
    parser.add_argument("--step-size", type=POSITIVE, help="at the model's temperature (default: the model's own)")
    parser.add_argument("--num", type=whole(2, 256), default=16, help="chains of each model")
    parser.add_argument("--seed", type=SEED, default=0)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    add_allow_dirty(parser)


def run(a: argparse.Namespace) -> None:
    """The command itself. Raises ValueError, in a sentence, for models that do not make pictures of one size."""
    split = Split.of(a)
    if a.round_steps and a.steps % a.round_steps:
        raise ValueError(f"--steps {a.steps} is not whole rounds of {a.round_steps}; take a multiple")
    options = {"train": a.train, split.kind: split.path, "steps": a.steps, "num": a.num, "seed": a.seed, "out": a.out}
    options |= {"round_steps": a.round_steps or None, "step_size": a.step_size}
    origin = provenance(command_of(["evaluate", "chain", *a.models], options, a.device))
    opened = []
    for model in a.models:
        path = find_model(model)
        net, info = load_model(path, a.device)
        if info.attribute is not None:
            raise ValueError(f"{model} needs to be told its {info.attribute.name}; give unconditional models")
        opened.append((path.parent.name, for_sampling(net), info, open_space(info.space, info.net, a.device, path)))
    if len({name for name, *_ in opened}) < len(opened) or len({s.picture_shape for *_, s in opened}) > 1:
        raise ValueError("models are drawn beside each other that have different names and pictures of one size")
    size = opened[0][3].size_and_channels
    train, test = (load(DataConfig("zip", file), *size).images for file in (a.train, split.path))
    distance = FrechetDistance(test, device=a.device)
    rng = torch.Generator().manual_seed(a.seed)
    some, data = (u8[torch.randperm(len(u8), generator=rng)[: a.num]] for u8 in (train, test))
    rows, sheets = {}, {}
    for name, energy, info, space in opened:
        plan = endless(info.plan, a.steps, a.round_steps)
        plan = replace(plan, langevin=plan.langevin.with_step_size(a.step_size or plan.langevin.step_size))
        states = walk(energy, plan, space, a.num, a.seed, a.device, name)
        of_data = energy(space.encode(data.to(a.device))).detach()
        level = float(of_data.mean())
        rows[name] = {
            "data": {"mean": level, "std": float(of_data.std())},
            "marks": [
                {"step": step, "energy": float(energies.mean()) - level, **looks(pictures, distance)}
                for step, (pictures, energies) in states.items()
            ],
        }
        shown = torch.cat([pictures[:SHOWN] for pictures, _ in states.values()])
        sheets[name] = images.encode_sheet(shown, min(SHOWN, a.num))
        print(json.dumps({name: rows[name]}), flush=True)
    report = {
        "models": rows,
        "steps": a.steps,
        "round_steps": a.round_steps,
        "step_size": a.step_size,
        "num": a.num,
        "num_data": len(data),
        "seed": a.seed,
        "features": distance.name,
        "training_pictures": looks(some, distance),
        "read_on": split.to_plain(),
        "provenance": origin,
    }
    write_atomically(a.out / "chain.json", (json.dumps(report, indent=1) + "\n").encode())
    write_atomically(a.out / "README.md", markdown(report).encode())
    write_atomically(a.out / "chain.png", curves(report))
    for name, sheet in sheets.items():
        write_atomically(a.out / f"{name}.webp", sheet)


def marks(steps: int) -> list[int]:
    """The steps that are looked at, evenly in their logarithm: 10, 30, 100, 300 and so on, and the last one."""
    regular = {lead * 10**power for power in range(1, 7) for lead in (1, 3)}
    return sorted(step for step in {*regular, steps} if step <= steps)


def endless(plan: SamplePlan, steps: int, round_steps: int) -> SamplePlan:
    """So many steps from noise as it is: without transitions, or between them in rounds of ``round_steps``."""
    if not round_steps:
        return plan.refining(steps)
    langevin = replace(plan.langevin, steps=round_steps)
    return replace(plan.refining(0), rounds=steps // round_steps, langevin=langevin)


def walk(
    energy: EnergyFn, plan: SamplePlan, space: Space, num: int, seed: int, device: str = "cpu", title: str = "chain"
) -> dict[int, tuple[Tensor, Tensor]]:
    """By ``marks``: pictures uint8 ``(num, C, H, W)`` and energies ``(num,)`` of one chain each.

    In a walk with jolts they are those of a step before, as a round may end there and the jolt has come by the mark.
    """
    rng = torch.Generator(device).manual_seed(seed)
    early = 1 if plan.rounds else 0
    at = {mark - early if mark < plan.num_steps else mark: mark for mark in marks(plan.num_steps)}
    chain = sample(energy, space.noise(num, rng), plan, rng, space)
    return {
        at[state.step]: (images.quantise(space.decode(state.x)).cpu(), state.energy.cpu())
        for state in tqdm(chain, title, plan.num_steps + 1, leave=False)
        if state.step in at
    }


def looks(pictures: Tensor, distance: FrechetDistance) -> dict[str, float]:
    """What a report says of pictures uint8 ``(num, C, H, W)``: values at an end, distances to each other, to data."""
    return {
        "saturated": saturated_share(pictures),
        "apart": float(mean_pairwise_distance((pictures.float() + 0.5) / 256)),
        "frechet": distance(pictures),
    }


def markdown(report: dict[str, Any]) -> str:
    """The report as a page."""
    jolts = "without the jolts and the refinement of its plan"
    if report["round_steps"]:
        jolts = f"with its jolt after every {report['round_steps']} of them"
    size = f"a step size of {own:g}" if (own := report.get("step_size")) else "the model's own step size"
    page = INTRODUCTION.format(
        **report, size=size, jolts=jolts, kind=report["read_on"]["kind"], saying=saying(report["read_on"])
    )
    rows: list[Sequence[str]] = []
    for name, model in report["models"].items():
        for mark in model["marks"]:
            energy = f"{1000 * mark['energy']:+.2f} ({1000 * model['data']['std']:.2f})"
            rows.append((name, f"{mark['step']:,}", energy, *_cells(mark)))
    rows.append(("*training pictures*", "", "", *_cells(report["training_pictures"])))
    head = ("model", "steps", "energy, thousandths", "saturated values", "between chains", "Fréchet distance")
    page += table(head, rows) + "\n\n![Energies along the way](chain.png)\n\n"
    for name in report["models"]:
        steps = ", ".join(f"{mark['step']:,}" for mark in report["models"][name]["marks"])
        page += f"![The first {SHOWN} chains of {name}, nothing chosen, after {steps} steps]({name}.webp)\n\n"
        page += f"*{name}: the first {SHOWN} chains, nothing chosen, after {steps} steps.*\n\n"
    origin = report["provenance"]
    return f"{page}`{origin['command']}`, {origin['date']}, commit {origin['commit']}, {origin['machine']}.\n"


def _cells(look: dict[str, Any]) -> tuple[str, str, str]:
    return f"{look['saturated']:.1%}", f"{look['apart']:.3f}", f"{look['frechet']:.0f}"


def curves(report: dict[str, Any]) -> bytes:
    """Energies and Fréchet distances by step, as a PNG."""
    from train.reproduce.figures import COLOURS, figure, legend

    plot, (energy, distance) = figure(2, ["energy less that of data, by step", "Fréchet distance, by step"])
    for (name, model), colour in zip(report["models"].items(), COLOURS * len(report["models"]), strict=False):
        steps = [mark["step"] for mark in model["marks"]]
        energy.plot(steps, [mark["energy"] for mark in model["marks"]], "o-", color=colour, label=name, markersize=3)
        distance.plot(steps, [mark["frechet"] for mark in model["marks"]], "o-", color=colour, markersize=3)
    spread = mean(model["data"]["std"] for model in report["models"].values())
    energy.axhspan(-spread, spread, color="#d1fae5", label="one spread of the data's energies")
    distance.axhline(report["training_pictures"]["frechet"], color="#9ca3af", linestyle="--")
    for axis in (energy, distance):
        axis.set_xscale("log")
    energy.set_ylim(-FRAMED * spread, FRAMED * spread)
    legend(energy, 2)
    page = io.BytesIO()
    plot.savefig(page, format="png", dpi=110)
    return page.getvalue()
