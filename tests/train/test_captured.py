"""Recorded steps of a GPU give the gradients of steps that are not recorded."""

from dataclasses import replace

import pytest
import torch

from tests.train.conftest import CONFIG
from train.captured import CapturedStep
from train.trainer import Trainer

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")


@pytest.mark.parametrize("phase", ["warm start", "icd"])
def test_a_recorded_step_has_the_gradients_of_the_step(data, phase):
    warm = replace(CONFIG.warm_start, iterations=100 if phase == "warm start" else 0)
    trainer = Trainer(replace(CONFIG, warm_start=warm), data, "cuda")
    trainer.step()
    points = trainer._icd_points() if phase == "icd" else trainer._matching_points()
    output = trainer._losses(points)
    weights = list(trainer.net.parameters())
    expected = torch.autograd.grad(output.loss, weights, allow_unused=True)
    loss = float(output.loss)
    del output  # its graph is of another stream
    recorded = CapturedStep(trainer._losses, trainer.net, points)
    assert float(recorded(points).loss) == pytest.approx(loss)
    for weight, grad in zip(weights, expected, strict=True):
        torch.testing.assert_close(weight.grad, grad)
