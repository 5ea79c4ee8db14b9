"""The fastest form of a network for sampling: bfloat16 where it is really faster, measured, and the memory layout."""

import time
from typing import NamedTuple

import torch
from torch import Tensor

from ebm_core.compose import conditioned
from ebm_core.device import has_bf16
from ebm_core.energy import energy_and_grad
from ebm_core.nets import EnergyNetwork
from ebm_core.nets.folding import folded

WORTH = 1.15  # below this speed-up float32 stays, so that the choice does not hang on the noise of a measurement


class Precision(NamedTuple):
    """What was chosen for a network, how many times faster bfloat16 is, and its error.

    ``energy_error``: largest difference of an energy from its float32 value, as a share of the largest energy.
    """

    bf16: bool
    speedup: float
    energy_error: float


def choose_precision(net: EnergyNetwork, x: Tensor, repeats: int = 3) -> Precision:
    """Time Langevin gradients of images ``x (B, C, H, W)`` in both precisions and set ``net.bf16`` to the better.

    Also warms the kernels up for batches of this shape. Without the instructions for it bfloat16 is not tried:
    emulation is slower.
    """
    net.bf16 = False
    seconds, energy = _measure(net, x, repeats)
    if not has_bf16(x.device.type):
        return Precision(False, 0.0, 0.0)
    net.bf16 = True
    seconds_bf16, energy_bf16 = _measure(net, x, repeats)
    error = (energy_bf16 - energy).abs().max() / energy.abs().max().clamp(min=1e-30)
    net.bf16 = seconds / seconds_bf16 >= WORTH
    return Precision(net.bf16, seconds / seconds_bf16, float(error))


def for_sampling(net: EnergyNetwork, num: int, device: str) -> EnergyNetwork:
    """A frozen copy in its fastest form for chains of ``num`` images: folded, in the better precision and layout."""
    fast, c = channels_last(folded(net)), net.config
    rng = torch.Generator(device).manual_seed(0)
    x = torch.rand(num, c.channels, c.image_size, c.image_size, generator=rng, device=device)
    choose_precision(fast, x)
    return fast


def channels_last(net: EnergyNetwork) -> EnergyNetwork:
    """Weights in the order that convolutions on a CPU are fastest in, where nothing between them prefers the other.

    By a rule and not by a measurement, so that the same seed gives the same images after every start: without norms
    it saves up to a fifth of a step (``benchmarks/README.md``), while with torch's group norm small batches lose more.
    """
    on_cpu = next(net.parameters()).device.type == "cpu"
    return net.to(memory_format=torch.channels_last) if on_cpu and net.config.norm == "none" else net


def _measure(net: EnergyNetwork, x: Tensor, repeats: int) -> tuple[float, Tensor]:
    """Seconds of the fastest pass after one to warm up, and the energies."""
    # Of a conditional network any label tells the speed.
    energy_of = conditioned(net, x.new_zeros(net.config.label_dim) if net.config.label_dim else None)
    energy_and_grad(energy_of, x)
    fastest = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        energy = energy_and_grad(energy_of, x).energy
        if x.is_cuda:
            torch.cuda.synchronize(x.device)
        fastest = min(fastest, time.perf_counter() - started)
    return fastest, energy
