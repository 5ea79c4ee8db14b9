"""Shared pieces: an energy with known answers, a tiny network, a seeded generator, a tiny data set."""

import gc
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ebm_core.nets import EnergyNetwork, NetConfig
from ebm_core.space import pixels
from train import provenance

# Tiny tensors: a second thread only waits, and waits long where other processes share the cores.
torch.set_num_threads(1)

# Python 3.11 trips over a garbage collection in the midst of parsing (gh-106905), and pytest parses every test module.
gc.disable()


def pytest_collection_finish():
    gc.enable()


class Quadratic:
    """``E(x) = precision / 2 * |x - centre|^2``, whose Langevin chains are Gaussian and exactly known."""

    def __init__(self, precision: float = 1.0, centre: float = 0.5) -> None:
        self.precision, self.centre = precision, centre

    def __call__(self, x: Tensor) -> Tensor:
        return 0.5 * self.precision * (x - self.centre).square().flatten(1).sum(1)


TINY = NetConfig(image_size=8, width=8, layouts=("2d attn 2", "1"), norm="reference", energy_scale=0.1)

PIXELS = pixels(3, 8)  # where its points live

CONDITIONAL_TINY = replace(TINY, label_dim=2)


def conditional_tiny(seed: int = 0) -> EnergyNetwork:
    """A tiny conditional network whose labels already matter."""
    torch.manual_seed(seed)
    net = EnergyNetwork(CONDITIONAL_TINY)
    for name, parameter in net.named_parameters():
        if ".labels." in name:
            torch.nn.init.normal_(parameter, std=0.5)
    return net


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Decoded data sets go where the test's other files go."""
    monkeypatch.setenv("EBM_STUDIO_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def clean_tree(monkeypatch):
    """Commands that publish find a clean tree at a commit of their own, whatever the tree of the tests is like."""
    monkeypatch.setattr(provenance, "git", lambda *words: "0123abc" if words[0] == "rev-parse" else "")
    provenance.commit.cache_clear()
    yield
    provenance.commit.cache_clear()


@pytest.fixture
def quadratic() -> Quadratic:
    return Quadratic()


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def tiny_net() -> EnergyNetwork:
    torch.manual_seed(0)
    return EnergyNetwork(TINY)


@pytest.fixture(autouse=True)
def colours_for_features(monkeypatch):
    """Calibrating and scoring need no pretrained network: a picture's features are its mean colours."""
    monkeypatch.setattr("ebm_core.ood.shared_features", lambda device: lambda x: x.mean(dim=(2, 3)))
    monkeypatch.setattr("ebm_core.ood.DEPTHS", (3,))
