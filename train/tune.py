"""``python -m train tune NAME --data VALIDATION``: how a model walks (how far, in what steps, jolts or not), kept.

Lengths are chosen by the Fréchet distance. ``--candidates`` are not: they give up variety, which the distance counts,
for whole pictures, which it hardly does. Whoever asks for them has looked at pictures; the distance is kept beside it.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from ebm_core.arguments import add_device, whole
from ebm_core.checkpoint import ModelInfo, read_info
from ebm_core.recipe import SEED
from ebm_core.sampling import MAX_CANDIDATES, SamplePlan
from ebm_core.space import Space
from train.provenance import add_allow_dirty, command_of, provenance

STEPS = (80, 120, 160, 200, 240, 320)
REFINEMENT = 40  # of a plan without jolts: its last steps, so that the page's presets know what to halve and lengthen
MAX_STRIDE = 100
LEAST_PICTURES = 50  # fewer make a distance that says nothing
BATCH = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add_device(parser)
    parser.add_argument("model", help="a name under weights/, or a path")
    parser.add_argument("--data", required=True, help="validation pictures; never those that the model is reported on")
    parser.add_argument("--num", type=whole(2), default=250, help="samples for each plan")
    parser.add_argument("--seed", type=SEED, default=0)
    length = whole(REFINEMENT + 1)
    parser.add_argument(
        "--steps", type=length, nargs="*", default=list(STEPS), help="lengths to try without jolts; none: no others"
    )
    parser.add_argument(
        "--strides",
        type=whole(1, MAX_STRIDE),
        nargs="+",
        default=[1],
        help="how many times as far steps may go: so many fewer of them, at the same temperature (default 1)",
    )
    parser.add_argument("--also", nargs="+", default=[], metavar="MODEL", help="attribute models that walk with it")
    parser.add_argument(
        "--candidates", type=whole(1, MAX_CANDIDATES), default=1, help="chains of which the best is refined (default 1)"
    )
    add_allow_dirty(parser)


def run(a: argparse.Namespace) -> None:
    """Writes the best plan and the whole comparison into the model file; prints it."""
    from ebm_core.checkpoint import load_model, replace_plan
    from ebm_core.hub import find_model, open_space
    from train.data import DataConfig, load

    path = find_model(a.model)
    net, info = load_model(path, a.device)
    space = open_space(info.space, info.net, a.device, path)
    images = load(DataConfig("zip", a.data), *space.size_and_channels).images
    if len(images) < LEAST_PICTURES:
        raise ValueError(f"{a.data} has {len(images)} pictures; a plan is chosen on {LEAST_PICTURES} or more of them")
    if info.attribute is not None:
        raise ValueError(f"{a.model} is conditional and walks with its family's plan; tune the unconditional model")
    followers = [find_model(model) for model in a.also]
    for follower in followers:
        _check_follows(path, info, follower)
    rows = compare(
        net,
        info.plan,
        images,
        a.steps,
        a.candidates,
        strides=a.strides,
        space=space,
        num=a.num,
        seed=a.seed,
        device=a.device,
    )
    best = rows[-1] if a.candidates > 1 else min(rows, key=lambda row: row["distance"])
    plan = best["plan"]
    for row in rows:
        row.pop("plan", None)
    tuning = {"chosen": best["name"], "plans": rows, "num": a.num, "seed": a.seed, "file": Path(a.data).name}
    tuning["candidates"] = a.candidates
    words = ["tune", a.model, "--steps", *map(str, a.steps), "--candidates", str(a.candidates)]
    words += ["--strides", *map(str, a.strides)] + (["--also", *a.also] if a.also else [])
    command = command_of(words, {"data": a.data, "num": a.num, "seed": a.seed}, a.device)
    for file in [path, *followers]:
        replace_plan(file, plan, tuning | provenance(command))
    print(json.dumps(tuning, indent=1))


def compare(
    net: Any,
    plan: SamplePlan,
    images: Tensor,
    steps: Sequence[int],
    candidates: int,
    *,
    strides: Sequence[int] = (1,),
    space: Space,
    num: int,
    seed: int,
    device: str,
) -> list[dict[str, Any]]:
    """The Fréchet distance to ``images`` uint8 ``(N, 3, H, W)`` of samples by the model's own plan and without jolts.

    Without jolts one walk is all lengths of a stride: it is looked at on its way. With several ``candidates`` the best
    of these plans comes once more, last, with them.
    """
    from train.evaluate.features import FrechetDistance
    from train.evaluate.samples import draw_samples, draw_walks

    distance = FrechetDistance(images, device=device)
    rows: list[dict[str, Any]] = []
    plan = replace(plan, candidates=1)
    tried = [("the model's own", [plan])]
    for stride in sorted(set(strides)):
        plans = [straight(plan, length, stride) for length in sorted(set(steps))]
        tried.append(("no jolts" + f", {stride} times as far" * (stride > 1), plans))
    for name, plans in tried:
        by_length = {each.num_steps: each for each in plans}
        if not by_length:
            continue
        longest = by_length[max(by_length)]
        walks = draw_walks(net, longest, num, seed, space=space, at=tuple(by_length), batch=BATCH, device=device)
        for length, samples in walks.items():
            rows.append(
                {
                    "name": f"{name}, {length} steps",
                    "steps": length,
                    "distance": round(distance(samples), 2),
                    "plan": by_length[length],
                }
            )
    if candidates > 1:
        best = min(rows, key=lambda row: row["distance"])
        chosen = replace(best["plan"], candidates=candidates)
        samples, _ = draw_samples(net, chosen, num, seed, space=space, batch=BATCH, device=device)
        name = f"{best['name']}, the best of {candidates}"
        rows.append(best | {"name": name, "distance": round(distance(samples), 2), "plan": chosen})
    return rows


def straight(plan: SamplePlan, steps: int, stride: int = 1) -> SamplePlan:
    """The plan that walks as far as ``steps`` of its own, more than ``REFINEMENT``, from noise with no transition.

    ``stride`` of them are one: the step size is so many times as large, the temperature as it was.
    """
    langevin = plan.langevin.with_step_size(plan.langevin.step_size * stride)
    langevin = replace(langevin, steps=max(1, round((steps - REFINEMENT) / stride)))
    refinement = max(1, round(REFINEMENT / stride))
    return replace(plan, rounds=1, refinement_steps=refinement, move_noise=False, langevin=langevin)


def _check_follows(path: Path, info: ModelInfo, follower: Path) -> None:
    other = read_info(follower)
    if other.attribute is None or other.family != info.family:
        raise ValueError(f"{follower} is no attribute model of the family of {path}: it does not walk with its plan")
