"""Chains that repaint a region of a picture and hold the rest.

A chain of a matched energy goes along a straight path: at the time t it stands at ``(1 - t) noise + t data``
(``straight_path`` of the trainer). So the rest is held at that mixture of the chain's own noise and the picture, and at
the picture itself from t = 1 on: everywhere the energy sees as much noise as it was trained on. RePaint (Lugmayr et
al., 2022, arXiv:2201.09865) holds a diffusion model's pictures in the same way.

In latents the mask is held in latents too. It was chosen by looking, at cats128 and faces128 with masks over an eye, a
mouth, half of a face and most of it: the rest held clean from the first step on makes blotches of the region, and
blending in pixels after each decoding makes glaring patterns of it, for the encoder never saw what half-noisy latents
decode to. Pixels are blended once, in what is shown: outside of the mask nothing changes, to the bit.
"""

from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from ebm_core.energy import EnergyFn
from ebm_core.langevin import ChainState, evaluate_state, langevin_chain
from ebm_core.sampling import SamplePlan
from ebm_core.space import Space

FEATHER = 4  # pixels inside of the mask over which a decoded picture comes in
LEAST_SHARE = 0.5  # of a latent's pixels that must be painted for it to be repainted
SEEDS = 2**32  # beyond every recipe's seed: the noise of the start is none of the noise of the steps


@dataclass(frozen=True)
class Repainting:
    """How chains of ``B`` points walk in a region alone, from a time ``begin`` on; ``steps`` of them take noise to
    data.

    ``free (1, 1, h, w)`` is true where they walk; ``clean (1, C, h, w)`` are the points of the picture, ``noise
    (B, C, h, w)`` those where the chains come from.
    """

    free: Tensor
    clean: Tensor
    noise: Tensor
    begin: float
    steps: int

    def mixture(self, step: int) -> Tensor:
        """Where the path from noise to the picture is before a step, ``(B, C, h, w)``."""
        t = min(1.0, self.begin + step / self.steps)
        return (1 - t) * self.noise + t * self.clean

    def sample(
        self, energy: EnergyFn, x: Tensor, plan: SamplePlan, rng: torch.Generator, space: Space, *, first_step: int = -1
    ) -> Generator[ChainState, None, Tensor]:
        """``ebm_core.sampling.sample`` for a plan without transitions, with the rest held after every step."""
        step_by_step = replace(plan.langevin, steps=1)
        for step in range(max(0, first_step), plan.num_steps):
            keep = partial(self._keep, space, step + 1)
            x = yield from langevin_chain(energy, x, step_by_step, rng, keep, first_step=step)
        yield evaluate_state(energy, x, plan.num_steps)[0]
        return x

    def _keep(self, space: Space, step: int, x: Tensor) -> Tensor:
        return torch.where(self.free, space.keep(x), self.mixture(step))


def repainting(
    space: Space, u8: Tensor, mask: Tensor, strength: float, plan: SamplePlan, seed: int, num: int, device: str
) -> tuple[Repainting, SamplePlan, Space]:
    """Chains that repaint what is true of ``mask (H, W)`` in the picture ``u8 (C, H, W)``, their plan, and a space
    that shows their points with the picture around them.

    They begin so far back towards noise, 0 to 1: at ``strength`` 1 nothing is left of what was there. The plan has as
    many steps as lead from there to data, and its refinement. Raises ValueError for a mask in which nothing can walk.
    """
    steps = max(1, plan.langevin.steps)
    own = plan.refining(round(strength * steps) + plan.refinement_steps)
    noise = space.noise(num, torch.Generator(device).manual_seed(SEEDS + seed))
    painted = mask[None, None].to(device, torch.float32)
    free = F.adaptive_avg_pool2d(painted, space.shape[1:]) >= LEAST_SHARE
    if not free.any():
        raise ValueError("what is painted is too small for this model: paint a larger spot")
    walk = Repainting(free, space.encode(u8[None].to(device)), noise, 1 - strength, steps)
    return walk, own, _framed(space, u8[None].to(device), painted)


def _framed(space: Space, u8: Tensor, painted: Tensor) -> Space:
    """The space with the picture ``u8 (1, C, H, W)`` wherever its points are shown, but for the painted pixels."""
    picture = (u8.float() + 0.5) / 256
    weight = feathered(painted) if space.is_coded else painted

    def decode(z: Tensor) -> Tensor:
        return torch.lerp(picture, space.decode(z), weight)

    def preview(z: Tensor) -> Tensor:
        coarse = space.preview(z)
        size = (coarse.shape[2], coarse.shape[3])
        return torch.lerp(F.adaptive_avg_pool2d(picture, size), coarse, F.adaptive_avg_pool2d(weight, size))

    return replace(space, decode=decode, preview=preview)


def feathered(painted: Tensor) -> Tensor:
    """Weights ``(1, 1, H, W)`` of new pixels: 0 outside of the mask, 1 well inside of it, rising between."""
    # What lies beyond the picture's edge counts as painted: there is nothing to be joined to.
    near = F.pad(painted, (FEATHER,) * 4, value=1.0)
    inner = -F.max_pool2d(-near, FEATHER + 1, stride=1)
    return F.avg_pool2d(inner, FEATHER + 1, stride=1) * painted
