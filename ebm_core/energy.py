"""What an energy is, and its gradient.

An energy is any callable from images ``(B, C, H, W)`` in ``[0, 1]`` to energies ``(B,)``. One that also has
``scale_energies(x) -> (B, S)``, whose sum over ``S`` is the energy, shows its parts in every chain state.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

EnergyFn = Callable[[Tensor], Tensor]


@runtime_checkable
class MultiscaleEnergy(Protocol):
    """An energy that is a sum of ``S`` terms."""

    def __call__(self, x: Tensor) -> Tensor: ...

    def scale_energies(self, x: Tensor) -> Tensor: ...


@runtime_checkable
class DifferentiatesItself(Protocol):
    """An energy with a faster way to its own gradient, such as a CUDA graph or compiled code."""

    def __call__(self, x: Tensor) -> Tensor: ...

    def energy_and_grad(self, x: Tensor, *, create_graph: bool = False) -> "EnergyGradient": ...


class EnergyGradient(NamedTuple):
    """``energy (B,)``, its gradient ``grad`` shaped as the images, and the terms ``scale_energies (B, S)``."""

    energy: Tensor
    grad: Tensor
    scale_energies: Tensor


def scale_energies(energy: EnergyFn, x: Tensor) -> Tensor:
    """Terms of an energy, ``(B, S)``, float32 at least; one column when the energy has no terms of its own."""
    terms = energy.scale_energies(x) if isinstance(energy, MultiscaleEnergy) else energy(x)[:, None]
    return terms.to(torch.promote_types(terms.dtype, torch.float32))


def energy_and_grad(energy: EnergyFn, x: Tensor, *, create_graph: bool = False) -> EnergyGradient:
    """Energy and its gradient with respect to the images.

    With ``create_graph`` the gradient can itself be differentiated, as eq. 7 of ICD needs; otherwise nothing
    that is returned carries a graph.
    """
    if isinstance(energy, DifferentiatesItself):
        return energy.energy_and_grad(x, create_graph=create_graph)
    with torch.enable_grad():
        leaf = x if create_graph and x.requires_grad else x.detach().requires_grad_()
        terms = scale_energies(energy, leaf)
        total = terms.sum(dim=1)
        (grad,) = torch.autograd.grad(total.sum(), leaf, create_graph=create_graph)
    if create_graph:
        return EnergyGradient(total, grad, terms)
    return EnergyGradient(total.detach(), grad, terms.detach())


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Parameters need no gradient inside, so that a chain builds no graph to them; restored on leaving."""
    flags = [(p, p.requires_grad) for p in module.parameters()]
    module.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
