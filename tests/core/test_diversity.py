"""The mean distance between chains, against distances known by hand."""

import pytest
import torch

from ebm_core.diversity import mean_pairwise_distance


def test_distances_are_root_mean_squares_over_pixels_and_means_over_pairs():
    x = torch.zeros(3, 3, 4, 4)
    x[1] = 0.5
    x[2, 0] = 1.0  # one of three channels
    expected = (0.5 + (1 / 3) ** 0.5 + ((0.25 + 0.25 + 0.25) / 3) ** 0.5) / 3
    assert float(mean_pairwise_distance(x)) == pytest.approx(expected, rel=1e-6)


def test_equal_chains_have_no_distance_whatever_the_size():
    assert float(mean_pairwise_distance(torch.rand(1, 3, 8, 8).repeat(5, 1, 1, 1))) == 0


def test_independent_noise_has_the_known_distance(rng):
    # The difference of two uniform pixels has the variance 1/6.
    x = torch.rand(8, 3, 64, 64, generator=rng)
    assert float(mean_pairwise_distance(x)) == pytest.approx(6**-0.5, rel=0.01)


def test_one_chain_has_no_distance():
    with pytest.raises(ValueError, match="two of them or more, got 1"):
        mean_pairwise_distance(torch.rand(1, 3, 8, 8))
