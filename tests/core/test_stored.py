"""Shipped models walk as they did in the version before."""

import json

import pytest
import torch

from ebm_core.hub import shipped_models
from tests.core.stored import FILE, figures

STORED = json.loads(FILE.read_text())


def test_every_shipped_model_is_stored():
    assert sorted(STORED) == shipped_models()


@pytest.mark.parametrize("name", sorted(STORED))
def test_a_shipped_model_walks_as_before(name):
    now, before = figures(name), STORED[name]
    assert now["weights"] == before["weights"], "the model was replaced: python -m tests.core.stored"
    for key, tolerance in (("energy", 1e-5), ("colours", 1e-3)):
        torch.testing.assert_close(torch.tensor(now[key]), torch.tensor(before[key]), rtol=1e-3, atol=tolerance)
