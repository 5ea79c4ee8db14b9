"""``python -m train trials CONFIG ...``: warm starts of equal core time, judged on validation pictures only."""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ebm_core.arguments import POSITIVE, add_device, whole
from train.config import TrainConfig
from train.markdown import table
from train.provenance import add_allow_dirty, command_of, provenance

TIMED = 6  # iterations that tell how many fit into the time
REPORT = "README.md"
INTRODUCTION = """# Training recipes at equal time

One row is one warm start by matching: {core_minutes:.1f} minutes of one core, one thread, seed {seed}. Judged on the
validation file alone: the matching loss of {num_loss} pictures at fixed noise and `t`, of the trained weights on the
way and of the best average at the end, and the Fréchet distance ({features} features, not FID) of {num} samples.
Core time is the process's; other work on the machine still costs caches, so compare rows whose pictures a core-second
are near each other. Each config is what its file in `train/configs/recipe` says; *one seed each*, so small differences
mean nothing. Losses of trials with other sources (`noise-only`) are of another task and do not compare.

"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add_device(parser)
    parser.add_argument("configs", type=Path, nargs="+", help="TOML files; a trial is named as its file")
    parser.add_argument("--data", required=True, help="training pictures")
    parser.add_argument("--val", required=True, help="validation pictures, for both figures")
    parser.add_argument("--core-minutes", type=POSITIVE, default=6.0, help="of training, for each")
    parser.add_argument("--num", type=whole(0), default=250, help="samples for the distance; 0 = loss alone")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="one JSON a trial, and a table of all")
    add_allow_dirty(parser)


def run(a: argparse.Namespace) -> None:
    """A trial whose JSON is there already is not made again; the table has all that are in the folder."""
    from ebm_core.config import load_toml
    from ebm_core.files import write_atomically
    from ebm_core.hub import open_space
    from train.data import DataConfig, load

    options = {"data": a.data, "val": a.val, "core_minutes": a.core_minutes, "num": a.num, "out": a.out}
    for path in a.configs:
        result = a.out / f"{path.stem}.json"
        if result.is_file():
            continue
        config = load_toml(TrainConfig, path, options={"data.path": a.data})
        space = open_space(config.space, config.net, a.device)
        train, val = (load(DataConfig("zip", p), *space.size_and_channels).images for p in (a.data, a.val))
        row = trial(config, train, val, 60 * a.core_minutes, a.num, a.device)
        command = command_of(["trials", str(path)], options, a.device)
        row = {"name": path.stem, "what": first_comment(path), **row, "provenance": provenance(command)}
        write_atomically(result, (json.dumps(row, indent=1) + "\n").encode())
        print(json.dumps({key: row[key] for key in ("name", "iterations", "held_out", "averages", "distance")}))
    rows = [json.loads(path.read_text()) for path in sorted(a.out.glob("*.json"))]
    write_atomically(a.out / REPORT, report(rows).encode())


def trial(config: TrainConfig, train: Tensor, val: Tensor, seconds: float, num: int, device: str) -> dict[str, Any]:
    """Figures of one run over ``seconds`` of this process's time; its schedule is laid out for just that."""
    from train.evaluate.features import FrechetDistance
    from train.evaluate.held_out import held_out_loss
    from train.evaluate.samples import draw_samples
    from train.trainer import Trainer

    timed = Trainer(replace(config, warm_start=replace(config.warm_start, iterations=10**6)), train, device)
    durations = [duration for _, duration in zip(range(TIMED + 2), _steps(timed))][2:]
    iterations = max(10, round(seconds / (sum(durations) / TIMED)))
    config = replace(config, warm_start=replace(config.warm_start, iterations=iterations))
    trainer, spent, curve = Trainer(config, train, device), 0.0, []
    space = trainer.space
    marks = [seconds * share for share in (1 / 6, 1 / 3, 2 / 3)]
    for duration in _steps(trainer):
        spent += duration
        if marks and spent >= marks[0]:
            marks.pop(0)
            curve.append({"core_seconds": round(spent), "held_out": held_out_loss(trainer.net, config, val, space)})
        if trainer.iteration == iterations:
            break
    by_name = trainer.averages.by_name
    averages = {name: held_out_loss(average.net, config, val, space) for name, average in by_name.items()}
    best = min(averages, key=averages.__getitem__)
    row: dict[str, Any] = {
        "iterations": iterations,
        "core_seconds": round(spent),
        "seed": config.seed,
        "parameters": sum(p.numel() for p in trainer.net.parameters()),
        "batch_size": config.warm_start.batch_size,
        "pictures_per_core_second": round(iterations * config.warm_start.batch_size / spent, 1),
        "curve": curve,
        "held_out": held_out_loss(trainer.net, config, val, space),
        "averages": averages,
        "best": best,
        "scales": {key: float(value) for key, value in trainer.scale_figures().items()},
        "distance": None,
        "num": num,
    }
    if num:
        distance = FrechetDistance(val, device=device)
        samples, _ = draw_samples(
            trainer.averages.by_name[best].net, config.plan, num, config.seed, space=space, device=device
        )
        floor = train[torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:num]]
        row |= {"features": distance.name, "distance": distance(samples), "floor": distance(floor)}
    return row


def report(rows: list[dict[str, Any]]) -> str:
    """All trials, the best Fréchet distance first, as Markdown."""
    first = rows[0]
    text = INTRODUCTION.format(
        core_minutes=first["core_seconds"] / 60,
        seed=first["seed"],
        num_loss=256,
        num=first["num"],
        features=first.get("features", "no"),
    )
    columns = (
        "trial",
        "what it is",
        "parameters, M",
        "batch",
        "iterations",
        "pictures / core s",
        "loss at 1/6",
        "1/3",
        "2/3",
        "end",
        "best average (its width or decay)",
        "Fréchet distance",
        "least share of a scale's gradient",
        "made by",
    )
    lines = []
    for row in sorted(rows, key=lambda row: row["distance"] or float("inf")):
        maker = ", ".join(row["provenance"][key] for key in ("commit", "machine", "date"))
        curve = [f"{point['held_out']:.4f}" for point in row["curve"]]
        share = min(value for key, value in row["scales"].items() if key.startswith("grad_share"))
        lines.append(
            (
                row["name"],
                row.get("what", ""),
                f"{row['parameters'] / 1e6:.2f}",
                row["batch_size"],
                row["iterations"],
                row["pictures_per_core_second"],
                *curve,
                f"{row['held_out']:.4f}",
                f"{row['averages'][row['best']]:.4f} ({row['best']})",
                f"{row['distance']:.1f} (floor {row['floor']:.1f})" if row["distance"] is not None else "",
                f"{share:.2g}",
                maker,
            )
        )
    return f"{text}{table(columns, lines)}\n"


def first_comment(path: Path) -> str:
    """The first line of a TOML file when it is a comment, else ""."""
    first = path.read_text().partition("\n")[0]
    return first.lstrip("# ") if first.startswith("#") else ""


def _steps(trainer: Any) -> Iterator[float]:
    """Seconds of the process that each step takes."""
    while True:
        started = time.process_time()
        trainer.step()
        yield time.process_time() - started
