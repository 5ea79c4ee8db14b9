"""Seconds, and the peak that they are held against."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch


def seconds(
    action: Callable[[], Any], device: str, repeats: int = 5, pick: Callable[[list[float]], float] = statistics.median
) -> float:
    """Median (or what ``pick`` says) of the durations after two runs to warm up."""
    durations = []
    for number in range(repeats + 2):
        _wait(device)
        started = time.perf_counter()
        action()
        _wait(device)
        if number >= 2:
            durations.append(time.perf_counter() - started)
    return pick(durations)


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def matmul_peak(device: str, dtype: torch.dtype, size: int = 4096) -> float:
    """FLOP/s of the fastest of several large square matrix products, which is what "peak" means in the tables."""
    a = torch.rand(size, size, device=device).to(dtype)
    return 2 * size**3 / seconds(lambda: a @ a, device, 7, min)
