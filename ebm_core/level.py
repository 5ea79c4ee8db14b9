"""Conditional energies on one level with their family, so that an OR compares like with like.

Training by gradients leaves the constant of an energy free, and to a conditional one a constant for each label: those
of the shipped models are up to 0.3 apart, where a cube is told from a sphere by 0.001. So every label is levelled on
noise, where chains start and no label can be told: ``E(x, y) - c(y)``, ``c(y)`` the mean over fixed noise of
``E(noise, y) - E_any(noise)``.

That levels one end of the chain. On the way down labels part again by what is no matter of theirs: attribute models
are a few per cent too steep or too gentle, each in another place, and halfway to a face *smiling* lies 0.0005 above
*old*, more than what tells a smile. Inside an OR the lower term rules, so there ``c(y)`` follows the way: at several
heights of the unconditional model's own chain the label's free energy over its pictures is brought to the family's,
since ``p(x | y) / p(x)`` averages to one over the family's pictures; between these heights ``c`` is linear in the
energy.
The pictures are chains of the unconditional model, so nothing but the models is needed.
"""

import math
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from ebm_core.compose import Conditioned
from ebm_core.energy import LABEL_TEMPERATURE, EnergyFn
from ebm_core.langevin import LangevinConfig, langevin_chain
from ebm_core.nets import EnergyNetwork
from ebm_core.space import Space

NUM_PICTURES, SEED = 16, 0  # energies of noise differ by some 1e-4: the mean of so many is exact to 3e-5
HEIGHTS = 4  # after noise, evenly spaced in the steps of one round of the plan, as far as it falls (``Space.reach``)
MOST_BENT = 0.25  # share of the family's fall that a label is moved by; shipped ones need 0.06


def fixed_noise(space: Space, net: EnergyNetwork) -> Tensor:
    """The same points of noise for all models of a family, ``(NUM_PICTURES, ...)``, on the network's device."""
    return space.noise(NUM_PICTURES, torch.Generator().manual_seed(SEED)).to(next(net.parameters()).device)


class Reference:
    """A family's unconditional energy on its own way down, from fixed noise to where that noise arrives.

    All is computed when it is first asked for: in the thread and the precision of the chain that needs it, so that
    bfloat16's own shift of a level (up to 0.004) drops out.
    """

    def __init__(self, net: EnergyNetwork, config: LangevinConfig, space: Space) -> None:
        self.net, self.config, self.space = net, config, space

    @cached_property
    def start(self) -> tuple[Tensor, Tensor]:
        """Points of noise ``(NUM_PICTURES, ...)`` and their energies."""
        x = fixed_noise(self.space, self.net)
        return x, _energy(self.net, x)

    @cached_property
    def way(self) -> list[tuple[Tensor, Tensor]]:
        """The start, and what it becomes within a round of the plan, each with its energies."""
        x, _ = self.start
        rng = torch.Generator(x.device).manual_seed(SEED)
        # A plan that walks longer stays down there.
        steps = round(min(self.config.steps, max(1, self.space.reach / self.config.step_size)))
        heights = {round(steps * (number + 1) / HEIGHTS) for number in range(HEIGHTS)}
        # One step more than the last height: a chain shows its points before it moves them.
        longer = replace(self.config, steps=steps + 1)
        states = langevin_chain(self.net, x, longer, rng, self.space.keep)
        return [self.start] + [(s.x, s.energy) for s in states if s.step in heights and s.step]


class Levelled:
    """A conditional energy for labels ``y``, ``(L,)`` for all or one for each picture ``(B, L)``, less ``c(y)``.

    Where it ``follows`` the way, ``c(y)`` depends on the height; else it is that of noise. Without a reference all
    labels are 0 on noise, and nothing is followed.
    """

    def __init__(
        self, net: EnergyNetwork, y: Tensor, reference: Reference | None, space: Space, *, follows: bool
    ) -> None:
        self.energy, self.reference, self.space, self.follows = Conditioned(net, y), reference, space, follows

    def __call__(self, x: Tensor) -> Tensor:
        energy = self.energy(x)
        heights, shifts = (rows.unbind(1) for rows in self.curve)
        shift = shifts[0]
        for number in range(len(heights) - 1):
            fall = (heights[number + 1] - heights[number]).clamp(max=-1e-12)
            slope = (shifts[number + 1] - shifts[number]) / fall
            # Each piece adds what it shifts by within its own heights; the outermost ones go on beyond them.
            piece = energy if not number else torch.minimum(energy, heights[number])
            if number < len(heights) - 2:
                piece = torch.maximum(piece, heights[number + 1])
            shift = shift + slope * (piece - heights[number])
        return energy + shift

    @cached_property
    def curve(self) -> tuple[Tensor, Tensor]:
        """Heights of the label's energy, falling, and how much it is shifted there: ``(1 or B, 1 or HEIGHTS + 1)``."""
        net, y = self.energy.net, self.energy.y
        labels, kind = torch.unique(y.reshape(-1, y.shape[-1]), dim=0, return_inverse=True)
        curves = [self._curve(Conditioned(net, label)) for label in labels]
        return torch.stack([heights for heights, _ in curves])[kind], torch.stack([s for _, s in curves])[kind]

    def _curve(self, energy: EnergyFn) -> tuple[Tensor, Tensor]:
        if self.reference is None:
            height = _energy(energy, fixed_noise(self.space, self.energy.net)).mean()
            return height[None], -height[None]
        levels: list[Tensor] = []  # of the family, to which the heights are brought
        heights: list[Tensor] = []
        shifts: list[Tensor] = []
        for points, family in self.reference.way if self.follows else [self.reference.start]:
            own = _energy(energy, points)
            left = own - family
            # Minus log mean p(x | y) / p(x); on noise, where no label can be told, the mean is the same and exacter.
            free = -LABEL_TEMPERATURE * (torch.logsumexp(-left / LABEL_TEMPERATURE, 0) - math.log(len(left)))
            shift = -(free if heights else left.mean())
            if heights:
                fall = MOST_BENT * (levels[-1] - family.mean()).clamp(min=0)
                shift = shifts[-1] + (shift - shifts[-1]).clamp(-fall, fall)
            levels.append(family.mean())
            heights.append(family.mean() - shift)
            shifts.append(shift)
        return torch.stack(heights), torch.stack(shifts)


@torch.no_grad()
def _energy(energy: EnergyFn, x: Tensor) -> Tensor:
    return energy(x)
