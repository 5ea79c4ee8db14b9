"""Weights folders with tiny models, and their catalogs; pictures to score."""

import threading
from dataclasses import replace

import pytest
import torch

from app import scoring, walk
from app.catalog import Catalog
from app.compute import COMPUTE
from app.session import Session
from ebm_core import images
from ebm_core.attribute import Attribute
from ebm_core.calibration import Calibration
from ebm_core.checkpoint import ModelInfo, save_model
from ebm_core.langevin import LangevinConfig
from ebm_core.nets import EnergyNetwork
from ebm_core.ood import measure
from ebm_core.sampling import SamplePlan
from ebm_core.transitions import TransitionConfig
from tests.conftest import PIXELS, TINY

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
    "turn": Attribute("turn", "angle", ("theta",), seen_on=("kind", "ring")),
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


@pytest.fixture
def every_frame(monkeypatch):
    """A view for each look at the walk, as if drawing took no time."""
    monkeypatch.setattr("app.session.FRAME_INTERVAL", 0.0)
    monkeypatch.setattr("app.session.DRAWING_SHARE", 1e9)
    monkeypatch.setattr("app.session.PLOT_INTERVAL", 0.0)


class Gate:
    """Stands where the compute thread does, and lets as many steps through as a test says."""

    def __init__(self):
        self.permits = threading.Semaphore(0)

    def submit(self, function, *arguments, urgent=False):
        if function.__name__ == "_step":  # who moves a slider or looks at pictures needs no permit
            self.permits.acquire()
        return COMPUTE.submit(function, *arguments, urgent=urgent)

    def let(self, num):
        for _ in range(num):
            self.permits.release()


@pytest.fixture
def gate(monkeypatch):
    gate = Gate()
    monkeypatch.setattr(walk, "COMPUTE", gate)
    yield gate
    gate.let(10_000)  # whoever still waits may end


CENTRE = torch.randint(0, 256, (3, 8, 8), generator=torch.Generator().manual_seed(5), dtype=torch.uint8)


def png(u8=CENTRE):
    return images.encode(images.to_pil(u8), "PNG")


def tiny_calibration(share=0.9, seed=0):
    """A calibration of the tiny model beside which ``CENTRE`` is above ``share`` of the held-out energies."""
    torch.manual_seed(seed)
    measured = measure(EnergyNetwork(TINY).eval(), CENTRE[None], PIXELS)
    grid = torch.linspace(-share, 1 - share, 201, dtype=torch.float64)
    quantiles = {
        "energy": float(measured.energy) + grid,
        "scale_0": float(measured.scale_energies[0, 0]) + grid,
        "scale_1": torch.full_like(grid, float(measured.scale_energies[0, 1])),
        "grad_norm": float(measured.grad_norm) * (1 + grid / 2),
        "typicality": torch.linspace(0, 1, 201),
    }
    plain = {name: tuple(values.tolist()) for name, values in quantiles.items()}
    return Calibration("made up", 300, float(measured.energy) - 0.5, 0.0, plain)


def save_calibrated(folder, name, share=0.9, seed=0):
    info = ModelInfo(TINY, PLAN, calibration=tiny_calibration(share, seed).to_plain())
    torch.manual_seed(seed)
    save_model(folder / name / "model.safetensors", EnergyNetwork(TINY).state_dict(), info)


@pytest.fixture
def calibrated(tmp_path):
    """A calibrated model, another one, and one without a calibration."""
    folder = tmp_path / "weights"
    save_calibrated(folder, "tiny")
    save_calibrated(folder, "other", share=0.2, seed=1)
    save_tiny(folder, "raw")
    return Catalog(folder)


@pytest.fixture
def drop(session, calibrated, tmp_path):
    """Drop files, by name their bytes, and score them: all views of it."""

    def dropped(files, model="tiny"):
        paths = []
        for name, data in files.items():
            path = tmp_path / name
            path.write_bytes(data)
            paths.append(str(path))
        scoring.choose(session.board, calibrated, model)
        scoring.take_files(session.board, paths)
        return list(scoring.score(session))

    return dropped


@pytest.fixture
def family(family_catalog):
    return family_catalog.families()["tiny"]
