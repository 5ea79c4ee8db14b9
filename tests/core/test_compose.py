"""Compositions of Gaussians, whose products, mixtures and complements are known."""

import pytest
import torch

from ebm_core.compose import Conditioned, Mixture, Product, Through, conditioned, product_weights
from ebm_core.energy import energy_and_grad
from ebm_core.langevin import LangevinConfig, drain, langevin_chain
from ebm_core.nets import EnergyNetwork
from ebm_core.space import free, pixels
from tests.conftest import Quadratic, conditional_tiny
from tests.latents import random_codec

X = torch.rand(5, 1, 2, 2, generator=torch.Generator().manual_seed(1))


def test_a_product_of_gaussians_is_their_product():
    """Precisions add, and the centre is the mean weighted by them."""
    product = Product([Quadratic(2.0, 0.2), Quadratic(6.0, 0.6)], [1.0, 0.5])
    precision = 2.0 + 0.5 * 6.0
    centre = (2.0 * 0.2 + 0.5 * 6.0 * 0.6) / precision
    expected = Quadratic(precision, centre)
    difference = product(X) - expected(X)
    torch.testing.assert_close(difference, difference[:1].expand(5))  # equal up to a constant
    torch.testing.assert_close(energy_and_grad(product, X).grad, energy_and_grad(expected, X).grad)


def test_an_energy_through_a_linear_map_is_the_gaussian_of_its_preimage():
    """x -> 2 x + 1 under precision 3 and centre c: precision 12, centre (c - 1) / 2."""
    mapped, expected = Through(Quadratic(3.0, 1.5), lambda x: 2 * x + 1), Quadratic(12.0, 0.25)
    torch.testing.assert_close(mapped(X), expected(X))
    torch.testing.assert_close(energy_and_grad(mapped, X).grad, energy_and_grad(expected, X).grad)
    both = Product([mapped, expected], [0.5, 0.5])  # as a term beside others
    torch.testing.assert_close(energy_and_grad(both, X).grad, energy_and_grad(expected, X).grad)


def test_an_energy_of_pixels_steers_latents_through_a_codec():
    codec = random_codec()
    z = torch.randn(2, *codec.config.latent_shape, generator=torch.Generator().manual_seed(0))
    result = energy_and_grad(Through(Quadratic(1.0, 0.5), codec.decode), z)
    assert result.grad.shape == z.shape
    lower = z - 1e-2 * result.grad
    assert bool((Quadratic(1.0, 0.5)(codec.decode(lower)) < result.energy).all())


def test_the_product_rule_gives_the_posterior_of_two_observations():
    """p(x) Gaussian, a and b noisy sights of x: p(x | a, b) from p(x), p(x | a) and p(x | b) alone."""
    prior, sight_a, sight_b = Quadratic(2.0, 0.5), (3.0, 0.1), (5.0, 0.8)

    def posterior(*sights):
        precision = prior.precision + sum(p for p, _ in sights)
        return Quadratic(precision, (prior.precision * prior.centre + sum(p * c for p, c in sights)) / precision)

    weights = product_weights([1.0, 1.0])
    composed = Product([posterior(sight_a), posterior(sight_b), prior], weights)
    assert sum(weights) == 1
    exact = posterior(sight_a, sight_b)
    torch.testing.assert_close(energy_and_grad(composed, X).grad, energy_and_grad(exact, X).grad)


def test_chains_on_a_product_have_its_moments(rng):
    step_size, noise_std = 0.05, 0.1
    product = Product([Quadratic(2.0, 0.2), Quadratic(6.0, 0.6)], [1.0, 0.5])
    x = torch.rand(20_000, 1, 1, 1, generator=rng)
    x = drain(langevin_chain(product, x, LangevinConfig(200, step_size, noise_std), rng, free))
    a = step_size * 5.0
    assert x.mean() == pytest.approx(0.44, abs=0.005)
    assert x.var() == pytest.approx(noise_std**2 / (1 - (1 - a) ** 2), rel=0.04)  # exact for this recursion


def test_terms_of_a_product_are_its_parts():
    result = energy_and_grad(Product([Quadratic(2.0), Quadratic(6.0, 0.1)], [1.0, -0.25]), X)
    torch.testing.assert_close(result.scale_energies[:, 1], -0.25 * Quadratic(6.0, 0.1)(X))
    torch.testing.assert_close(result.scale_energies.sum(1), result.energy)


def test_not_moves_the_centre_away():
    """exp(-E1 + E2 / 3) of Gaussians: precision p1 - p2 / 3, centre pushed beyond the first's."""
    product = Product([Quadratic(3.0, 0.5), Quadratic(3.0, 0.2)], [1.0, -1 / 3])
    grad_at_centre = energy_and_grad(product, torch.full((1, 1, 1, 1), (3 * 0.5 - 0.2) / 2)).grad
    torch.testing.assert_close(grad_at_centre, torch.zeros(1, 1, 1, 1), atol=1e-6, rtol=0)


def test_a_mixture_is_the_sum_of_densities():
    mixture = Mixture([Quadratic(50.0, 0.2), Quadratic(50.0, 0.8)], 1.0)
    density = torch.exp(-Quadratic(50.0, 0.2)(X)) + torch.exp(-Quadratic(50.0, 0.8)(X))
    torch.testing.assert_close(mixture(X), -density.log())


def test_a_sharp_mixture_is_the_lowest_energy():
    terms = [Quadratic(5.0, 0.2), Quadratic(5.0, 0.8)]
    lowest = torch.stack([term(X) for term in terms]).amin(0)
    torch.testing.assert_close(Mixture(terms, 1e4)(X), lowest, atol=1e-4, rtol=0)


def test_chains_on_a_mixture_find_both_centres(rng):
    mixture = Mixture([Quadratic(50.0, 0.2), Quadratic(50.0, 0.8)], 4.0)
    x = torch.rand(2000, 1, 1, 1, generator=rng)
    x = drain(langevin_chain(mixture, x, LangevinConfig(300, 0.01, 0.01), rng, pixels(1, 1).keep))
    near = torch.minimum((x - 0.2).abs(), (x - 0.8).abs())
    assert near.max() < 0.12
    assert (x < 0.5).float().mean() == pytest.approx(0.5, abs=0.05)


def test_they_nest():
    inner = Mixture([Quadratic(2.0, 0.1), Quadratic(2.0, 0.9)], 3.0)
    outer = Product([inner, Quadratic(1.0)], [0.5, 2.0])
    torch.testing.assert_close(outer(X), 0.5 * inner(X) + 2.0 * Quadratic(1.0)(X))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([], "nothing is asked for"),
        ([-1.0], "cannot stand alone"),
        ([0.0, -0.1], "cannot stand alone"),
        ([1.0, -1.0], "they must weigh less"),
        ([1.0, -0.6, -0.6], "they must weigh less"),
        ([1.0, -0.95], "they must weigh less"),
    ],
)
def test_weights_that_make_no_distribution_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        Product([Quadratic()] * len(weights), weights)


def test_an_or_of_one_is_refused():
    with pytest.raises(ValueError, match="two terms or more, got 1"):
        Mixture([Quadratic()], 1.0)
    with pytest.raises(ValueError, match="must be positive"):
        Mixture([Quadratic(), Quadratic()], 0.0)


def test_conditions_are_labels(tiny_net):
    net = conditional_tiny()
    x, y = torch.rand(3, 3, 8, 8), torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    torch.testing.assert_close(Conditioned(net, y)(x), net(x, y))
    torch.testing.assert_close(Conditioned(net, y[1])(x), net(x, y[1].expand(3, 2)))
    assert not torch.allclose(Conditioned(net, y[1])(x), Conditioned(net, y[0])(x))
    assert isinstance(conditioned(tiny_net, None), EnergyNetwork)
