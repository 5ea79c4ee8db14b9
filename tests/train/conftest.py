"""A tiny run: eight-pixel images, a few iterations of each phase; a zip of random pictures with labels."""

import io
import json
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from ebm_core.langevin import LangevinConfig
from ebm_core.sampling import SamplePlan
from ebm_core.transitions import TransitionConfig
from tests.conftest import TINY
from train.config import IcdConfig, LogConfig, MatchingConfig, OptimConfig, TrainConfig, WarmStartConfig
from train.data import DataConfig

CONFIG = TrainConfig(
    data=DataConfig("zip", "nowhere.zip"),
    net=TINY,
    plan=SamplePlan(
        1, 1, True, LangevinConfig(steps=2, step_size=5.0, noise_std=0.005), TransitionConfig(jitter_strength=0.5)
    ),
    matching=MatchingConfig(chain_steps=10, noise=0.4, moved_noise=0.3, moved_data=0.3),
    warm_start=WarmStartConfig(2, 4, OptimConfig(lr=1e-2)),
    icd=IcdConfig(
        iterations=2,
        batch_size=4,
        steps=3,
        buffer_size=20,
        entropy_past=5,
        matching_weight=0.5,
        matching_batch=4,
        optim=OptimConfig(lr=1e-2),
    ),
    log=LogConfig(scalars_every=1, samples_every=2, num_samples=2, checkpoint_every=1),
    ema_decay=0.5,
    bf16=False,
)


@pytest.fixture
def data():
    return torch.randint(256, (32, 3, 8, 8), generator=torch.Generator().manual_seed(9), dtype=torch.uint8)


def write_zip(path, labels):
    """A zip of random 8x8 pictures, one for each label."""
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(len(labels)):
            buffer = io.BytesIO()
            Image.fromarray(rng.integers(256, size=(8, 8, 3), dtype=np.uint8)).save(buffer, "PNG")
            archive.writestr(f"{number:03d}.png", buffer.getvalue())
        named = [[f"{number:03d}.png", label] for number, label in enumerate(labels)]
        archive.writestr("dataset.json", json.dumps({"labels": named}))
    return path


class Pixels(torch.nn.Module):
    """Two features: the first two pixels."""

    num_features = 2

    def forward(self, x):
        return x[:, 0, 0, :2] * 256 - 0.5
