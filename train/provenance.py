"""Where a figure comes from: commit, machine, versions, date and command, for every report and model file."""

import datetime
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch


def provenance() -> dict[str, Any]:
    """A dictionary that goes into reports as it is."""
    return {
        "command": " ".join(["python -m train", *sys.argv[1:]]),
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "machine": machine(),
    }


def machine() -> str:
    """Processor or GPU, number of threads, and torch's version."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else _processor()
    return f"{device}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def commit() -> str:
    """The commit of the code that runs, or 'unknown' outside a checkout."""
    try:
        command = ["git", "describe", "--always", "--dirty"]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
