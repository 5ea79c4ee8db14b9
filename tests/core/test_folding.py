"""The network for sampling has the energies and gradients of the one that was trained."""

from dataclasses import replace

import pytest
import torch

from ebm_core.energy import energy_and_grad
from ebm_core.nets import EnergyNetwork
from ebm_core.nets.folding import folded, refold
from tests.conftest import TINY


def network(**fields):
    torch.manual_seed(0)
    net = EnergyNetwork(replace(TINY, **fields))
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return net.eval()


@pytest.mark.parametrize("conv", ["standardised", "spectral", "plain"])
@pytest.mark.parametrize("norm", ["reference", "none"])
def test_energies_and_gradients_stay(conv, norm):
    attention = "cosine" if norm == "none" else "dot"
    net, x = network(conv=conv, norm=norm, attention_kind=attention), torch.rand(4, 3, 8, 8)
    fast = folded(net)
    for plain, quick in zip(energy_and_grad(net, x), energy_and_grad(fast, x), strict=True):
        torch.testing.assert_close(quick, plain, rtol=1e-5, atol=1e-6)
    names = {type(m).__name__ for m in fast.modules() if isinstance(m, torch.nn.Conv2d)}
    assert names <= {"Conv2d", "PlainConv2d"}


def test_the_copy_is_frozen_and_independent():
    net, x = network(), torch.rand(2, 3, 8, 8)
    fast = folded(net)
    assert not any(p.requires_grad for p in fast.parameters())
    assert all(p.requires_grad for p in net.parameters())
    before = fast(x)
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(2)
    assert torch.equal(fast(x), before)


@pytest.mark.parametrize("conv", ["standardised", "spectral", "plain"])
def test_refolding_follows_the_network_in_place(conv):
    net, x = network(conv=conv, label_dim=2), torch.rand(2, 3, 8, 8)
    y = torch.eye(2)
    fast = folded(net)
    addresses = [p.data_ptr() for p in fast.parameters()]
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1 * torch.randn_like(p))
    assert not torch.allclose(fast(x, y), net(x, y))
    refold(fast, net)
    torch.testing.assert_close(fast(x, y), net(x, y), rtol=1e-5, atol=1e-6)
    assert [p.data_ptr() for p in fast.parameters()] == addresses
