"""``python -m train evaluate detector``: own detectors on real data, by every method, with intervals and seconds."""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ebm_core.arguments import add_device, whole
from ebm_core.files import write_atomically
from ebm_core.recipe import SEED
from train.provenance import add_allow_dirty, command_of, machine, provenance

RESAMPLES = 1000
INTERVAL = (0.025, 0.975)
BATCH = 16
RATE = 0.05


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add_device(parser)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the zips of the tasks")
    parser.add_argument("--normal", type=whole(20), default=300, help="pictures to fit (default: %(default)s)")
    parser.add_argument("--num", type=whole(10), default=100, help="of each kind to tell apart (default: %(default)s)")
    parser.add_argument("--size", type=int, default=128, help="of the pictures (default: %(default)s)")
    parser.add_argument("--seed", type=SEED, default=0)
    parser.add_argument("--only", action="append", metavar="TASK", help="one task, may be repeated (default: all)")
    parser.add_argument(
        "--anomalib",
        action="append",
        metavar="TASK",
        help="compare with anomalib's PatchCore in this task, may be repeated; minutes for each, and needs anomalib",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="detector.json, README.md")
    add_allow_dirty(parser)


def run(a: argparse.Namespace) -> None:
    """The command itself. Raises ValueError, in a sentence, for what it cannot use."""
    from train.evaluate.detector_report import markdown
    from train.evaluate.detector_sets import tasks

    rng = torch.Generator().manual_seed(a.seed)
    every_task = tasks(a.data, a.normal, a.num, a.size, rng)
    names = [task.name for task in every_task]
    if unknown := {*(a.only or []), *(a.anomalib or [])} - set(names):
        raise ValueError(f"a task must be one of {', '.join(names)}, got {', '.join(sorted(unknown))}")
    options = {
        "data": a.data,
        "normal": a.normal,
        "num": a.num,
        "size": a.size,
        "seed": a.seed,
        "only": a.only,
        "anomalib": a.anomalib,
        "out": a.out,
    }
    rows = []
    for task in every_task:
        if not a.only or task.name in a.only:
            rows.append(evaluate(task, a.size, a.seed, a.device, with_anomalib=task.name in (a.anomalib or [])))
            print(json.dumps(rows[-1]), flush=True)
    report = {
        "tasks": rows,
        "size": a.size,
        "seed": a.seed,
        **provenance(command_of(["evaluate", "detector"], options, a.device)),
        "machine": machine(a.device),
    }
    write_atomically(a.out / "detector.json", json.dumps(report, indent=1).encode())
    write_atomically(a.out / "README.md", markdown(report).encode())


def evaluate(task: Any, size: int, seed: int, device: str, *, with_anomalib: bool) -> dict[str, Any]:
    """One task: AUROC of every method and of what the detector chose, its verdicts, and the time it took."""
    from ebm_core.detector.fit import FitOptions, fit
    from ebm_core.detector.methods import METHODS
    from ebm_core.pictures import read_picture
    from train.data.archive import LIMITS
    from train.evaluate.anomalib import patchcore

    began, cpu_began = time.monotonic(), time.process_time()
    steps = fit(task.normal, FitOptions(size=size, seed=seed, limits=LIMITS), {}, device)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result = end.value
            break
    fitted, cpu_fitted = time.monotonic() - began, time.process_time() - cpu_began
    detector = result.detector
    inside, outside = (
        {name: torch.cat([judged.scores[name] for judged in parts]) for name in METHODS}
        for parts in ([detector.judge(batch) for batch in u8.split(BATCH)] for u8 in (task.inside, task.outside))
    )
    method = detector.info.method
    threshold = detector.calibration.threshold(method, RATE)
    aurocs = {name: interval(inside[name], outside[name], seed) for name in METHODS}
    row: dict[str, Any] = {
        "name": task.name,
        "title": task.title,
        "num_normal": result.account.num,
        "num": [len(task.inside), len(task.outside)],
        "auroc": aurocs,
        "chosen": method,
        "on_faults": result.comparison.means,
        "called_unusual": {
            "inside": float((inside[method] > threshold).float().mean()),
            "outside": float((outside[method] > threshold).float().mean()),
        },
        "fit_seconds": round(fitted, 1),
        "seconds": round(time.monotonic() - began, 1),
        "cpu_seconds": round(time.process_time() - cpu_began, 1),
        "fit_cpu_seconds": round(cpu_fitted, 1),
    }
    if not with_anomalib:
        return row
    normal = torch.stack([read_picture(task.normal.read(n), size, 3, LIMITS).u8 for n in task.normal.names])
    other = patchcore(normal, {"inside": task.inside, "outside": task.outside})
    row["anomalib"] = {
        "version": other.version,
        "auroc": interval(other.scores["inside"], other.scores["outside"], seed),
        "seconds": round(other.seconds, 1),
        "cpu_seconds": round(other.cpu_seconds, 1),
    }
    return row


def interval(inside: Tensor, outside: Tensor, seed: int) -> list[float]:
    """The AUROC and its 95 % interval by resampling the pictures of both kinds."""
    from ebm_core.detector.choice import auroc

    rng = torch.Generator().manual_seed(seed)

    def again(scores: Tensor) -> Tensor:
        return scores[torch.randint(len(scores), (len(scores),), generator=rng)]

    resampled = torch.tensor([auroc(again(inside), again(outside)) for _ in range(RESAMPLES)])
    low, high = resampled.quantile(torch.tensor(INTERVAL)).tolist()
    return [auroc(inside, outside), low, high]
