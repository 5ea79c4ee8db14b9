"""The score without a model, on pictures whose statistics are known."""

import pytest
import torch

from ebm_core.pixel_statistics import NAMES, PixelStatistics, pixel_statistics


def test_the_six_statistics_are_exact():
    stripes = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    stripes[..., 1::2] = 128  # grey columns: half of all, each next to a dark one
    red = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    red[:, 0, :2] = 192  # the upper half
    half = 0.5 / 256
    expected = [[0.25 + half, 0.25, 0.0, 0.0, 0.5, 0.0], [0.125 + half, 0.125, 0.375, 0.375, 0.0, 0.25 / 3]]
    torch.testing.assert_close(pixel_statistics(torch.cat([stripes, red])), torch.tensor(expected, dtype=torch.float64))
    assert len(NAMES) == 6


def test_the_score_is_the_distance_in_standard_deviations(rng):
    values = torch.randint(256, (500, 3, 6, 6), generator=rng, dtype=torch.uint8)
    held_out = PixelStatistics.fit(values)
    of = pixel_statistics(values)
    apart = of - of.mean(dim=0)
    expected = (apart @ torch.linalg.inv(of.T.cov()) * apart).sum(dim=1).sqrt()
    torch.testing.assert_close(held_out.score(values), expected, rtol=1e-4, atol=1e-4)
    # The mean squared distance of a set to itself is its number of dimensions.
    assert held_out.score(values).square().mean() == pytest.approx(6 * 499 / 500, rel=1e-3)
    flat = torch.full((1, 3, 6, 6), 128, dtype=torch.uint8)
    assert held_out.score(flat) > held_out.score(values).max()


def test_statistics_that_never_vary_divide_by_no_zero(rng):
    grey = torch.randint(256, (20, 1, 6, 6), generator=rng, dtype=torch.uint8)
    assert PixelStatistics.fit(grey).score(grey).isfinite().all()
    same = grey[:1].expand(5, -1, -1, -1)
    assert PixelStatistics.fit(same).score(same).tolist() == [0.0] * 5


def test_one_picture_is_too_few():
    with pytest.raises(ValueError, match="two held-out pictures or more, got 1"):
        PixelStatistics.fit(torch.zeros(1, 3, 4, 4, dtype=torch.uint8))
