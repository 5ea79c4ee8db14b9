"""A data folder with tiny zips under their real names, a weights folder, and settings that take seconds."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from ebm_core import images
from ebm_core.attribute import Attribute
from ebm_core.checkpoint import ModelInfo, save_model
from ebm_core.classifier import CLASSIFIER_FILE, Classifier, ClassifierConfig, save_classifier
from ebm_core.langevin import LangevinConfig
from ebm_core.nets import EnergyNetwork
from ebm_core.sampling import SamplePlan
from tests.conftest import TINY
from train.__main__ import main

ZIPS = ["cifar10-train-0", "cifar10-test", "objects64-train", "objects64-test", "celeba128-train", "celeba128-test"]
RUN = [
    "net.image_size=8",
    "net.layouts=['1d attn 1', '1']",
    "icd.iterations=4",
    "icd.batch_size=2",
    "icd.steps=2",
    "icd.buffer_size=8",
    "icd.entropy_past=2",
    "plan.rounds=1",
    "plan.refinement_steps=1",
    "plan.langevin.steps=2",
    "log.scalars_every=1",
    "log.checkpoint_every=2",
]


def tiny(section):
    """The overrides of a training config that is a section of an experiment's settings."""
    return [f"{section}.{assignment}" for assignment in RUN]


SECONDS_LONG = {
    "table1": [
        "protocol.pool=4",
        "protocol.visited=2",
        "protocol.visits=4",
        "protocol.last_visits=2",
        "protocol.last_visited=2",
        "num_samples=6",
    ],
    "table2": [*tiny("config"), "num_samples=4"],
    "table3": ["num=4", "batch=4"],
    "table4": ["num=2"],
    "baselines": [
        *(
            f"{section}.{value}"
            for section in ("base", "attribute")
            for value in (
                *RUN,
                "net.width=4",
                "icd.matching_batch=2",
                "warm_start.iterations=6",
                "warm_start.batch_size=2",
            )
        ),
        "num=2",
    ],
    "mixing": ["chains=3", "pictures=2", "rounds=2"],
    "modes": [*tiny("config"), "chains=3", "pictures=2", "steps=3"],
    "stability": tiny("config"),
    "gradients": tiny("config"),
    "multiscale": [*tiny("config"), "num_samples=4"],
    "warmstart": [
        *tiny("scratch"),
        *tiny("warm"),
        "warm.icd.matching_batch=2",
        "warm.warm_start.batch_size=2",
        "shares=[0.5, 1.0]",
        "num_samples=4",
    ],
}


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for seed, name in enumerate(ZIPS):
        x = torch.randint(256, (12, 3, 8, 8), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            for number, image in enumerate(x):
                archive.writestr(f"{number:02d}.png", images.encode(images.to_pil(image), "PNG"))
            if name.startswith("celeba"):
                keys = ("Young", "Male", "Smiling", "Wavy_Hair")
                labels = [{key: int(i % (k + 2) == 0) for k, key in enumerate(keys)} for i in range(len(x))]
                named = [[f"{i:02d}.png", label] for i, label in enumerate(labels)]
                archive.writestr("dataset.json", json.dumps({"labels": named}))
    return folder


@pytest.fixture
def weights(tmp_path):
    plan = SamplePlan(1, 2, False, LangevinConfig(steps=2, step_size=5.0, noise_std=0.01))
    for seed, name in enumerate(("objects", "faces", "cifar10", "faces128")):
        torch.manual_seed(seed)
        net = EnergyNetwork(replace(TINY, energy_scale=1.0))
        save_model(tmp_path / "weights" / name / "model.safetensors", net.state_dict(), ModelInfo(net.config, plan))
    attributes = tuple(Attribute(n, "binary", (n,), ("no", n)) for n in ("young", "female", "smiling", "wavy hair"))
    classifier = Classifier(ClassifierConfig(attributes, image_size=8, width=2)).eval()
    save_classifier(tmp_path / "weights" / "faces" / CLASSIFIER_FILE, classifier)
    return tmp_path / "weights"


@pytest.fixture
def reproduce(tmp_path, data, weights):
    """Run an experiment at a seconds-long size; gives the exit code."""

    def run(name, *more, **replaced):
        paths = {"data": data, "weights": weights, "out": tmp_path / "reports" / name} | replaced
        options = [word for key, value in paths.items() if value is not None for word in (f"--{key}", str(value))]
        settings = [word for value in SECONDS_LONG.get(name, []) for word in ("--set", value)]
        return main(["reproduce", name, *options, "--seeds", "1", "--device", "cpu", *settings, *more])

    return run


class Means(torch.nn.Module):
    """Stands in for the pretrained features: the means of four quarters of the image."""

    num_features = 12

    def forward(self, x):
        return torch.nn.functional.adaptive_avg_pool2d(x, 2).flatten(1)


class Brightness(torch.nn.Module):
    """Stands in for the pretrained classes of uint8 images: dark or bright, and sure of it."""

    def forward(self, x):
        bright = x.float().mean(dim=(1, 2, 3)) >= 128
        return torch.where(bright[:, None], torch.tensor([0.0, 100.0]), torch.tensor([100.0, 0.0]))


def composed(family, split, *, train, num, out, **settings):
    """Stands in for ``evaluate compose``, whose own tests are elsewhere: its report of two attributes."""
    rows = [
        {"asked": "nothing"},
        {
            "asked": "all",
            "read": {"young": 0.7, "female": 0.5},
            "read_where_nothing_is_asked": {"young": 0.4, "female": 0.5},
            "read_in_real_pictures": {"young": 0.9, "female": 0.95},
        },
    ]
    report = {
        "rows": rows,
        "paper": {"young": 0.92, "female": 0.63},
        "objective": {"young": "None of it."},
        "read_on": {"kind": "test", "file": "celeba128-test.zip"},
    }
    assert (Path(train).name, Path(split.path).name, num) == ("celeba128-train.zip", "celeba128-test.zip", 2)
    return report


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*arguments, **options):
        raise OSError("no network in tests")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


@pytest.fixture(autouse=True)
def no_other_evaluation(monkeypatch):
    monkeypatch.setattr("train.evaluate.compose.evaluate", composed)
    monkeypatch.setattr("train.evaluate.composed.load_family", lambda *_: SimpleNamespace(infos={}))


@pytest.fixture(autouse=True)
def no_pretrained_networks(monkeypatch):
    monkeypatch.setattr("train.evaluate.features.EfficientNetFeatures", Means)
    monkeypatch.setattr("train.reproduce.quality.EfficientNetClasses", Brightness)
