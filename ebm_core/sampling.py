"""Algorithm 2 of ICD: from noise to the points of pictures, as one generator of states."""

from collections.abc import Generator, Iterable
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import torch
from torch import Tensor

from ebm_core.arguments import whole
from ebm_core.config import check_fields
from ebm_core.energy import EnergyFn
from ebm_core.langevin import ChainState, LangevinConfig, evaluate_state, langevin_chain
from ebm_core.space import Space
from ebm_core.transitions import TransitionConfig


@dataclass(frozen=True)
class SamplePlan:
    """``rounds`` times (a transition, then ``langevin.steps`` steps), then ``refinement_steps`` without.

    The algorithm box moves the initial noise too. For data whose transitions are mild that only hurts: a crop
    makes white noise smooth, and smooth coloured blobs grow into objects of several colours.
    """

    rounds: Annotated[int, whole(0, 10**4)] = 3
    refinement_steps: Annotated[int, whole(0, 10**6)] = 60
    move_noise: bool = True  # False: the first round starts from the noise as it is
    langevin: LangevinConfig = field(default_factory=LangevinConfig)
    transition: TransitionConfig = field(default_factory=TransitionConfig)

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def num_steps(self) -> int:
        """Langevin steps in all."""
        return self.rounds * self.langevin.steps + self.refinement_steps

    def refining(self, steps: int) -> "SamplePlan":
        """So many of its steps, with no transition."""
        return replace(self, rounds=0, refinement_steps=steps, move_noise=False)


def without_clamp(plan: Any) -> Any:
    """A plan as dictionaries, of files from when it said, not the space, that pixels are kept in [0, 1].

    What is no plan stays as it is. Raises ValueError for a plan that did not keep them there.
    """
    langevin = plan.get("langevin") if isinstance(plan, dict) else None
    if not isinstance(langevin, dict) or "clamp" not in langevin:
        return plan
    if langevin["clamp"] is not True:
        raise ValueError("its chains did not keep pixels in [0, 1], which is no longer done; take clamp = false out")
    return plan | {"langevin": {key: value for key, value in langevin.items() if key != "clamp"}}


def sample(
    energy: EnergyFn, x: Tensor, plan: SamplePlan, rng: torch.Generator, space: Space, *, first_step: int = -1
) -> Generator[ChainState, None, Tensor]:
    """Algorithm 2 of ICD from points ``x`` of a ``space``; yields ``plan.num_steps + 1`` states, the last one final.

    A consumer may pause between two states for as long as it likes: all that the chain is lives in the
    generator and in ``rng``, so going on later is exact. With a ``first_step`` from 0 it begins in the middle: the
    points of another chain's state of that step go on with another energy or plan. Returns the final points.
    """
    steps = plan.langevin.steps
    for number in range(plan.rounds):
        done = min(max(0, first_step - number * steps), steps)
        if number * steps > first_step and (number or plan.move_noise):
            x = space.jolt(x, plan.transition, rng)
        part = replace(plan.langevin, steps=steps - done)
        x = yield from langevin_chain(energy, x, part, rng, space.keep, first_step=number * steps + done)
    begins = max(first_step, plan.rounds * steps)
    refinement = replace(plan.langevin, steps=plan.num_steps - begins)
    x = yield from langevin_chain(energy, x, refinement, rng, space.keep, first_step=begins)
    final, _ = evaluate_state(energy, x, plan.num_steps)
    yield final
    return x


def final_state(chain: Iterable[ChainState]) -> ChainState:
    """The last state of a chain, which is run to its end. Raises ValueError for one that has no state."""
    last = None
    for last in chain:
        pass
    if last is None:
        raise ValueError("the chain has no state: it must have a step or an end that is measured")
    return last
