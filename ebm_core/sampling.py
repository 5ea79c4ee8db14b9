"""Algorithm 2 of ICD: from noise to the points of pictures, as one generator of states."""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import torch
from torch import Tensor

from ebm_core.arguments import whole
from ebm_core.config import ConfigError, check_fields
from ebm_core.energy import EnergyFn
from ebm_core.langevin import ChainState, LangevinConfig, evaluate_state, langevin_chain
from ebm_core.space import Space
from ebm_core.transitions import TransitionConfig

MAX_CANDIDATES = 4  # a step of 64 latent chains takes half a second of a core, and nobody can stop within one


@dataclass(frozen=True)
class SamplePlan:
    """``rounds`` times (a transition, then ``langevin.steps`` steps), then ``refinement_steps`` without.

    The rounds are walked by ``candidates`` chains for each picture, and the one of lowest energy is refined (not in the
    paper): of a chain that has gone astray the energy is high. For cats128 and faces128 it ranks chains after the
    rounds as at their end (rank correlation .9), and half-way through the rounds not at all (below .25).

    The algorithm box moves the initial noise too. For data whose transitions are mild that only hurts: a crop
    makes white noise smooth, and smooth coloured blobs grow into objects of several colours.
    """

    rounds: Annotated[int, whole(0, 10**4)] = 3
    refinement_steps: Annotated[int, whole(0, 10**6)] = 60
    move_noise: bool = True  # False: the first round starts from the noise as it is
    langevin: LangevinConfig = field(default_factory=LangevinConfig)
    transition: TransitionConfig = field(default_factory=TransitionConfig)
    candidates: Annotated[int, whole(1, MAX_CANDIDATES)] = 1

    def __post_init__(self) -> None:
        check_fields(self)
        if self.candidates > 1 and not self.round_steps:
            raise ConfigError(f"the best of {self.candidates} candidates is known after the rounds: add one, or take 1")

    @property
    def round_steps(self) -> int:
        """Langevin steps of all rounds, after which the best candidate is refined."""
        return self.rounds * self.langevin.steps

    @property
    def num_steps(self) -> int:
        """Langevin steps that a picture has behind it."""
        return self.round_steps + self.refinement_steps

    def refining(self, steps: int) -> "SamplePlan":
        """So many of its steps, with no transition."""
        return replace(self, rounds=0, refinement_steps=steps, move_noise=False, candidates=1)


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

    Candidates beyond the first set out from noise of their own (so ``x`` should be noise, too); a state has at each
    place the one that leads then.
    """
    others = plan.candidates - 1 if first_step < 0 else 0
    starts = [x, *(space.noise(len(x), rng) for _ in range(others))]
    x = yield from lowest([_rounds(energy, start, plan, rng, space, first_step) for start in starts])
    begins = max(first_step, plan.round_steps)
    refinement = replace(plan.langevin, steps=plan.num_steps - begins)
    x = yield from langevin_chain(energy, x, refinement, rng, space.keep, first_step=begins)
    final, _ = evaluate_state(energy, x, plan.num_steps)
    yield final
    return x


def _rounds(
    energy: EnergyFn, x: Tensor, plan: SamplePlan, rng: torch.Generator, space: Space, first_step: int
) -> Generator[ChainState, None, Tensor]:
    steps = plan.langevin.steps
    for number in range(plan.rounds):
        done = min(max(0, first_step - number * steps), steps)
        if number * steps > first_step and (number or plan.move_noise):
            x = space.jolt(x, plan.transition, rng)
        part = replace(plan.langevin, steps=steps - done)
        x = yield from langevin_chain(energy, x, part, rng, space.keep, first_step=number * steps + done)
    return x


def lowest(chains: Sequence[Generator[ChainState, None, Tensor]]) -> Generator[ChainState, None, Tensor]:
    """Chains of as many points and steps, side by side as one: at each place the state of lowest energy at that step.

    Returns the points to which those of its last state go on.
    """
    if len(chains) == 1:
        return (yield from chains[0])
    leaders: Tensor | None = None
    while True:
        states, ends = [], []
        for chain in chains:
            try:
                states.append(next(chain))
            except StopIteration as end:
                ends.append(end.value)
        if leaders is not None and ends:
            return _pick(leaders, ends)
        leaders = torch.stack([state.energy for state in states]).argmin(0)
        figures = zip(*(state[1:] for state in states), strict=True)
        yield ChainState(states[0].step, *(_pick(leaders, figure) for figure in figures))


def _pick(leaders: Tensor, figures: Sequence[Tensor]) -> Tensor:
    """Of ``K`` tensors ``(B, ...)`` at each place that of the leader ``(B,)``, 0 to ``K - 1``."""
    return torch.stack(list(figures))[leaders, torch.arange(len(leaders), device=leaders.device)]


def final_state(chain: Iterable[ChainState]) -> ChainState:
    """The last state of a chain, which is run to its end. Raises ValueError for one that has no state."""
    last = None
    for last in chain:
        pass
    if last is None:
        raise ValueError("the chain has no state: it must have a step or an end that is measured")
    return last
