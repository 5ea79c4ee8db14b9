"""Algorithm 2 as one generator."""

import pytest
import torch

from ebm_core.langevin import ChainState, LangevinConfig, drain
from ebm_core.sampling import SamplePlan, final_state, lowest, sample
from ebm_core.space import pixels
from ebm_core.transitions import TransitionConfig
from tests.conftest import PIXELS
from tests.core.test_transitions import OFF

PLAN = SamplePlan(2, 3, True, LangevinConfig(steps=4, step_size=0.1, noise_std=0.0), TransitionConfig(**OFF))


def test_counts_states_and_energies_end_at_the_final_image(quadratic, rng):
    x0 = PIXELS.noise(2, rng)
    states = list(sample(quadratic, x0, PLAN, rng, PIXELS))
    assert [s.step for s in states] == list(range(12))
    assert PLAN.num_steps == 11
    torch.testing.assert_close(states[-1].x, 0.5 + 0.9**11 * (x0 - 0.5))
    torch.testing.assert_close(states[-1].energy, quadratic(states[-1].x))
    assert torch.equal(drain(sample(quadratic, x0, PLAN, rng, PIXELS)), states[-1].x)


def test_transitions_come_before_each_round_and_not_before_refinement(quadratic, rng):
    mirror = TransitionConfig(**(OFF | {"flip_prob": 1.0}))
    x0 = PIXELS.noise(1, rng)
    states = list(sample(quadratic, x0, SamplePlan(2, 3, True, PLAN.langevin, mirror), rng, PIXELS))

    def mirrored(a, b):
        return torch.sign(a.x - 0.5).flip(3).equal(torch.sign(b.x - 0.5))

    assert torch.equal(states[0].x, x0.flip(3))
    flips = [step for step in range(1, 12) if mirrored(states[step - 1], states[step])]
    assert flips == [4]
    kept = list(sample(quadratic, x0, SamplePlan(2, 3, False, PLAN.langevin, mirror), rng, PIXELS))
    assert torch.equal(kept[0].x, x0)
    assert [step for step in range(1, 12) if mirrored(kept[step - 1], kept[step])] == [4]


def test_pausing_between_states_changes_nothing(tiny_net):
    plan = SamplePlan(2, 2, True, LangevinConfig(steps=2, step_size=1.0, noise_std=0.01), TransitionConfig())

    def run(pause_at):
        rng = torch.Generator().manual_seed(7)
        chain = sample(tiny_net, PIXELS.noise(2, rng), plan, rng, PIXELS)
        for state in chain:
            if state.step == pause_at:
                torch.manual_seed(123)  # somebody else uses the global generator meanwhile
                torch.rand(10)
        return state.x

    assert torch.equal(run(None), run(3))


def test_noise_is_uniform(rng):
    x = pixels(3, 32).noise(10, rng)
    assert x.min() >= 0
    assert x.max() < 1
    assert abs(x.mean() - 0.5) < 0.01
    assert abs(x.var() - 1 / 12) < 0.002


def test_the_final_state_is_the_last_one(quadratic, rng):
    x, plan = PIXELS.noise(1, rng), SamplePlan(1, 2, False, PLAN.langevin)
    *_, last = sample(quadratic, x, plan, torch.Generator().manual_seed(3), PIXELS)
    final = final_state(sample(quadratic, x, plan, torch.Generator().manual_seed(3), PIXELS))
    assert final.step == plan.num_steps
    assert torch.equal(final.x, last.x)
    with pytest.raises(ValueError, match="has no state"):
        final_state(iter(()))


def test_of_several_candidates_the_lowest_after_the_rounds_is_refined(quadratic):
    plan = SamplePlan(2, 3, False, PLAN.langevin, TransitionConfig(**OFF), candidates=3)
    noise, again = torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)
    x0, rng = PIXELS.noise(6, noise), torch.Generator().manual_seed(2)
    states = list(sample(quadratic, x0, plan, rng, PIXELS))
    assert [s.step for s in states] == list(range(12))
    # Without noise all candidates shrink alike towards the middle: the one that begins lowest leads throughout.
    starts = torch.stack([x0, PIXELS.noise(6, again), PIXELS.noise(6, again)])
    energies = torch.stack([quadratic(start) for start in starts])
    leaders = energies.argmin(0)
    assert len(leaders.unique()) > 1
    best = starts[leaders, torch.arange(6)]
    for state in states:
        torch.testing.assert_close(state.x, 0.5 + 0.9**state.step * (best - 0.5))
        torch.testing.assert_close(state.energy, quadratic(state.x))
        assert state.scale_energies.shape == (6, 1)


def test_a_leader_may_fall_behind():
    def chain(energies, end):
        for step, energy in enumerate(energies):
            x = torch.full((1, 1), end + step / 10)
            yield ChainState(step, x, torch.tensor([energy]), torch.tensor([[energy]]), torch.tensor([end]))
        return torch.full((1, 1), end + 0.5)

    both = lowest([chain([1.0, 2.0, 0.5], 10.0), chain([2.0, 1.0, 0.75], 20.0)])
    states = []
    while True:
        try:
            states.append(next(both))
        except StopIteration as stop:
            end = stop.value
            break
    assert [float(s.x) for s in states] == pytest.approx([10.0, 20.1, 10.2])
    assert [float(s.energy) for s in states] == [1.0, 1.0, 0.5]
    assert [float(s.grad_norm) for s in states] == [10.0, 20.0, 10.0]
    assert float(end) == 10.5


def test_candidates_end_when_a_chain_is_taken_up(quadratic, rng):
    plan = SamplePlan(2, 3, False, PLAN.langevin, TransitionConfig(**OFF), candidates=2)
    states = list(sample(quadratic, PIXELS.noise(2, rng), plan, rng, PIXELS))
    rest = list(sample(quadratic, states[5].x, plan, rng, PIXELS, first_step=5))
    for whole, part in zip(states[5:], rest, strict=True):
        torch.testing.assert_close(whole.x, part.x)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"candidates": 0}, "candidates"),
        ({"candidates": 5}, "candidates"),
        ({"candidates": 2, "rounds": 0}, "the best of 2 candidates is known after the rounds"),
        ({"candidates": 2, "langevin": LangevinConfig(steps=0)}, "add one, or take 1"),
    ],
)
def test_candidates_that_cannot_be_told_apart_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        SamplePlan(**changes)
    assert SamplePlan(candidates=2).refining(5).candidates == 1


@pytest.mark.parametrize("name", ["rounds", "refinement_steps"])
def test_negative_counts_are_refused(name):
    with pytest.raises(ValueError, match=name):
        SamplePlan(**{name: -1})


@pytest.mark.parametrize("middle", range(11))
def test_a_chain_can_be_taken_up_at_any_step(quadratic, middle, rng):
    mirror = TransitionConfig(**(OFF | {"flip_prob": 1.0}))
    plan = SamplePlan(2, 3, True, PLAN.langevin, mirror)
    states = list(sample(quadratic, PIXELS.noise(1, rng), plan, rng, PIXELS))
    rest = list(sample(quadratic, states[middle].x, plan, rng, PIXELS, first_step=middle))
    assert [s.step for s in rest] == list(range(middle, 12))
    for whole, part in zip(states[middle:], rest, strict=True):
        assert torch.equal(whole.x, part.x)
