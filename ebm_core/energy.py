"""What an energy is, and its gradient.

An energy is any callable from images ``(B, C, H, W)`` in ``[0, 1]`` to energies ``(B,)``. One that also has
``scale_energies(x) -> (B, S)``, whose sum over ``S`` is the energy, shows its parts in every chain state.

**The unit of an energy**, from which every temperature follows. An energy has no unit but the step that goes down it:
training makes ``step_size * chain_steps * grad E`` the whole way from noise to data (``matching_loss``), so noise lies
about ``|noise - data|^2 / (step_size * chain_steps)`` above data, 0.04 to 0.08 for the shipped models. In that unit

- a chain has the temperature ``T = noise_std^2 / (2 step_size)`` (``LangevinConfig.temperature``), 5e-9 for the shipped
  models, and samples ``exp(-E / T)``. Wherever ``p ∝ exp(-E)`` is written, E is meant in multiples of this T: it is
  what products, mixtures and scores are invariant to;
- an OR is the mixture of the densities that are sampled, so the sharpness of its soft minimum is ``1 / T``;
- labels are told at ``LABEL_TEMPERATURE``: ``p(y | x) ∝ exp(-E(x, y) / LABEL_TEMPERATURE)``, the posterior that
  ``label_contrast`` trains. It is no density of pictures and much warmer: at T any trace of a label would be certain.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

EnergyFn = Callable[[Tensor], Tensor]

LABEL_TEMPERATURE = 4e-4  # a hundredth of the way from noise to data or less; the reciprocal of ``label_sharpness``


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
