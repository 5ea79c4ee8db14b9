"""The precision follows from the device alone, never from time; the layout changes no energy."""

import threading

import pytest
import torch

from ebm_core import precision
from ebm_core.device import has_bf16
from ebm_core.energy import energy_and_grad
from ebm_core.nets import EnergyNetwork, NetConfig
from ebm_core.nets.folding import folded
from ebm_core.precision import for_sampling, in_precision, is_available, precision_of, sampling_precision

NEEDS_BF16 = pytest.mark.skipif(not has_bf16("cpu"), reason="this processor has no bfloat16 instructions")


@pytest.mark.parametrize("has", [True, False])
def test_the_rule_is_the_device(has, tiny_net, monkeypatch):
    monkeypatch.setattr(precision, "has_bf16", lambda device: has)
    chosen = "bfloat16" if has else "float32"
    assert sampling_precision("cpu") == precision_of(for_sampling(tiny_net)) == chosen
    assert is_available("float32", "cpu")
    assert is_available("bfloat16", "cpu") == has


def test_no_clock_is_read(tiny_net, monkeypatch):
    def read():
        raise AssertionError("a precision was chosen by a stopwatch")

    for clock in ("perf_counter", "monotonic", "process_time", "time"):
        monkeypatch.setattr(f"time.{clock}", read)
    for_sampling(tiny_net)


def test_another_precision_shares_the_weights(tiny_net):
    fast = for_sampling(tiny_net, "float32")
    other = in_precision(fast, "bfloat16")
    assert (precision_of(fast), precision_of(other)) == ("float32", "bfloat16")
    assert next(other.parameters()) is next(fast.parameters())


@NEEDS_BF16
@pytest.mark.parametrize("norm", ["reference", "none"])
def test_the_energy_error_is_small(norm):
    torch.manual_seed(0)
    net = EnergyNetwork(NetConfig(width=8, layouts=("1 1d 1 2d 2 4d", "1 2d"), norm=norm))
    x = torch.rand(4, 3, 32, 32)
    exact, rough = (for_sampling(net, name)(x) for name in ("float32", "bfloat16"))
    error = float((rough - exact).abs().max() / exact.abs().max())
    assert 0 < error < 0.02  # bfloat16 keeps eight bits: 0.4 % for each number


@pytest.mark.parametrize("name", ["float32", pytest.param("bfloat16", marks=NEEDS_BF16)])
def test_without_norms_neither_threads_nor_load_change_a_byte(name):
    torch.manual_seed(0)
    net = for_sampling(EnergyNetwork(NetConfig(16, width=16, layouts=("1 2d attn", "1 2d"), norm="none")), name)
    x, over = torch.rand(3, 3, 16, 16), threading.Event()

    def burn():
        torch.set_num_threads(1)
        while not over.is_set():
            torch.rand(64, 64) @ torch.rand(64, 64)

    first = energy_and_grad(net, x).grad
    threads, load = torch.get_num_threads(), threading.Thread(target=burn)
    try:
        for num in (1, 2, 3):
            torch.set_num_threads(num)
            assert torch.equal(energy_and_grad(net, x).grad, first)
        load.start()
        assert all(torch.equal(energy_and_grad(net, x).grad, first) for _ in range(20))
    finally:
        over.set()
        load.join()
        torch.set_num_threads(threads)


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
