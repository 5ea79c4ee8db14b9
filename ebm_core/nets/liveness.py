"""Whether every part of a network says something: each resolution, each attention."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ebm_core.nets.blocks import SelfAttention
from ebm_core.nets.network import EnergyNetwork

LEAST_SPREAD = 1e-6  # of the energy scale; a scale whose last SiLU only sees large negative numbers has exactly 0
LEAST_SHARE = 1e-3  # an attention that works has a tenth or more; one that died a ten-thousandth or less
RESOLUTIONS = ("full", "half", "quarter", "eighth")


class Liveness(NamedTuple):
    """``spreads (S,)``: standard deviation of each scale's energies over some pictures; ``attention_shares (A,)``: how
    much each attention adds, in order, the norm of that over the norm of what it is added to."""

    spreads: Tensor
    attention_shares: Tensor


def dead_scales(net: EnergyNetwork, x: Tensor, y: Tensor | None = None) -> list[int]:
    """Numbers of the scales that give all pictures the same energy."""
    spreads = scale_spreads(net, x, y)
    return (spreads <= LEAST_SPREAD * net.config.energy_scale).nonzero()[:, 0].tolist()


def scale_spreads(net: EnergyNetwork, x: Tensor, y: Tensor | None = None) -> Tensor:
    """``Liveness.spreads``."""
    return liveness(net, x, y).spreads


def attention_shares(net: EnergyNetwork, x: Tensor, y: Tensor | None = None) -> Tensor:
    """``Liveness.attention_shares``."""
    return liveness(net, x, y).attention_shares


@torch.no_grad()
def liveness(net: EnergyNetwork, x: Tensor, y: Tensor | None = None) -> Liveness:
    """Of the pictures ``x (B, C, H, W)``, in one pass."""
    shares: list[Tensor] = []

    def measure(_: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        (before,) = inputs
        shares.append((output - before).float().norm() / before.float().norm().clamp(min=1e-30))

    attentions = [module for module in net.modules() if isinstance(module, SelfAttention)]
    hooks = [attention.register_forward_hook(measure) for attention in attentions]
    try:
        spreads = net.scale_energies(x, y).std(dim=0)
    finally:
        for hook in hooks:
            hook.remove()
    return Liveness(spreads, torch.stack(shares) if shares else x.new_zeros(0))


def describe_dead_scales(scales: list[int]) -> str:
    """A sentence that names them by their resolution; "" for none."""
    if not scales:
        return ""
    names = " and ".join(RESOLUTIONS[number] if number < len(RESOLUTIONS) else f"1/{2**number}" for number in scales)
    return (
        f"The {names} resolution gives every picture the same energy: that part of the network is dead and will learn "
        "nothing more; start anew with net.trunk = 'linear' or lower rates."
    )


def describe_dead_attention(shares: Tensor) -> str:
    """A sentence about the ``attention_shares`` that are next to nothing; "" where there is none."""
    dead = int((shares < LEAST_SHARE).sum())
    if not dead:
        return ""
    which = "Its attention adds" if dead == len(shares) == 1 else f"{dead} of its {len(shares)} attentions add"
    return (
        f"{which} less than a thousandth to what passes: that part of the network is dead, and the pictures are those "
        "of a network without it; start anew with net.attention_kind = 'cosine'."
    )
