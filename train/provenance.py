"""Where a figure comes from: commit, machine, versions, date and command, for every report and model file.

What is published names no folder of the machine that made it, and comes from a commit: others can make it again.
"""

import argparse
import datetime
import os
import platform
import re
import shlex
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch

from ebm_core.device import default_device
from ebm_core.hub import WEIGHTS

CODE = ("ebm_core", "train", "benchmarks/*.py", "pyproject.toml")  # what figures depend on, not what is made with it
DIRTY = "-dirty"
COMMIT_VARIABLE = "EBM_STUDIO_COMMIT"
_ABSOLUTE = re.compile(r"(?<![\w.:/~-])/[^\s'\",;:()]+/[^\s'\",;:()]*|[A-Z]:\\[^\s'\",;()]+")


class DirtyTreeError(ValueError):
    """The code that runs stands in no commit."""


def provenance(command: str) -> dict[str, Any]:
    """A dictionary that goes into reports as it is; ``command`` is the one that makes the report again."""
    return {
        "command": portable(command),
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "machine": machine(),
    }


def add_allow_dirty(parser: argparse.ArgumentParser) -> None:
    """The option of commands that publish; those that have it run from a clean tree alone (``require_clean``)."""
    parser.add_argument(
        "--allow-dirty", action="store_true", help=f"run with uncommitted changes; the commit is marked '{DIRTY}'"
    )


def require_clean() -> None:
    """Raises DirtyTreeError when the code has changes that are in no commit."""
    if commit().endswith(DIRTY):
        raise DirtyTreeError(
            "the code has changes that are not committed, so nobody could make this again: commit them, or give "
            f"--allow-dirty and the commit is marked '{DIRTY}'"
        )


def parse_publishing(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The command line of a program that publishes: what it cannot use, or code in no commit, ends it with code 2."""
    try:
        arguments = parser.parse_args()
        if not arguments.allow_dirty:
            require_clean()
    except ValueError as error:
        parser.exit(2, f"error: {error}\n")
    return arguments


def command_of(words: Sequence[str], options: dict[str, Any], device: str | None = None, module: str = "train") -> str:
    """The command of the trainer, or of a module, with these words and options, as it is typed on any machine.

    Left out are options that are None or False, the shipped weights folder and the machine's own device; a list gives
    its option several times.
    """
    line = ["python", "-m", module, *words]
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            line.append(flag)
        elif value is not None and value is not False and value != WEIGHTS:
            line += [word for item in (value if isinstance(value, list) else [value]) for word in (flag, str(item))]
    if device is not None and device != default_device():
        line += ["--device", device]
    return shlex.join(portable(line))


def portable(value: Any) -> Any:
    """The same plain containers, in whose strings no absolute path is left.

    What lies below the working folder is named from there, all else by its last name.
    """
    if isinstance(value, dict):
        return {portable(key): portable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [portable(item) for item in value]
    if not isinstance(value, str):
        return value
    if not any(mark in value for mark in ",=\n") and Path(value).is_absolute():
        return _relative(value)  # whole, for it may have spaces
    return _ABSOLUTE.sub(lambda match: _relative(match[0]), value)


def _relative(path: str) -> str:
    here = Path.cwd()
    if Path(path).is_relative_to(here):
        return Path(path).relative_to(here).as_posix()
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1]


def machine(device: str | None = None) -> str:
    """The GPU, if ``device`` is one, or the processor with its number of threads; and torch's version."""
    if torch.device(device or default_device()).type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    return f"{_processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}"


@cache  # a commit in the midst of a long run is not the code that runs
def commit() -> str:
    """The commit of the code that runs, marked where the code has changed since.

    Outside a checkout it is what the variable EBM_STUDIO_COMMIT says (copies on other machines, containers), or
    'unknown'.
    """
    try:
        return git("rev-parse", "--short", "HEAD") + (DIRTY if git("status", "--porcelain", "--", *CODE) else "")
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get(COMMIT_VARIABLE, "unknown")


def git(*words: str) -> str:
    """What git answers about the checkout that this file is in."""
    folder = Path(__file__).parent.parent
    return subprocess.run(["git", *words], capture_output=True, text=True, check=True, cwd=folder).stdout.strip()


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
