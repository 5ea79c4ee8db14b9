"""A weights folder with two tiny models, and the catalog of it."""

import pytest
import torch

from app.catalog import Catalog
from app.handlers import Session
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
