"""A weights folder with two tiny models, and the catalog of it."""

from dataclasses import replace

import pytest
import torch

from app.catalog import Catalog
from app.handlers import Session
from ebm_core.attribute import Attribute
from ebm_core.checkpoint import ModelInfo, save_model
from ebm_core.langevin import LangevinConfig
from ebm_core.nets import EnergyNetwork
from ebm_core.sampling import SamplePlan
from ebm_core.transitions import TransitionConfig
from tests.conftest import TINY

PLAN = SamplePlan(
    2, 4, True, LangevinConfig(steps=3, step_size=5.0, noise_std=0.01), TransitionConfig(crop_min_scale=0.5)
)


def save_tiny(folder, name, seed=0):
    torch.manual_seed(seed)
    save_model(folder / name / "model.safetensors", EnergyNetwork(TINY).state_dict(), ModelInfo(TINY, PLAN))


ATTRIBUTES = {
    "bright": Attribute("bright", "binary", ("Bright",), ("dark", "bright")),
    "kind": Attribute("kind", "choice", ("kind",), ("dot", "bar", "ring")),
    "place": Attribute("place", "numbers", ("x", "y"), low=(-1.0, 0.0), high=(1.0, 4.0)),
    "turn": Attribute("turn", "angle", ("theta",)),
}


def save_attribute(folder, name, attribute, family="tiny", plan=PLAN, seed=0):
    """A tiny conditional model that has learned nothing, but whose labels matter."""
    torch.manual_seed(seed)
    config = replace(TINY, label_dim=attribute.label_dim)
    net = EnergyNetwork(config)
    for key, parameter in net.named_parameters():
        if ".labels." in key:
            torch.nn.init.normal_(parameter, std=0.5)
    info = ModelInfo(config, plan, family=family, attribute=attribute)
    save_model(folder / name / "model.safetensors", net.state_dict(), info)


def save_tiny_family(folder):
    """An unconditional model, and one for each kind of attribute."""
    torch.manual_seed(9)
    base = EnergyNetwork(TINY).state_dict()
    save_model(folder / "tiny" / "model.safetensors", base, ModelInfo(TINY, PLAN, family="tiny"))
    for seed, (name, attribute) in enumerate(ATTRIBUTES.items()):
        save_attribute(folder, f"tiny-{name}", attribute, seed=seed)


@pytest.fixture
def family_weights(tmp_path):
    save_tiny_family(tmp_path / "family")
    return tmp_path / "family"


@pytest.fixture
def family_catalog(family_weights):
    return Catalog(family_weights)


@pytest.fixture
def weights(tmp_path):
    save_tiny(tmp_path / "weights", "alpha", 0)
    save_tiny(tmp_path / "weights", "beta", 1)
    return tmp_path / "weights"


@pytest.fixture
def catalog(weights):
    return Catalog(weights)


@pytest.fixture
def session():
    session = Session()
    yield session
    session.close()
