"""``python -m train reproduce NAME``: run an experiment, or go on with it, and write its report."""

import argparse
import difflib
import sys
import time
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from ebm_core.arguments import COUNT, POSITIVE, add_device
from ebm_core.config import override
from ebm_core.hub import WEIGHTS
from train.provenance import add_allow_dirty, command_of
from train.reproduce.verdicts import SEEDS

REPORTS = Path("reports")
SUMMARY = "summary"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add_device(parser)
    parser.add_argument("name", help="an experiment, such as mixing or table2; 'summary' writes reports/README.md")
    parser.add_argument("--size", choices=("small", "full"), default="small", help="minutes of a CPU, or the paper's")
    parser.add_argument("--seeds", type=COUNT, default=SEEDS, help=f"how many; fewer than {SEEDS} show nothing")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder with the zips (cifar10-train-0.zip, ...)")
    parser.add_argument("--minutes", type=POSITIVE, help="stop after so many minutes; the same command goes on")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the report (default reports/NAME)")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="the weights folder")
    parser.add_argument("--inception", type=Path, help="torch-fidelity's Inception weights, for the FID itself")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a setting")
    add_allow_dirty(parser)


def run(a: argparse.Namespace) -> None:
    """The command itself. Raises ValueError, in a sentence, for an unknown name or what the experiment lacks."""
    from train.lock import held
    from train.reproduce.lab import PIECES, Lab, NotRun, OutOfTime
    from train.reproduce.registry import EXPERIMENTS
    from train.reproduce.report import write_not_run, write_report
    from train.reproduce.summary import summarise

    if a.name == SUMMARY:
        print(summarise(EXPERIMENTS, a.out or REPORTS))
        return
    if a.name not in EXPERIMENTS:
        known = [*EXPERIMENTS, SUMMARY]
        near = difflib.get_close_matches(a.name, known, n=1, cutoff=0.0)[0]
        raise ValueError(f"there is no experiment '{a.name}', did you mean '{near}'? There are: {', '.join(known)}")
    if a.inception is not None and not a.inception.is_file():
        raise ValueError(f"{a.inception} is not there; give torch-fidelity's Inception weights or no --inception")
    experiment = EXPERIMENTS[a.name]
    settings = override(experiment.settings(a.size), a.set)
    seeds = range(settings.seed, settings.seed + a.seeds)
    deadline = time.monotonic() + 60 * a.minutes if a.minutes is not None else float("inf")
    lab = Lab(a.out or REPORTS / a.name, a.data, a.device, a.weights, a.inception, deadline)
    labs = {seed: lab.of_seed(seed) for seed in seeds}
    try:
        with held(lab.out / PIECES):
            findings = {seed: experiment.run(labs[seed], with_seed(settings, seed)) for seed in seeds}
    except NotRun as reason:
        write_not_run(experiment, lab.out, str(reason))
        raise ValueError(f"not run: {reason}") from reason
    except OutOfTime:
        print(f"{lab.out}: the {a.minutes:g} minutes are over; the same command goes on from here", file=sys.stderr)
        return
    report = write_report(experiment, labs, settings, findings, command(a), a.size)
    for claim in report["claims"]:
        print(f"{claim['verdict']}: {claim['effect']}. {claim['measured'][0]}")
    print(lab.out / "README.md")


def with_seed(settings: Any, seed: int) -> Any:
    """The same settings with this seed, in the training configs among them as well."""
    changes = {}
    for field in fields(settings):
        value = getattr(settings, field.name)
        if field.name == "seed":
            changes["seed"] = seed
        elif is_dataclass(value):
            changes[field.name] = with_seed(value, seed)
    return replace(settings, **changes)


def command(a: argparse.Namespace) -> str:
    """The command that makes the same report, without what depends on the day."""
    out = None if a.out == REPORTS / a.name else a.out
    options = {
        "size": a.size,
        "seeds": a.seeds,
        "data": a.data,
        "out": out,
        "weights": a.weights,
        "inception": a.inception,
        "set": a.set,
    }
    return command_of(["reproduce", a.name], options, a.device)
