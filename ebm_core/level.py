"""Conditional energies on one level with their family, so that an OR compares like with like.

Training by gradients leaves the constant of an energy free, and to a conditional one a constant for each label: those
of the shipped models are up to 0.3 apart, where a cube is told from a sphere by 0.001. So every label is levelled on
noise, where chains start and no label can be told: ``E(x, y) - c(y)``, ``c(y)`` the mean over fixed noise of
``E(noise, y) - E_any(noise)``.

That levels one end of the chain. The slopes of the attribute models are also too gentle, by 2 to 6 % of the whole way
from noise to data and by another share in each model, so that at the other end they are apart again: on pictures of
faces *smiling* lies 0.0006 below *old*, more than what tells a smile. Inside an OR every label's energy is therefore
stretched until it falls as far as the family's own does. How far it falls is its free energy at the temperature of
labels, since ``p(x | y) / p(x)`` averages to one over the family's pictures; the pictures are chains of the
unconditional model, so nothing but the models is needed.
"""

import math
from functools import cached_property

import torch
from torch import Tensor

from ebm_core.compose import Conditioned
from ebm_core.energy import LABEL_TEMPERATURE, EnergyFn
from ebm_core.langevin import LangevinConfig, drain, langevin_chain
from ebm_core.nets import EnergyNetwork
from ebm_core.space import Space

NUM_PICTURES, SEED = 16, 0  # energies of noise differ by some 1e-4: the mean of so many is exact to 3e-5

MOST_STRETCHED = 1.25  # shipped ones need 1.06; an energy that would need more is no better known where it ends


def fixed_noise(space: Space, net: EnergyNetwork) -> Tensor:
    """The same points of noise for all models of a family, ``(NUM_PICTURES, ...)``, on the network's device."""
    return space.noise(NUM_PICTURES, torch.Generator().manual_seed(SEED)).to(next(net.parameters()).device)


class Reference:
    """A family's unconditional energy at both ends of its chain: on fixed noise and where that noise arrives.

    All is computed when it is first asked for: in the thread and the precision of the chain that needs it, so that
    bfloat16's own shift of a level (up to 0.004) drops out.
    """

    def __init__(self, net: EnergyNetwork, config: LangevinConfig, space: Space) -> None:
        self.net, self.config, self.space = net, config, space

    @cached_property
    def noise_energy(self) -> Tensor:
        """The mean energy of noise, ``()``."""
        return _energy(self.net, fixed_noise(self.space, self.net)).mean()

    @cached_property
    def pictures(self) -> Tensor:
        """What the noise becomes within one round of the plan, ``(NUM_PICTURES, *space.shape)``."""
        noise = fixed_noise(self.space, self.net)
        rng = torch.Generator(noise.device).manual_seed(SEED)
        return drain(langevin_chain(self.net, noise, self.config, rng, self.space.keep))

    @cached_property
    def falls(self) -> Tensor:
        """How far below noise each of the pictures lies, ``(NUM_PICTURES,)``."""
        return self.noise_energy - _energy(self.net, self.pictures)


class Levelled:
    """A conditional energy for labels ``y``, ``(L,)`` for all or one for each picture ``(B, L)``, less ``c(y)``.

    With ``stretched`` it also falls as far as the ``reference`` does. Without a reference all labels are 0 on noise,
    and nothing is stretched.
    """

    def __init__(
        self, net: EnergyNetwork, y: Tensor, reference: Reference | None, space: Space, *, stretched: bool
    ) -> None:
        self.energy, self.reference, self.space, self.stretched = Conditioned(net, y), reference, space, stretched

    def __call__(self, x: Tensor) -> Tensor:
        start, stretch = self._line
        height = stretch * (self.energy(x) - start)
        return height if self.reference is None else height + self.reference.noise_energy

    @cached_property
    def _line(self) -> tuple[Tensor, Tensor]:
        """For each label its mean energy on noise and the factor of its stretching."""
        net, y = self.energy.net, self.energy.y
        labels, kind = torch.unique(y.reshape(-1, y.shape[-1]), dim=0, return_inverse=True)
        noise = fixed_noise(self.space, net)
        starts = torch.stack([_energy(Conditioned(net, label), noise).mean() for label in labels])
        stretches = torch.ones_like(starts)
        if self.stretched and (reference := self.reference) is not None:
            whole = reference.falls.mean()
            for i, (label, start) in enumerate(zip(labels, starts, strict=True)):
                # What is left of the way when the family's energy has gone it all: minus log mean p(x | y) / p(x).
                left = _energy(Conditioned(net, label), reference.pictures) - start + reference.falls
                free = -LABEL_TEMPERATURE * (torch.logsumexp(-left / LABEL_TEMPERATURE, 0) - math.log(len(left)))
                stretches[i] = (whole / (whole - free)).clamp(1 / MOST_STRETCHED, MOST_STRETCHED)
        return starts[kind], stretches[kind]


@torch.no_grad()
def _energy(energy: EnergyFn, x: Tensor) -> Tensor:
    return energy(x)
