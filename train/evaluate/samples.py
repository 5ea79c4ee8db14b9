"""Samples for evaluations and files: Algorithm 2 in batches that can each be made again alone."""

from collections.abc import Callable, Collection

import torch
from torch import Tensor
from tqdm import tqdm

from ebm_core import images
from ebm_core.energy import EnergyFn
from ebm_core.nets import EnergyNetwork
from ebm_core.precision import for_sampling
from ebm_core.sampling import SamplePlan, final_state, sample
from ebm_core.space import Space


def draw_chains(
    energy_of: Callable[[slice], EnergyFn],
    space: Space,
    plan: SamplePlan,
    num: int,
    seed: int,
    *,
    batch: int,
    device: str,
    title: str = "samples",
) -> tuple[Tensor, Tensor]:
    """``num`` images uint8 ``(num, C, H, W)`` of Algorithm 2 and their energies ``(num,)``.

    ``energy_of`` gives the energy for a slice of them, whose labels may differ. Batch ``i`` uses seed ``seed + i``.
    """
    batches, energies = [], []
    for number, start in enumerate(tqdm(range(0, num, batch), title, leave=False)):
        part = slice(start, min(start + batch, num))
        rng = torch.Generator(device).manual_seed(seed + number)
        x = space.noise(part.stop - part.start, rng)
        final = final_state(sample(energy_of(part), x, plan, rng, space))
        batches.append(images.quantise(space.decode(final.x)).cpu())
        energies.append(final.energy.cpu())
    return torch.cat(batches), torch.cat(energies)


def draw_walks(
    net: EnergyNetwork,
    plan: SamplePlan,
    num: int,
    seed: int,
    *,
    space: Space,
    at: Collection[int],
    batch: int = 100,
    device: str = "cpu",
) -> dict[int, Tensor]:
    """As ``draw_samples``, the images at several steps of the same chains: ``{step: uint8 (num, C, H, W)}``."""
    fast = for_sampling(net)
    parts: dict[int, list[Tensor]] = {step: [] for step in at}
    for number, start in enumerate(tqdm(range(0, num, batch), "walks", leave=False)):
        rng = torch.Generator(device).manual_seed(seed + number)
        x = space.noise(min(batch, num - start), rng)
        for state in sample(fast, x, plan, rng, space):
            if state.step in parts:
                parts[state.step].append(images.quantise(space.decode(state.x)).cpu())
    return {step: torch.cat(batches) for step, batches in parts.items()}


def draw_samples(
    net: EnergyNetwork, plan: SamplePlan, num: int, seed: int, *, space: Space, batch: int = 100, device: str = "cpu"
) -> tuple[Tensor, Tensor]:
    """``draw_chains`` of one unconditional network, in the form and precision that the page uses."""
    fast = for_sampling(net)
    return draw_chains(lambda part: fast, space, plan, num, seed, batch=batch, device=device)
