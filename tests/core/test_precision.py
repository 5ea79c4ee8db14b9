"""bfloat16 is chosen by measurement, and costs a bounded energy error."""

import pytest
import torch

from ebm_core import precision
from ebm_core.device import has_bf16
from ebm_core.energy import energy_and_grad
from ebm_core.nets import EnergyNetwork, NetConfig
from ebm_core.nets.folding import folded
from tests.conftest import TINY

NEEDS_BF16 = pytest.mark.skipif(not has_bf16("cpu"), reason="this processor has no bfloat16 instructions")


@pytest.mark.parametrize(("seconds", "bf16", "chosen"), [(1.0, 0.5, True), (1.0, 0.95, False), (1.0, 2.0, False)])
def test_the_faster_is_chosen(seconds, bf16, chosen, monkeypatch):
    net = EnergyNetwork(TINY)
    monkeypatch.setattr(precision, "has_bf16", lambda device: True)
    monkeypatch.setattr(
        precision, "_measure", lambda net, x, n: (bf16 if net.bf16 else seconds, torch.full((2,), 2.0 + net.bf16))
    )
    result = precision.choose_precision(net, torch.rand(2, 3, 8, 8))
    assert net.bf16 == result.bf16 == chosen
    assert result.speedup == pytest.approx(seconds / bf16)
    assert result.energy_error == pytest.approx(0.5)


def test_without_the_instructions_it_is_not_tried(monkeypatch):
    net = EnergyNetwork(TINY)
    net.bf16 = True
    monkeypatch.setattr(precision, "has_bf16", lambda device: False)
    assert precision.choose_precision(net, torch.rand(2, 3, 8, 8)) == (False, 0.0, 0.0)
    assert not net.bf16


@NEEDS_BF16
@pytest.mark.parametrize("norm", ["reference", "none"])
def test_the_energy_error_is_small(norm):
    torch.manual_seed(0)
    net = EnergyNetwork(NetConfig(width=8, layouts=("1 1d 1 2d 2 4d", "1 2d"), norm=norm))
    error = precision.choose_precision(folded(net), torch.rand(4, 3, 32, 32), repeats=1).energy_error
    assert 0 < error < 0.02  # bfloat16 keeps eight bits: 0.4 % for each number


@pytest.mark.parametrize(("norm", "changed"), [("none", True), ("reference", False)])
def test_the_memory_layout_follows_the_norm_and_changes_no_energy(norm, changed):
    torch.manual_seed(0)
    net = EnergyNetwork(NetConfig(width=8, layouts=("1 1d attn 1 2d 2 4d", "1 2d"), norm=norm))
    fast, x = precision.channels_last(folded(net)), torch.rand(4, 3, 32, 32)
    weight = fast.scales[0].layers[0].convs[0].weight
    assert weight.is_contiguous(memory_format=torch.channels_last) == changed
    one, other = energy_and_grad(net, x), energy_and_grad(fast, x)
    torch.testing.assert_close(other.energy, one.energy, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(other.grad, one.grad, rtol=1e-4, atol=1e-8)
