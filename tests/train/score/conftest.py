"""A calibrated tiny model, and a folder of files to score."""

import pytest
import torch

from ebm_core.checkpoint import ModelInfo, replace_calibration, save_model
from ebm_core.ood import calibrate
from ebm_core.sampling import SamplePlan
from tests.conftest import TINY
from tests.train.score.helpers import picture, png
from train.score.detector import load_detector


@pytest.fixture
def model(tmp_path, tiny_net):
    """A tiny model, calibrated on twenty pictures."""
    path = tmp_path / "tiny.safetensors"
    save_model(path, tiny_net.state_dict(), ModelInfo(TINY, SamplePlan()))
    measured = load_detector(str(path), "cpu").measure(torch.stack([picture(100 + i) for i in range(20)]))
    replace_calibration(path, calibrate(measured, "twenty").to_plain())
    return path


@pytest.fixture
def folder(tmp_path):
    """Eleven files to score, of which three cannot be, and some that are none of them."""
    path = tmp_path / "pictures"
    for number in range(8):
        file = path / f"{'deeper/' if number % 2 else ''}{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(number))
    (path / "3-broken.JPG").write_bytes(b"no picture")
    (path / "5-cut.png").write_bytes(png(0)[:-40])
    (path / "7-empty.png").touch()
    (path / "notes.txt").write_text("not a picture")
    (path / ".hidden.png").write_bytes(png(0))
    (path / ".thumbnails").mkdir()
    (path / ".thumbnails" / "0.png").write_bytes(png(0))
    return path
