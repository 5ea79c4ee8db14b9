"""Whether every resolution of a network says something."""

import torch
from torch import Tensor

from ebm_core.nets.network import EnergyNetwork

LEAST_SPREAD = 1e-6  # of the energy scale; a scale whose last SiLU only sees large negative numbers has exactly 0
RESOLUTIONS = ("full", "half", "quarter", "eighth")


@torch.no_grad()
def scale_spreads(net: EnergyNetwork, x: Tensor, y: Tensor | None = None) -> Tensor:
    """Standard deviation of each scale's energies over the pictures ``x (B, C, H, W)``, shape ``(S,)``."""
    return net.scale_energies(x, y).std(dim=0)


def dead_scales(net: EnergyNetwork, x: Tensor, y: Tensor | None = None) -> list[int]:
    """Numbers of the scales that give all pictures the same energy."""
    spreads = scale_spreads(net, x, y)
    return (spreads <= LEAST_SPREAD * net.config.energy_scale).nonzero()[:, 0].tolist()


def describe_dead(scales: list[int]) -> str:
    """A sentence that names them by their resolution."""
    names = " and ".join(RESOLUTIONS[number] if number < len(RESOLUTIONS) else f"1/{2**number}" for number in scales)
    return (
        f"the {names} resolution gives every picture the same energy: that part of the network is dead and will learn "
        "nothing more; start anew with net.trunk = 'linear' or lower rates"
    )
