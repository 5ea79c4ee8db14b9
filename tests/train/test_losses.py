"""The objective against finite differences and closed forms."""

import itertools
import math

import pytest
import torch
from torch.func import functional_call

from ebm_core.contrastive import contrastive_divergence, energy_penalty
from ebm_core.energy import energy_and_grad
from ebm_core.langevin import LangevinConfig, differentiable_step, standard_normal
from ebm_core.nets import EnergyNetwork
from ebm_core.space import free
from tests.conftest import TINY, Quadratic
from train.losses import (
    decay,
    entropy,
    label_contrast,
    matching_loss,
    mates_by_time,
    pair_by_transport,
    sampler_energy,
    straight_path,
)

STEP = LangevinConfig(steps=1, step_size=5.0, noise_std=0.01)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return EnergyNetwork(TINY).double()


@pytest.fixture
def x():
    return 0.3 + 0.4 * torch.rand(2, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def stepped(net, x, parameters=None):
    energy = net if parameters is None else (lambda images: functional_call(net, parameters, (images,)))
    return differentiable_step(energy, x, standard_normal(x, torch.Generator().manual_seed(2)), STEP, free)


def gradient(net, loss):
    net.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}


def test_contrastive_divergence_and_penalty():
    pos, neg = torch.tensor([1.0, 3.0]), torch.tensor([0.0, 10.0])
    assert contrastive_divergence(pos, neg) == 2 - 5
    assert energy_penalty(pos, neg) == (1 + 0 + 9 + 100) / 2


def test_opt_gradient_is_that_of_the_sample_alone(net, x):
    """Finite differences of E(x_tilde(theta)) with the outer theta held, along a random direction."""
    analytic = gradient(net, sampler_energy(net, stepped(net, x)))
    held = {name: p.detach().clone() for name, p in net.named_parameters()}
    generator = torch.Generator().manual_seed(3)
    direction = {n: torch.randn(p.shape, generator=generator, dtype=torch.float64) for n, p in held.items()}
    h = 1e-5

    def outer_energy(sign):
        moved = {n: p + sign * h * direction[n] for n, p in held.items()}
        return functional_call(net, held, (stepped(net, x, moved).detach(),)).mean()

    numeric = (outer_energy(1) - outer_energy(-1)) / (2 * h)
    slope = sum((analytic[n] * direction[n]).sum() for n in analytic)
    torch.testing.assert_close(slope, numeric, rtol=1e-4, atol=1e-12)


def test_opt_gradient_differs_from_a_graph_through_the_outer_parameters(net, x):
    held = gradient(net, sampler_energy(net, stepped(net, x)))
    through = gradient(net, net(stepped(net, x)).mean())
    difference = sum((held[n] - through[n]).square().sum() for n in held).sqrt()
    size = sum(g.square().sum() for g in through.values()).sqrt()
    assert difference > 0.1 * size


def test_entropy_is_the_mean_log_distance_to_the_nearest(rng):
    x, past = torch.rand(5, 3, 4, 4, generator=rng), torch.rand(9, 3, 4, 4, generator=rng)
    expected = sum(math.log(min(float((a - b).norm()) for b in past)) for a in x) / 5
    assert entropy(x, past).item() == pytest.approx(expected, abs=1e-5)


def test_entropy_pushes_away_from_the_nearest_past_sample_and_survives_a_repeat():
    past = torch.tensor([[0.0, 0.0], [1.0, 1.0]])[:, :, None, None]
    x = torch.tensor([[0.2, 0.0]])[:, :, None, None].requires_grad_()
    entropy(x, past).backward()
    torch.testing.assert_close(x.grad.flatten(), torch.tensor([5.0, 0.0]), rtol=1e-4, atol=1e-6)
    same = past[:1].clone().requires_grad_()
    entropy(same, past).backward()
    assert same.grad.isfinite().all()


def test_pairs_have_the_least_total_squared_distance(rng):
    a, b = torch.rand(5, 3, 2, 2, generator=rng), torch.rand(5, 3, 2, 2, generator=rng)

    def cost(order):
        return float((a - b[list(order)]).square().sum())

    best = min(cost(order) for order in itertools.permutations(range(5)))
    paired = pair_by_transport(a, b)
    assert float((a - paired).square().sum()) == pytest.approx(best, rel=1e-5)


def test_decay_of_the_target():
    t = torch.tensor([0.0, 0.7, 0.85, 1.0])
    torch.testing.assert_close(decay(t, 0.7), torch.tensor([1.0, 1.0, 0.5, 0.0]))
    assert torch.equal(decay(t, 1.0), torch.ones(4))


def test_matching_loss_is_zero_for_the_energy_it_asks_for(rng):
    # With decay from t = 0 the target at x_t is (1 - t)(data - source) = data - x_t: that of a quadratic bowl.
    data = torch.full((4, 3, 8, 8), 0.5)
    source, t = torch.rand(4, 3, 8, 8, generator=rng), torch.rand(4, generator=rng)
    x_t, descent = straight_path(source, data, t, 0.0)
    grad = energy_and_grad(Quadratic(precision=0.01), x_t).grad
    assert matching_loss(grad, descent, reach=100.0) < 1e-12
    assert matching_loss(grad, descent, reach=50.0) > 1e-3
    assert matching_loss(grad, straight_path(source, data, t, 1.0)[1], reach=100.0) > 1e-3


def test_matching_loss_trains_the_parameters(net, x):
    x_t, descent = straight_path(x, x.flip(0), torch.tensor([0.2, 0.8], dtype=torch.float64), 0.7)
    grad = energy_and_grad(net, x_t.requires_grad_(), create_graph=True).grad
    loss = matching_loss(grad, descent, reach=10.0)
    assert sum(float(g.abs().sum()) for g in gradient(net, loss).values()) > 0


def test_label_contrast_is_minus_the_log_posterior_of_the_true_pairing():
    energy = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    swapped = torch.tensor([0.3, 0.1, 0.6, 0.2], dtype=torch.float64)
    mates = torch.tensor([1, 0, 3, 2])
    both = torch.tensor([[0.1 + 0.2, 0.3 + 0.1], [0.3 + 0.4, 0.6 + 0.2]], dtype=torch.float64)
    expected = torch.nn.functional.cross_entropy(-7.0 * both, torch.zeros(2, dtype=torch.long))
    loss = label_contrast(energy, swapped, mates, torch.ones(4), 7.0)
    torch.testing.assert_close(loss, expected)
    first = label_contrast(energy, swapped, mates, torch.tensor([1.0, 1.0, 0.0, 0.0]), 7.0)
    torch.testing.assert_close(first, label_contrast(energy[:2], swapped[:2], mates[:2], torch.ones(2), 7.0))
    assert label_contrast(energy, swapped, mates, torch.zeros(4), 7.0) == 0
    # What a label adds to every picture's energy is no matter: here 5 to the first label and 9 to the second.
    moved = label_contrast(
        energy[:2] + torch.tensor([5.0, 9.0]), swapped[:2] + torch.tensor([9.0, 5.0]), mates[:2], torch.ones(2), 7.0
    )
    torch.testing.assert_close(moved, first)


def test_mates_have_each_other_and_are_neighbours_in_time():
    t = torch.tensor([0.9, 0.1, 0.5, 0.2, 0.6, 0.95, 1.0])
    assert mates_by_time(t).tolist() == [5, 3, 4, 1, 2, 0, 6]
    assert mates_by_time(t[:2]).tolist() == [1, 0]
