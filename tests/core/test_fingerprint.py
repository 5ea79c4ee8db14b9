"""A model's fingerprint is that of what makes its pictures, not of what its file says beside."""

import hashlib
import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save as save_file

from ebm_core.attribute import Attribute
from ebm_core.checkpoint import (
    METADATA_KEY,
    CheckpointError,
    ModelInfo,
    read_safetensors,
    replace_calibration,
    save_model,
)
from ebm_core.files import write_atomically
from ebm_core.nets import EnergyNetwork
from ebm_core.recipe import fingerprint
from ebm_core.sampling import SamplePlan
from tests.conftest import CONDITIONAL_TINY, TINY, conditional_tiny


def test_it_changes_with_weights_network_and_labels_alone(tmp_path, tiny_net):
    path, info = tmp_path / "model.safetensors", ModelInfo(TINY, SamplePlan())

    def of(net, info):
        save_model(path, net.state_dict(), info)
        return fingerprint(path)

    first = of(tiny_net, info)
    assert len(first) == 16
    assert of(tiny_net, replace(info, provenance={"machine": "another"}, family="f")) == first
    replace_calibration(path, {"data": "held out"})
    assert fingerprint(path) == first
    assert fingerprint(path, path) != first

    other = EnergyNetwork(TINY)
    other.load_state_dict(tiny_net.state_dict())
    with torch.no_grad():
        next(other.parameters()).view(-1)[0] += 1e-3
    assert of(other, info) != first
    assert of(tiny_net, replace(info, net=replace(TINY, energy_scale=0.2))) != first
    net, bright = conditional_tiny(), Attribute("bright", "binary", ("b",), ("dark", "bright"))
    conditional = replace(info, net=CONDITIONAL_TINY, attribute=bright)
    turned = replace(conditional, attribute=replace(bright, values=("bright", "dark")))
    assert of(net, conditional) != of(net, turned)


def test_a_later_field_of_networks_leaves_it_the_same(tmp_path, tiny_net):
    path = tmp_path / "model.safetensors"
    save_model(path, tiny_net.state_dict(), ModelInfo(TINY, SamplePlan()))
    file = read_safetensors(path, METADATA_KEY)
    metadata = json.loads(file.text)
    del metadata["net"]["trunk"]  # as by a version that did not have it
    write_atomically(path, save_file(file.tensors, metadata={METADATA_KEY: json.dumps(metadata)}))
    digest = hashlib.sha256(json.dumps([metadata["net"], None], sort_keys=True).encode())
    for name, tensor in sorted(file.tensors.items()):
        digest.update(json.dumps([name, "F32", list(tensor.shape)]).encode() + tensor.numpy().tobytes())
    assert fingerprint(path) == digest.hexdigest()[:16]


def test_what_is_no_model_has_none(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"no model")
    with pytest.raises(CheckpointError):
        fingerprint(tmp_path / "model.safetensors")
