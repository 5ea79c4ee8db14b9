"""Which device to use and what it can do."""

import os
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch

QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of Linux's control groups, version 2: microseconds in a period


def cores() -> int:
    """How many cores this process may use: by its affinity, its control group's quota and OMP_NUM_THREADS."""
    num = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdecimal() and int(threads) > 0:
        num = min(num, int(threads))
    with suppress(OSError, ValueError):  # no such file, or no quota ("max")
        quota, period = QUOTA.read_text().split()
        num = min(num, max(1, int(quota) // int(period)))
    return num


def default_device() -> str:
    """``cuda`` where there is one, else ``cpu``."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def has_bf16(device: str) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware (emulation is slower than float32)."""
    if torch.device(device).type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool({"avx512_bf16", "amx_bf16"} & _processor_flags())


def has_matrix_units(device: str) -> bool:
    """Whether the device multiplies tiles of bfloat16: a GPU, or a CPU with AMX, ten times as fast as its float32."""
    return torch.device(device).type == "cuda" or "amx_bf16" in _processor_flags()


@cache
def _processor_flags() -> frozenset[str]:
    try:
        with open("/proc/cpuinfo") as file:
            return frozenset(next((line for line in file if line.startswith("flags")), "").split())
    except OSError:
        return frozenset()
