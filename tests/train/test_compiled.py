"""Compiled training gradients are the plain ones."""

from dataclasses import replace

import pytest
import torch

from ebm_core.energy import energy_and_grad
from ebm_core.nets import EnergyNetwork, NetConfig
from ebm_core.nets.folding import folded
from tests.train.conftest import CONFIG
from train import compiled
from train.trainer import Trainer

SMALLEST = NetConfig(image_size=4, width=2, layouts=("1",), norm="none", label_dim=2)


@pytest.fixture
def eager(monkeypatch):
    """Traced and differentiated as ever, but without generated code: that takes a C++ compiler and minutes."""
    original = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function: original(function, backend="aot_eager"))


def test_traced_gradients_are_the_plain_ones_to_second_order(eager, rng):
    torch.manual_seed(0)
    net = EnergyNetwork(SMALLEST)
    x, y = torch.rand(3, 3, 4, 4, generator=rng), torch.randn(3, 2, generator=rng)
    results = []
    for compile in (False, True):
        at = energy_and_grad(compiled.energy_of_labels(net, compile=compile)(y), x, create_graph=True)
        loss = (at.grad.square().sum() + at.energy.sum()).square()
        grads = torch.autograd.grad(loss, list(net.parameters()), allow_unused=True, materialize_grads=True)
        results.append((at.energy.detach(), at.grad.detach(), *grads))
    for plain, fast in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-4, atol=1e-5 * max(1.0, float(plain.abs().max())))


def test_a_loss_of_several_terms_is_measured_and_then_descended(eager, rng):
    """What a measured step does, whose batches of matching and of chains differ in size."""
    net = EnergyNetwork(SMALLEST)
    energy_of = compiled.energy_of_labels(net, compile=True)
    for size in (3, 2):
        at = energy_and_grad(
            energy_of(torch.ones(size, 2)), torch.rand(size, 3, 4, 4, generator=rng), create_graph=True
        )
        terms = at.grad.square().sum(), at.energy.sum()
        for term in terms:
            torch.autograd.grad(term, list(net.parameters()), retain_graph=True, allow_unused=True)
        sum(terms).backward()


@pytest.fixture
def traced(monkeypatch):
    """The functions that were given to torch.compile, which here leaves them as they are."""
    functions = []
    monkeypatch.setattr(torch, "compile", lambda function: functions.append(function) or function)
    return functions


def test_a_chain_reads_the_weights_where_they_lie(traced, rng):
    x, y = torch.rand(2, 3, 4, 4, generator=rng), torch.ones(2, 2)
    net = folded(EnergyNetwork(SMALLEST))
    energy = compiled.compiled_chain(net, y)
    before = energy_and_grad(energy, x)
    with torch.no_grad():
        net.scales[0].head.weight.mul_(2)
    after = energy_and_grad(energy, x)
    torch.testing.assert_close(after.grad, 2 * before.grad)
    torch.testing.assert_close(after.energy, energy(x))
    assert not after.energy.requires_grad


def test_without_a_compiler_there_is_a_sentence(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ValueError, match=r"needs a C\+\+ compiler; install g\+\+, or leave it out"):
        compiled.energy_of_labels(EnergyNetwork(SMALLEST), compile=True)


def test_a_run_that_asks_for_it_is_compiled_and_learns_the_same(traced, data):
    losses = []
    for wanted in (False, True):
        trainer = Trainer(replace(CONFIG, compile=wanted), data, "cpu")
        assert len(traced) == int(wanted)
        losses.append(torch.stack([trainer.step()["matching"] for _ in range(3)]))
    assert len(traced) == 2  # the loss and the chain
    torch.testing.assert_close(*losses, rtol=1e-3, atol=0)  # Adam makes large steps of tiny differences
