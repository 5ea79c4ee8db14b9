"""Energies made of energies. What is said of them here, page, command line and recipes only repeat.

``p ∝ exp(-E)``, so a sum of energies is a product of distributions: a picture must satisfy every term (AND). The
soft minimum of energies is a mixture of distributions: one of them suffices (OR). A negative weight asks for
pictures that a term thinks unlikely (NOT); alone that is no distribution, so it stands beside a positive term.
Attributes of one family share what all of its pictures have. Multiplying ``p(x | a)`` and ``p(x | b)`` counts that
twice and, at a step small enough for the sum, each attribute half. Where the family has an unconditional energy, the
product is divided by it: ``p(x | a, b) ~ p(x) * p(x | a) / p(x) * p(x | b) / p(x)``, exact for attributes that are
independent given the picture, so ``E = E_any + w_a (E_a - E_any) + w_b (E_b - E_any)`` (``product_weights``; Liu et
al., 2022, arXiv:2206.01714, have this rule for diffusion models; ICD only multiplies).

All of them nest, and any callable from images ``(B, C, H, W)`` to energies ``(B,)`` can be a term.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ebm_core.energy import EnergyFn, scale_energies
from ebm_core.nets import EnergyNetwork

LEAST_SHARE = 1 / 16  # of the positive weights that must be left over by the negative ones


class Conditioned:
    """A conditional network as the energy of pictures with the labels ``y``: ``(B, L)``, or ``(L,)`` for all."""

    def __init__(self, net: EnergyNetwork, y: Tensor) -> None:
        self.net, self.y = net, y

    def __call__(self, x: Tensor) -> Tensor:
        return self.scale_energies(x).sum(dim=1)

    def scale_energies(self, x: Tensor) -> Tensor:
        """The network's energies by resolution, ``(B, S)``."""
        return self.net.scale_energies(x, self.y.expand(len(x), -1))


def conditioned(net: EnergyNetwork, y: Tensor | None) -> EnergyFn:
    """The network as an energy of pictures alone: for labels ``y`` if it is conditional, itself if not."""
    return net if y is None else Conditioned(net, y)


class Through:
    """An energy of what a map makes of the points: ``E(g(x))``.

    So an energy of frozen features scores pictures, and one of pixels steers the latents that decode to them. Its
    gradient goes through ``g``, whose parameters should be frozen. As a density it is one of ``g(x)``: no Jacobian is
    taken, so two maps of one picture do not compare.
    """

    def __init__(self, energy: EnergyFn, g: Callable[[Tensor], Tensor]) -> None:
        self.energy, self.map = energy, g

    def __call__(self, x: Tensor) -> Tensor:
        return self.energy(self.map(x))

    def scale_energies(self, x: Tensor) -> Tensor:
        """The terms of the energy, ``(B, S)``."""
        return scale_energies(self.energy, self.map(x))


class Product:
    """AND, and NOT by negative weights: ``E = sum_i w_i E_i``; its terms are the ``w_i E_i``.

    Raises ValueError when the negative weights are not outweighed: ``exp(-E)`` could then grow without bound where
    a term forbids, and chains would run to whatever is furthest from all data.
    """

    def __init__(self, energies: Sequence[EnergyFn], weights: Sequence[float]) -> None:
        check_weights(weights)
        if len(energies) != len(weights):
            raise ValueError(f"there are {len(energies)} energies and {len(weights)} weights")
        self.energies, self.weights = tuple(energies), tuple(weights)

    def __call__(self, x: Tensor) -> Tensor:
        return self.scale_energies(x).sum(dim=1)

    def scale_energies(self, x: Tensor) -> Tensor:
        """``w_i E_i``, ``(B, number of terms)``."""
        return torch.stack([w * energy(x) for w, energy in zip(self.weights, self.energies, strict=True)], dim=1)


def product_weights(weights: Sequence[float]) -> list[float]:
    """The weights of attributes' energies and, last, that of the unconditional one: all together they sum to one."""
    return [*weights, 1 - sum(weights)]


def check_weights(weights: Sequence[float]) -> None:
    """Raises ValueError, with the reason, for weights that make no distribution, or one that is nearly none."""
    if not weights:
        raise ValueError("nothing is asked for: give at least one attribute a weight")
    positive, negative = sum(w for w in weights if w > 0), -sum(w for w in weights if w < 0)
    if positive == 0:
        raise ValueError("a NOT cannot stand alone: almost every picture is 'not that'; ask for something beside it")
    if positive - negative < LEAST_SHARE * positive:
        raise ValueError(
            f"the NOTs weigh {negative:g} and what is asked for only {positive:g}; they must weigh less, or chains "
            "leave everything that was ever seen"
        )


class Mixture:
    """OR: ``E = -log(sum_i exp(-b E_i)) / b`` with sharpness ``b``; for ``b`` = 1 the sum of the densities.

    ``b`` is in units of one over energy: large, and the lowest energy alone counts.
    """

    def __init__(self, energies: Sequence[EnergyFn], sharpness: float) -> None:
        if len(energies) < 2:
            raise ValueError(f"an OR needs two terms or more, got {len(energies)}")
        if not sharpness > 0:
            raise ValueError(f"the sharpness of an OR must be positive, got {sharpness}")
        self.energies, self.sharpness = tuple(energies), sharpness

    def __call__(self, x: Tensor) -> Tensor:
        energies = torch.stack([energy(x) for energy in self.energies], dim=1)
        return -torch.logsumexp(-self.sharpness * energies, dim=1) / self.sharpness
