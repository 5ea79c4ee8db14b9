"""A resolution or an attention that says nothing is found, and the configured rates leave none so."""

from dataclasses import replace

import pytest
import torch

from ebm_core.nets import EnergyNetwork
from ebm_core.nets.liveness import (
    attention_shares,
    dead_scales,
    describe_dead_attention,
    describe_dead_scales,
    scale_spreads,
)
from tests.conftest import TINY


def test_a_scale_whose_silu_is_closed_is_dead(rng):
    torch.manual_seed(0)
    net = EnergyNetwork(replace(TINY, norm="none", layouts=("1 1d 1", "1 1d 1")))
    x = torch.rand(8, 3, 8, 8, generator=rng)
    assert dead_scales(net, x) == []
    net.scales[1].layers[2].conv.bias.data.fill_(-1e4)
    assert scale_spreads(net, x)[1] == 0
    assert dead_scales(net, x) == [1]
    assert "The half resolution gives every picture the same energy" in describe_dead_scales([1])


@pytest.mark.parametrize("shift", [-1e4, 1e4])
def test_no_shift_closes_a_linear_trunk(shift, rng):
    torch.manual_seed(0)
    net = EnergyNetwork(replace(TINY, norm="none", trunk="linear", layouts=("1 1d 1", "1 1d 1"))).double()
    for scale in net.scales:
        scale.layers[2].conv.bias.data.fill_(shift)
    assert dead_scales(net, torch.rand(8, 3, 8, 8, generator=rng, dtype=torch.float64)) == []


@pytest.mark.parametrize(("scales", "names"), [([0], "full"), ([1, 2], "half and quarter"), ([5], "1/32")])
def test_scales_are_named_by_their_resolution(scales, names):
    assert f"The {names} resolution" in describe_dead_scales(scales)


def test_an_attention_adds_its_share(rng):
    torch.manual_seed(0)
    net = EnergyNetwork(replace(TINY, layouts=("1 attn 1d 1", "1 attn 1"), attention_kind="cosine"))
    x = torch.rand(8, 3, 8, 8, generator=rng)
    first = net.scales[0].layers[1]
    inputs = []
    first.register_forward_pre_hook(lambda module, args: inputs.append(args[0]))
    shares = attention_shares(net, x)
    added = first.gain.detach() * first.out(_attended(first, inputs[0]))
    assert shares[0] == pytest.approx(float((added.norm() / inputs[0].norm()).detach()), rel=1e-4)
    assert shares.shape == (2,)
    assert describe_dead_attention(shares) == ""


def _attended(attention, x):
    """Position for position, as the formula says it."""
    q, k, v = attention.qkv(x).flatten(2).chunk(3, dim=1)
    c = q.shape[1]
    q, k = (part / part.square().sum(dim=1, keepdim=True).sqrt() for part in (q, k))
    weights = (c**0.5 * torch.einsum("bci,bcj->bij", q, k)).softmax(dim=2)
    return torch.einsum("bij,bcj->bci", weights, v).reshape(x.shape)


def test_an_attention_without_gain_is_named(rng):
    torch.manual_seed(0)
    net = EnergyNetwork(replace(TINY, layouts=("1 attn 1d attn 1",), attention_kind="cosine"))
    net.scales[0].layers[1].gain.data.fill_(1e-9)
    shares = attention_shares(net, torch.rand(8, 3, 8, 8, generator=rng))
    assert describe_dead_attention(shares).startswith("1 of its 2 attentions add less")
    assert describe_dead_attention(shares[:1]).startswith("Its attention adds less")


def test_a_network_without_attention_has_no_shares(rng):
    net = EnergyNetwork(replace(TINY, attention=False))
    shares = attention_shares(net, torch.rand(2, 3, 8, 8, generator=rng))
    assert shares.shape == (0,)
    assert describe_dead_attention(shares) == ""
