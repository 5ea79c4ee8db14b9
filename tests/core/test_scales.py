"""A resolution that says nothing is found, and the configured rates leave none so."""

from dataclasses import replace

import pytest
import torch

from ebm_core.nets import EnergyNetwork
from ebm_core.nets.scales import dead_scales, describe_dead, scale_spreads
from tests.conftest import TINY


def test_a_scale_whose_silu_is_closed_is_dead(rng):
    torch.manual_seed(0)
    net = EnergyNetwork(replace(TINY, norm="none", layouts=("1 1d 1", "1 1d 1")))
    x = torch.rand(8, 3, 8, 8, generator=rng)
    assert dead_scales(net, x) == []
    net.scales[1].layers[2].conv.bias.data.fill_(-1e4)
    assert scale_spreads(net, x)[1] == 0
    assert dead_scales(net, x) == [1]
    assert "the half resolution gives every picture the same energy" in describe_dead([1])


@pytest.mark.parametrize("shift", [-1e4, 1e4])
def test_no_shift_closes_a_linear_trunk(shift, rng):
    torch.manual_seed(0)
    net = EnergyNetwork(replace(TINY, norm="none", trunk="linear", layouts=("1 1d 1", "1 1d 1"))).double()
    for scale in net.scales:
        scale.layers[2].conv.bias.data.fill_(shift)
    assert dead_scales(net, torch.rand(8, 3, 8, 8, generator=rng, dtype=torch.float64)) == []


@pytest.mark.parametrize(("scales", "names"), [([0], "full"), ([1, 2], "half and quarter"), ([5], "1/32")])
def test_scales_are_named_by_their_resolution(scales, names):
    assert f"the {names} resolution" in describe_dead(scales)
