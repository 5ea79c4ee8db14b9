"""The energies that training differentiates, compiled where the config asks for it.

Compiled, the elementwise passes between convolutions are fused: on a CPU they are a quarter to half of a step.
"""

import os
import shutil
from collections.abc import Callable
from functools import partial

import torch
import torch._functorch.config as functorch_config
from torch import Tensor
from torch.func import functional_call

from ebm_core.compose import conditioned
from ebm_core.energy import EnergyFn, EnergyGradient
from ebm_core.nets import EnergyNetwork

EnergyOf = Callable[[Tensor | None], EnergyFn]


def energy_of_labels(net: EnergyNetwork, *, compile: bool) -> EnergyOf:
    """For labels ``y`` the energy of ``net``, whose gradient is differentiable with respect to the weights too.

    Raises ValueError where it cannot be compiled.
    """
    if not compile:
        return partial(conditioned, net)
    if next(net.parameters()).device.type == "cpu" and not shutil.which(os.environ.get("CXX", "g++")):
        raise ValueError("compile = true needs a C++ compiler; install g++, or leave it out with --set compile=false")
    functorch_config.donated_buffer = False  # a measured step goes back through its graph several times
    gradient = torch.compile(_gradient(net))
    return lambda y: CompiledEnergy(net, y, gradient)


def compiled_chain(net: EnergyNetwork, y: Tensor | None) -> "CompiledEnergy":
    """The energy of a frozen network for a chain; weights and labels are read where they lie."""
    return CompiledEnergy(net, y, torch.compile(_gradient(net)))


class CompiledEnergy:
    """``net`` for labels ``y`` as an energy that differentiates itself by the function ``gradient``."""

    def __init__(self, net: EnergyNetwork, y: Tensor | None, gradient: Callable[..., tuple[Tensor, Tensor]]) -> None:
        self.net, self.y, self._gradient = net, y, gradient

    def __call__(self, x: Tensor) -> Tensor:
        return conditioned(self.net, self.y)(x)

    def energy_and_grad(self, x: Tensor, *, create_graph: bool = False) -> EnergyGradient:
        """As ``ebm_core.energy.energy_and_grad``, the energy in one term."""
        weights = dict(self.net.named_parameters())
        energy, grad = self._gradient(weights, x, self.y)
        result = EnergyGradient(energy, grad, energy[:, None])
        return result if create_graph else EnergyGradient(*(part.detach() for part in result))


def _gradient(net: EnergyNetwork) -> Callable[..., tuple[Tensor, Tensor]]:
    """Energy and gradient as one function of weights, pictures and labels.

    torch.compile cannot follow a second ``backward``, so the inner gradient is a part of what it traces.
    """

    def gradient(weights: dict[str, Tensor], x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        def total(x: Tensor) -> tuple[Tensor, Tensor]:
            energy: Tensor = functional_call(net, weights, (x, y))
            return energy.sum(), energy

        grad, energy = torch.func.grad(total, has_aux=True)(x)
        return energy, grad

    return gradient
