"""Moving averages of a network's parameters, without waiting for the device."""

import copy
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import nn

from ebm_core.nets import EnergyNetwork

Profile = Callable[[int], float]
N = TypeVar("N", bound=nn.Module)


def constant(decay: float) -> Profile:
    """The decay grows from 0.1 to ``decay``, so that the average is soon not of the initial weights any more."""
    return lambda update: min(decay, (1 + update) / (10 + update))


def power(width: float) -> Profile:
    """An average weighted by ``t**gamma``, whose spread is always ``width`` times the run's length so far.

    From EDM2 (Karras et al., 2024, arXiv:2312.02696), section 3.1: the width is
    ``(gamma + 1)^(1/2) (gamma + 2)^-1 (gamma + 3)^(-1/2)``, solved here for gamma.
    """
    gamma = max(np.roots([1, 7, 16 - width**-2, 12 - width**-2]).real)
    return lambda update: float((1 - 1 / (update + 1)) ** (gamma + 1))


class MovingAverage(Generic[N]):
    """``net`` is the average: a frozen copy that follows the trained network.

    (torch's AveragedModel keeps its counter on the device and reads it back in every update.)
    """

    def __init__(self, net: N, profile: Profile) -> None:
        self.net = copy.deepcopy(net).requires_grad_(False)
        self.profile, self.num_updates = profile, 0

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Move towards ``net``; its buffers are copied."""
        share = 1 - self.profile(self.num_updates)
        torch._foreach_lerp_(list(self.net.parameters()), [p.detach() for p in net.parameters()], share)
        for own, other in zip(self.net.buffers(), net.buffers(), strict=True):
            own.copy_(other)
        self.num_updates += 1

    def state_dict(self) -> dict[str, Any]:
        return {"net": self.net.state_dict(), "num_updates": self.num_updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        self.num_updates = state["num_updates"]


class MovingAverages:
    """The averages of a run by name, which is its decay or width as a number; the first one is ``main``."""

    def __init__(self, net: EnergyNetwork, decay: float, widths: tuple[float, ...]) -> None:
        profiles = {f"{decay:g}": constant(decay)} | {f"{width:g}": power(width) for width in widths}
        self.by_name = {name: MovingAverage(net, profile) for name, profile in profiles.items()}
        self.main = next(iter(self.by_name.values()))

    def update(self, net: nn.Module) -> None:
        for average in self.by_name.values():
            average.update(net)

    def state_dict(self) -> dict[str, Any]:
        return {name: average.state_dict() for name, average in self.by_name.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises ValueError when the state has other averages."""
        if state.keys() != self.by_name.keys():
            raise ValueError(f"it has the averages {', '.join(state)}, the config asks for {', '.join(self.by_name)}")
        for name, average in self.by_name.items():
            average.load_state_dict(state[name])
