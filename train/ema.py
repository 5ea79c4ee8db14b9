"""Exponential moving average of a network's parameters, without waiting for the device."""

import copy
from typing import Any

import torch
from torch import nn


class MovingAverage:
    """``net`` is the average: a frozen copy that follows the trained network.

    The decay grows from 0.1 to ``decay``, so that the average is soon not of the initial weights any more.
    (torch's AveragedModel keeps its counter on the device and reads it back in every update.)
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.net = copy.deepcopy(net).requires_grad_(False)
        self.decay, self.num_updates = decay, 0

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Move towards ``net``; its buffers are copied."""
        decay = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        torch._foreach_lerp_(list(self.net.parameters()), [p.detach() for p in net.parameters()], 1 - decay)
        for own, other in zip(self.net.buffers(), net.buffers(), strict=True):
            own.copy_(other)
        self.num_updates += 1

    def state_dict(self) -> dict[str, Any]:
        return {"net": self.net.state_dict(), "num_updates": self.num_updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        self.num_updates = state["num_updates"]
