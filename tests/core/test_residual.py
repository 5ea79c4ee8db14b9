"""The residual of the way back from noise, against what is worked out by hand."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from ebm_core.residual import NUM_NOISES, SEED, SHARES, Residual, slopes
from tests.conftest import PIXELS, Quadratic


@pytest.fixture
def known(rng):
    """Slopes of forty pictures, whose squares and products are those of real vectors."""
    g, d = torch.randn(2, 40, 4, 6, generator=rng, dtype=torch.float64)
    d = d - 2 * g
    return torch.stack([(g * g).mean(2), (d * d).mean(2), (g * d).mean(2)], dim=2), g, d


def test_slopes_of_a_quadratic_energy(rng):
    x = torch.rand(3, 3, 8, 8, generator=rng)
    measured = slopes(Quadratic(precision=4.0, centre=0.25), x, PIXELS)
    noises = PIXELS.noise(NUM_NOISES, torch.Generator().manual_seed(SEED))
    for number, t in enumerate(SHARES):
        ways = x[:, None] - noises
        grads = 4 * (t * x[:, None] + (1 - t) * noises - 0.25)
        expected = [(a * b).flatten(1).mean(1) for a, b in ((grads, grads), (ways, ways), (grads, ways))]
        torch.testing.assert_close(measured[:, number], torch.stack(expected, dim=1))


def test_reaches_are_the_best_on_held_out_pictures(known):
    measured, g, d = known
    for number, reach in enumerate(Residual.fit(measured).reaches):
        best = np.linalg.lstsq(g[:, number].flatten()[:, None].numpy(), -d[:, number].flatten().numpy(), rcond=None)
        assert reach == pytest.approx(float(best[0][0]))


def test_held_out_pictures_are_as_far_apart_as_their_own_spread_says(known):
    measured, g, d = known
    residual = Residual.fit(measured)
    assert float(residual(measured).mean()) == pytest.approx(4 * 39 / 40, rel=1e-4)  # of any Gaussian fit
    left = (d + torch.tensor(residual.reaches)[:, None] * g).square().mean(2).log()
    apart = left[0] - left.mean(0)
    assert float(residual(measured)[0]) == pytest.approx(float(apart @ torch.cov(left.T).inverse() @ apart), rel=1e-4)


def test_pictures_all_alike_have_a_residual(known):
    alike = known[0][:1].expand(5, -1, -1)
    assert torch.isfinite(Residual.fit(alike)(alike)).all()


def test_it_survives_json_and_what_is_none_is_refused(known):
    residual = Residual.fit(known[0])
    assert Residual.from_plain(json.loads(json.dumps(residual.to_plain()))) == residual
    for broken in (replace(residual, mean=(0.0,)), replace(residual, reaches=(math.nan,) * 4)):
        with pytest.raises(ValueError, match="4 by 4 finite numbers"):
            Residual.from_plain(broken.to_plain())
