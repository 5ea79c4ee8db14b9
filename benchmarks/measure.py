"""Seconds, FLOPs and bytes."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry


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


class _WorkCounter(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.flops = self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if not func.is_view:
            moved = [t for t in tree_leaves((args, kwargs, result)) if isinstance(t, Tensor)]
            self.bytes += sum(t.numel() * t.element_size() for t in moved)
        if (count := flop_registry.get(func._overloadpacket)) is not None:
            self.flops += count(*args, **kwargs, out_val=result)
        return result


def work(action: Callable[[], Any]) -> tuple[int, int]:
    """FLOPs, and bytes that the operations read and write when each goes to memory (caches serve some of them).

    torch's own FlopCounterMode hooks into modules and cannot follow a gradient with respect to the input alone.
    """
    with _WorkCounter() as counter:
        action()
    return counter.flops, counter.bytes
