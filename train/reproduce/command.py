"""``python -m train reproduce NAME``: run an experiment, or go on with it, and write its report."""

import argparse
import difflib
import shlex
import sys
import time
from pathlib import Path

from ebm_core.config import override
from ebm_core.hub import WEIGHTS

REPORTS = Path("reports")
SUMMARY = "summary"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("name", help="an experiment, such as mixing or table2; 'summary' writes reports/README.md")
    parser.add_argument("--size", choices=("small", "full"), default="small", help="minutes of a CPU, or the paper's")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder with the zips (cifar10-train-0.zip, ...)")
    parser.add_argument("--minutes", type=float, help="stop after so many minutes; the same command goes on")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the report (default reports/NAME)")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="the weights folder")
    parser.add_argument("--inception", type=Path, help="torch-fidelity's Inception weights, for the FID itself")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a setting")
    add_allow_dirty(parser)


def run(a: argparse.Namespace) -> None:
    """The command itself. Raises ValueError, in a sentence, for an unknown name or what the experiment lacks."""
    from train.reproduce.lab import Lab, NotRun, OutOfTime
    from train.reproduce.registry import EXPERIMENTS
    from train.reproduce.report import mark, write_not_run, write_report
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
    deadline = time.monotonic() + 60 * a.minutes if a.minutes is not None else float("inf")
    lab = Lab(a.out or REPORTS / a.name, a.data, a.device, a.weights, a.inception, deadline)
    try:
        findings = experiment.run(lab, settings)
    except NotRun as reason:
        write_not_run(experiment, lab.out, str(reason))
        raise ValueError(f"not run: {reason}") from reason
    except OutOfTime:
        print(f"{lab.out}: the {a.minutes:g} minutes are over; the same command goes on from here", file=sys.stderr)
        return
    report = write_report(experiment, lab, settings, findings, command_of(a), a.size)
    for claim in report["claims"]:
        print(f"{mark(claim['shows']).strip('*')}: {claim['effect']}. {claim['measured']}")
    print(lab.out / "README.md")


def command_of(a: argparse.Namespace) -> str:
    """The command that makes the same report, without what depends on the day."""
    words = ["python", "-m", "train", "reproduce", a.name, "--size", a.size]
    for option in ("data", "inception"):
        if getattr(a, option) is not None:
            words += [f"--{option}", str(getattr(a, option))]
    return shlex.join([*words, *(word for value in a.set for word in ("--set", value))])
