"""Samples for evaluations and files: Algorithm 2 in batches that can each be made again alone."""

from collections.abc import Callable, Collection

import torch
from torch import Tensor
from tqdm import tqdm

from ebm_core import images
from ebm_core.energy import EnergyFn
from ebm_core.nets import EnergyNetwork
from ebm_core.precision import for_sampling
from ebm_core.sampling import SamplePlan, final_state, sample, uniform_noise


def draw_chains(
    energy_of: Callable[[slice], EnergyFn], shape: tuple[int, int, int], plan: SamplePlan, num: int, seed: int, *,
    batch: int, device: str, title: str = "samples",
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """``num`` images uint8 ``(num, C, H, W)`` of Algorithm 2 and their energies ``(num,)``.

    ``energy_of`` gives the energy for a slice of them, whose labels may differ. Batch ``i`` uses seed ``seed + i``.
    """
    drawn, energies = [], []
    for number, start in enumerate(tqdm(range(0, num, batch), title, leave=False)):
        part = slice(start, min(start + batch, num))
        rng = torch.Generator(device).manual_seed(seed + number)
        x = uniform_noise((part.stop - part.start, *shape), rng)
        final = final_state(sample(energy_of(part), x, plan, rng))
        drawn.append(images.quantise(final.x).cpu())
        energies.append(final.energy.cpu())
    return torch.cat(drawn), torch.cat(energies)


def draw_walks(
    net: EnergyNetwork, plan: SamplePlan, num: int, seed: int, *, at: Collection[int], batch: int = 100,
    device: str = "cpu",
) -> dict[int, Tensor]:
    """As ``draw_samples``, the images at several steps of the same chains: ``{step: uint8 (num, C, H, W)}``."""
    fast, c = for_sampling(net), net.config
    parts: dict[int, list[Tensor]] = {step: [] for step in at}
    for number, start in enumerate(tqdm(range(0, num, batch), "walks", leave=False)):
        rng = torch.Generator(device).manual_seed(seed + number)
        x = uniform_noise((min(batch, num - start), c.channels, c.image_size, c.image_size), rng)
        for state in sample(fast, x, plan, rng):
            if state.step in parts:
                parts[state.step].append(images.quantise(state.x).cpu())
    return {step: torch.cat(drawn) for step, drawn in parts.items()}


def draw_samples(
    net: EnergyNetwork, plan: SamplePlan, num: int, seed: int, *, batch: int = 100, device: str = "cpu"
) -> tuple[Tensor, Tensor]:
    """``draw_chains`` of one unconditional network, in the form and precision that the page uses."""
    fast, c = for_sampling(net), net.config
    shape = (c.channels, c.image_size, c.image_size)
    return draw_chains(lambda part: fast, shape, plan, num, seed, batch=batch, device=device)
