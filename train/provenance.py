"""Where a figure came from: the code, the machine and the day."""

import datetime
import os
import platform
import subprocess
from pathlib import Path

import torch


def provenance(device: str) -> dict[str, str]:
    """Commit, machine, torch and date, as every report has them beside its figures."""
    return {
        "commit": commit(),
        "machine": machine(device),
        "torch": torch.__version__,
        "date": datetime.date.today().isoformat(),
    }


def commit() -> str:
    """The commit of the code that runs, or 'unknown' outside a checkout."""
    try:
        command = ["git", "describe", "--always", "--dirty"]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def machine(device: str) -> str:
    """The GPU's name, or the processor's with its cores and the threads in use."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"{_processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads in use"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
