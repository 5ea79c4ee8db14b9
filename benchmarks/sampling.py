"""Milliseconds per image and Langevin step, by network, batch and way to run it."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from benchmarks.measure import matmul_peak, seconds
from benchmarks.straightforward import step as straightforward_step
from benchmarks.straightforward import straightforward
from ebm_core.device import has_bf16
from ebm_core.energy import EnergyFn, energy_and_grad
from ebm_core.langevin import LangevinConfig, drain, langevin_chain
from ebm_core.nets import EnergyNetwork
from ebm_core.nets.folding import folded
from train.captured import captured
from train.work import work

STEPS = 4  # of the chain that is timed
AGREEMENT = 1e-3  # largest relative difference of float32 energies from the baseline's


def rows(
    name: str, net: EnergyNetwork, batches: tuple[int, ...], device: str, compiled: tuple[int, ...] = ()
) -> Iterator[dict[str, Any]]:
    """One row for each batch and variant; raises AssertionError when a variant has other energies.

    For the batches in ``compiled`` also torch.compile's, which takes a minute or two to compile for each.
    """
    # Emulated, a bfloat16 product of this size takes minutes, and no variant uses it.
    dtypes = (torch.float32, torch.bfloat16) if has_bf16(device) else (torch.float32,)
    peaks = {dtype: matmul_peak(device, dtype) for dtype in dtypes}
    config = LangevinConfig(steps=STEPS, step_size=1.0, noise_std=0.001)
    for batch in batches:
        c = net.config
        x = torch.rand(batch, c.channels, c.image_size, c.image_size, device=device)
        flops, moved = work(lambda x=x: energy_and_grad(folded(net), x))
        baseline_net = straightforward(net)
        expected = baseline_net(x).detach()

        def plain(baseline_net: EnergyNetwork = baseline_net, x: Tensor = x) -> None:
            for _ in range(STEPS):
                x = straightforward_step(baseline_net, x, config.step_size, config.noise_std)

        baseline = seconds(plain, device)
        measured: list[tuple[str, torch.dtype, float, float]] = [("straightforward", torch.float32, baseline, 0.0)]
        for variant, dtype, energy in _variants(net, x, device, batch in compiled):
            error = _relative_error(energy(x).detach(), expected)
            if dtype is torch.float32:
                assert error < AGREEMENT, f"{variant} has other energies: {error}"
            measured.append((variant, dtype, seconds(_chain(energy, x, config), device), error))
        for variant, dtype, duration, error in measured:
            per_step = duration / STEPS
            yield {
                "network": name,
                "batch": batch,
                "variant": variant,
                "precision": str(dtype).removeprefix("torch."),
                "ms_per_image_step": 1e3 * per_step / batch,
                "image_steps_per_second": batch / per_step,
                "gflop_per_image_step": flops / batch / 1e9,
                "megabytes_per_image_step": moved / batch / 1e6,
                "share_of_matmul_peak": flops / per_step / peaks[dtype],
                "speedup": baseline / duration,
                "energy_error": error,
            }


class _Compiled:
    def __init__(self, net: EnergyNetwork) -> None:
        self.scale_energies = torch.compile(net.scale_energies)

    def __call__(self, x: Tensor) -> Tensor:
        energies: Tensor = self.scale_energies(x)
        return energies.sum(dim=1)


def _variants(net: EnergyNetwork, x: Tensor, device: str, compile: bool) -> Iterator[tuple[str, torch.dtype, EnergyFn]]:
    yield "folded", torch.float32, folded(net)
    if not device.startswith("cuda"):
        yield "folded, channels last", torch.float32, folded(net).to(memory_format=torch.channels_last)
    if compile:
        yield "folded, compiled", torch.float32, _Compiled(folded(net))
    if has_bf16(device):
        fast = folded(net)
        fast.bf16 = True
        yield "folded", torch.bfloat16, fast
        if compile:
            yield "folded, compiled", torch.bfloat16, _Compiled(fast)
        if device.startswith("cuda"):
            yield "folded, CUDA graph", torch.bfloat16, captured(fast, x)


def _chain(energy: EnergyFn, x: Tensor, config: LangevinConfig) -> Callable[[], Tensor]:
    rng = torch.Generator(x.device).manual_seed(0)
    return lambda: drain(langevin_chain(energy, x, config, rng, lambda x: x.clamp(0, 1)))


def _relative_error(energy: Tensor, expected: Tensor) -> float:
    return float((energy - expected).abs().max() / expected.abs().max())
