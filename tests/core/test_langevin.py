"""Langevin chains against exact answers."""

import math

import pytest
import torch

from ebm_core.energy import EnergyGradient, energy_and_grad
from ebm_core.langevin import (
    FiniteCheck,
    LangevinConfig,
    NonFiniteEnergyError,
    differentiable_step,
    drain,
    langevin_chain,
    standard_normal,
)
from ebm_core.nets import EnergyNetwork, NetConfig
from ebm_core.nets.folding import folded, refold
from ebm_core.space import free
from tests.conftest import PIXELS, TINY, Quadratic
from train.captured import CapturedEnergy, captured


def start(rng, n=256):
    return torch.rand(n, 3, 8, 8, generator=rng)


@pytest.mark.parametrize("precision", [1.0, 4.0])
def test_stationary_variance_of_a_quadratic_energy(precision, rng):
    # x <- (1 - s p) x + q n has stationary variance q^2 / (1 - (1 - s p)^2), exactly, also for large steps.
    config = LangevinConfig(steps=300, step_size=0.1, noise_std=0.2)
    x = drain(langevin_chain(Quadratic(precision, 0.0), torch.zeros(400, 3, 8, 8), config, rng, free))
    factor = 1 - config.step_size * precision
    expected = config.noise_std**2 / (1 - factor**2)
    n = x.numel()
    assert x.mean().abs() < 5 * math.sqrt(expected / n)
    assert abs(x.var().item() - expected) < 5 * expected * math.sqrt(2 / n)


def test_noise_before_the_gradient_changes_the_variance_as_calculated(rng):
    # x <- (1 - s p)(x + q n): the noise is contracted too.
    config = LangevinConfig(steps=300, step_size=0.5, noise_std=0.2, noise_before_gradient=True)
    x = drain(langevin_chain(Quadratic(1.0, 0.0), torch.zeros(400, 3, 8, 8), config, rng, free))
    factor = 1 - config.step_size
    expected = (factor * config.noise_std) ** 2 / (1 - factor**2)
    assert abs(x.var().item() - expected) < 5 * expected * math.sqrt(2 / x.numel())


def test_noiseless_steps_are_exact_and_states_belong_to_their_images(rng):
    energy, config = Quadratic(), LangevinConfig(steps=5, step_size=0.1, noise_std=0.0)
    x0 = start(rng)
    for state in langevin_chain(energy, x0, config, rng, free):
        expected = 0.5 + 0.9**state.step * (x0 - 0.5)
        torch.testing.assert_close(state.x, expected)
        torch.testing.assert_close(state.energy, energy(state.x))
        torch.testing.assert_close(state.scale_energies.sum(1), state.energy)
        torch.testing.assert_close(state.grad_norm, (state.x - 0.5).flatten(1).norm(dim=1))
    assert state.step == 4


def test_a_space_keeps_points_within_its_limits(rng):
    hot = LangevinConfig(steps=3, step_size=0.1, noise_std=1.0)
    kept = drain(langevin_chain(Quadratic(), start(rng), hot, rng, PIXELS.keep))
    assert kept.min() == 0
    assert kept.max() == 1
    assert drain(langevin_chain(Quadratic(), start(rng), hot, rng, free)).min() < 0


def test_same_seed_same_chain_and_another_seed_another(tiny_net):
    config = LangevinConfig(steps=3, step_size=1.0, noise_std=0.01)

    def run(seed):
        seeded = torch.Generator().manual_seed(seed)
        return drain(langevin_chain(tiny_net, torch.full((2, 3, 8, 8), 0.5), config, seeded, PIXELS.keep))

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))


def test_chain_builds_no_graph_even_when_parameters_want_gradients(tiny_net, rng):
    for state in langevin_chain(tiny_net, start(rng, 2), LangevinConfig(steps=2), rng, PIXELS.keep):
        assert not any(t.requires_grad for t in state[1:])
    assert all(p.grad is None for p in tiny_net.parameters())


def test_consumer_sees_its_own_grad_mode_between_states(tiny_net, rng):
    # Grad mode belongs to the thread: a generator that yields inside a context manager would leak it.
    for outer in (True, False):
        with torch.set_grad_enabled(outer):
            for _ in langevin_chain(tiny_net, start(rng, 2), LangevinConfig(steps=2), rng, PIXELS.keep):
                assert torch.is_grad_enabled() == outer


def test_non_finite_energy_names_its_step(rng):
    def energy(x):
        mean = x.mean(dim=(1, 2, 3))
        return torch.where(mean < 0.455, torch.nan, 192 * mean)  # slope 1 in every pixel, then a cliff

    config = LangevinConfig(steps=50, step_size=0.01, noise_std=0.0)
    with pytest.raises(NonFiniteEnergyError, match="at step 45;"):
        drain(langevin_chain(energy, torch.full((2, 3, 8, 8), 0.9), config, rng, free))


@pytest.mark.parametrize("bad", [{"steps": -1}, {"step_size": 0.0}, {"step_size": math.nan}, {"noise_std": -0.1}])
def test_bad_configuration_is_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        LangevinConfig(**bad)


def test_gradient_matches_finite_differences():
    torch.manual_seed(0)
    net = EnergyNetwork(TINY).double()
    x = torch.rand(1, 3, 8, 8, dtype=torch.float64)
    direction = torch.randn_like(x)
    slope = (energy_and_grad(net, x).grad * direction).sum()
    h = 1e-5
    numeric = (net(x + h * direction) - net(x - h * direction)) / (2 * h)
    torch.testing.assert_close(slope, numeric[0], rtol=1e-6, atol=1e-12)


def test_differentiable_step_equals_the_chain_and_has_a_gradient(tiny_net, rng):
    x = start(rng, 2)
    config = LangevinConfig(steps=1, step_size=1.0, noise_std=0.01)
    a = drain(langevin_chain(tiny_net, x, config, torch.Generator().manual_seed(3), PIXELS.keep))
    noise = standard_normal(x, torch.Generator().manual_seed(3))
    b = differentiable_step(tiny_net, x, noise, config, PIXELS.keep)
    torch.testing.assert_close(a, b.detach())  # other kernels where the result is differentiable
    b.sum().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in tiny_net.parameters())


def test_default_network_config_is_the_papers():
    assert sum(p.numel() for p in EnergyNetwork(NetConfig()).parameters()) == 6_609_604


def test_on_an_accelerator_the_check_comes_late_and_still_names_the_step(rng):
    check = FiniteCheck(every=4)
    for step, value in enumerate([1.0, math.nan, 1.0]):
        check.add(step, torch.tensor([0.0, value]))
    with pytest.raises(NonFiniteEnergyError, match="at step 1;"):
        check.add(3, torch.tensor([math.inf]))
    with pytest.raises(NonFiniteEnergyError, match="at step 1;"):
        check.finish()
    FiniteCheck().finish()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_captured_chain_is_the_eager_one():
    torch.manual_seed(0)
    net = EnergyNetwork(TINY).cuda()
    fast = folded(net)
    config = LangevinConfig(steps=40, step_size=5.0, noise_std=0.01)

    def walk(energy):
        rng = torch.Generator("cuda").manual_seed(0)
        return drain(langevin_chain(energy, PIXELS.noise(4, rng), config, rng, PIXELS.keep))

    graph = CapturedEnergy(fast, torch.rand(4, 3, 8, 8, device="cuda"))
    torch.testing.assert_close(walk(graph), walk(fast), rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.05 * torch.randn_like(p))
    refold(fast, net)
    torch.testing.assert_close(walk(graph), walk(folded(net)), rtol=1e-4, atol=1e-5)


def test_an_energy_with_a_gradient_of_its_own_is_asked_for_it(rng):
    class Own(Quadratic):
        def energy_and_grad(self, x, *, create_graph=False):
            slope = 2.0 if create_graph else 1.0
            return EnergyGradient(torch.zeros(len(x)), torch.full_like(x, slope), torch.zeros(len(x), 1))

    x = torch.full((1, 3, 8, 8), 0.5)
    moved = drain(langevin_chain(Own(), x, LangevinConfig(1, 0.1, 0.0), rng, free))
    torch.testing.assert_close(moved, x - 0.1)
    assert energy_and_grad(Own(), x, create_graph=True).grad.max() == 2  # it is told when a graph is wanted
    energy = Own()
    assert captured(energy, x) is energy
