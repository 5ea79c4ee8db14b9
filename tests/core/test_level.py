"""Labels on one level: where chains start, and inside an OR where they end."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from ebm_core import level
from ebm_core.composition import And, Composition, CompositionError, Or, Term, energy_of_each
from ebm_core.energy import LABEL_TEMPERATURE, energy_and_grad
from ebm_core.langevin import LangevinConfig
from ebm_core.level import Levelled, Reference, fixed_noise
from ebm_core.nets import NetConfig
from tests.conftest import PIXELS, conditional_tiny

A, B = (1.0, 0.0), (0.0, 1.0)


class Wells(nn.Module):
    """``E(x) = |x - 1|^2 / 100``; with labels ``offset(y) + depth(y) times that`` for valleys at 1."""

    def __init__(self, offsets=(), depths=(1.0,)):
        super().__init__()
        self.config = NetConfig(image_size=8, layouts=("1",), label_dim=len(offsets))
        self.offsets, self.depths = nn.Parameter(torch.tensor(offsets)), nn.Parameter(torch.tensor(depths))
        self.requires_grad_(False)

    def scale_energies(self, x, y=None):
        way = (x - 1).square().flatten(1).sum(1, keepdim=True) / 100
        return way * self.depths if y is None else (y @ self.offsets)[:, None] + (y @ self.depths)[:, None] * way

    def forward(self, x, y=None):
        return self.scale_energies(x, y).sum(dim=1)


DOWN = LangevinConfig(steps=50, step_size=5.0, noise_std=0.0)


def test_constants_of_labels_are_taken_away():
    base, net, x = Wells(), Wells((0.3, -0.2), (1.0, 1.0)), torch.rand(3, 3, 8, 8)
    for label in (A, B):
        levelled = Levelled(net, torch.tensor(label), Reference(base, DOWN, PIXELS), PIXELS, follows=False)
        torch.testing.assert_close(levelled(x), base(x))
        alone = Levelled(net, torch.tensor(label), None, PIXELS, follows=False)
        torch.testing.assert_close(alone(fixed_noise(PIXELS, net)).mean(), torch.zeros(()), atol=1e-6, rtol=0)


def test_in_an_or_a_shallow_valley_is_as_deep_as_the_familys():
    base, net, x = Wells(), Wells((0.3, -0.2), (0.9, 0.95)), torch.rand(3, 3, 8, 8)
    for label in (A, B):
        levelled = Levelled(net, torch.tensor(label), Reference(base, DOWN, PIXELS), PIXELS, follows=True)
        torch.testing.assert_close(levelled(x), base(x), atol=1e-4, rtol=0)
        torch.testing.assert_close(levelled(fixed_noise(PIXELS, net)).mean(), base(fixed_noise(PIXELS, net)).mean())


def test_what_is_left_of_the_way_is_a_free_energy(monkeypatch):
    """Of two equally frequent kinds of pictures a label fits one: what is left of its way is T log 2."""
    base, net = Wells(), Wells((0.0,), (1.0,))
    half = torch.arange(level.NUM_PICTURES) < level.NUM_PICTURES // 2
    plain = net.scale_energies

    def other(x, y=None):
        unfit = half if bool((x.flatten(1).std(1) < 0.1).all()) else torch.zeros_like(half)
        return plain(x, y) + torch.where(unfit, 100 * LABEL_TEMPERATURE, 0.0)[:, None]

    monkeypatch.setattr(net, "scale_energies", other)
    reference = Reference(base, replace(DOWN, steps=12), PIXELS)  # at the last height alone pictures are that even
    levelled = Levelled(net, torch.ones(1), reference, PIXELS, follows=True)
    shifts = levelled.curve[1][0]
    torch.testing.assert_close(shifts[:-1], torch.zeros(level.HEIGHTS), atol=1e-6, rtol=0)
    assert float(shifts[-1]) == pytest.approx(-LABEL_TEMPERATURE * math.log(2), rel=1e-3)


class Bent(Wells):
    """Labels whose valley is 5 % too gentle above half of the way and 5 % too steep below."""

    def scale_energies(self, x, y=None):
        way = super().scale_energies(x)
        return way if y is None else way + 0.05 * torch.where(way > 0.3, 0.3 - way, way - 0.3)


def test_a_label_that_parts_from_its_family_on_the_way_is_followed():
    base, bent = Wells(), Bent((0.0,), (1.0,))
    reference = Reference(base, LangevinConfig(steps=80, step_size=0.5, noise_std=0.0), PIXELS)
    straight, follows = (Levelled(bent, torch.ones(1), reference, PIXELS, follows=f) for f in (False, True))
    errors = [max(float((e(x) - family).abs().max()) for x, family in reference.way) for e in (straight, follows)]
    assert errors[0] > 0.01
    assert errors[1] < errors[0] / 5  # its bend lies between two heights
    x = reference.way[2][0].requires_grad_()  # the level acts on gradients too
    assert float((energy_and_grad(follows, x).grad - energy_and_grad(base, x).grad).norm()) < 0.06 * float(
        energy_and_grad(base, x).grad.norm()
    )


def test_a_plan_that_is_tuned_to_walk_longer_changes_no_level():
    config = LangevinConfig(steps=60, step_size=100.0, noise_std=0.01)
    ways = [Reference(Wells(), replace(config, steps=s), PIXELS).way for s in (config.steps, 3 * config.steps)]
    assert len(ways[0]) == level.HEIGHTS + 1
    torch.testing.assert_close(ways[0], ways[1], atol=0, rtol=0)


def test_one_of_longer_steps_is_levelled_at_the_same_heights():
    slow = LangevinConfig(steps=240, step_size=0.5, noise_std=0.0)
    space = replace(PIXELS, reach=0.5 * 240)
    ways = [Reference(Wells(), c, space).way for c in (slow, replace(slow, steps=100, step_size=2.0))]
    heights = [torch.stack([energies.mean() for _, energies in way]) for way in ways]
    torch.testing.assert_close(heights[0], heights[1], atol=0.02 * float(heights[0][0]), rtol=0)


def test_an_or_of_terms_that_differ_by_a_constant_is_fair():
    nets, x = {"m": Wells((0.3, -0.2), (1.0, 1.0))}, torch.rand(3, 3, 8, 8)
    either = Composition(Or((Term("m", A), Term("m", B)), 1000.0))
    either = either.energy(nets, Reference(Wells(), DOWN, PIXELS), PIXELS)
    weights = torch.stack([energy(x) for energy in either.energies]).mul(-1000).softmax(0)
    torch.testing.assert_close(weights, torch.full((2, 3), 0.5), atol=0.02, rtol=0)


def test_each_picture_of_a_batch_may_have_labels_of_its_own():
    nets, x = {"m": conditional_tiny()}, torch.rand(2, 3, 8, 8)
    both = [Composition(And((Or((Term("m", y), Term("m", (0.5, 0.5)))),), (1.0,))) for y in (A, B)]
    one_by_one = torch.cat([c.energy(nets, None, PIXELS)(x[i : i + 1]) for i, c in enumerate(both)])
    torch.testing.assert_close(energy_of_each(both, nets, None, PIXELS)(x), one_by_one)
    with pytest.raises(CompositionError, match="one and the same form"):
        energy_of_each([both[0], Composition(Term("m", A))], nets, None, PIXELS)
