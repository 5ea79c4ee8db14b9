"""Model files: round trip, and one clear sentence for everything that is not one."""

import errno
import io
import json
import os
import pickle
from dataclasses import replace

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from ebm_core import files, hub, images
from ebm_core.checkpoint import (
    METADATA_KEY,
    CheckpointError,
    ModelInfo,
    load_model,
    read_info,
    replace_calibration,
    save_model,
)
from ebm_core.config import to_dict
from ebm_core.files import FileError
from ebm_core.sampling import SamplePlan
from tests.conftest import TINY

INFO = ModelInfo(TINY, SamplePlan(rounds=1), {"command": "python -m train"}, {"quantiles": [0.1]})


@pytest.fixture
def path(tmp_path, tiny_net):
    path = tmp_path / "tiny" / "model.safetensors"
    save_model(path, tiny_net.state_dict(), INFO)
    return path


def rewrite(path, tiny_net, change_metadata=None, change_tensors=None):
    metadata = {
        "format_version": 1,
        "data_range": [0.0, 1.0],
        "net": to_dict(TINY),
        "plan": to_dict(SamplePlan()),
        "provenance": {},
        "calibration": {},
    }
    tensors = dict(tiny_net.state_dict())
    if change_metadata:
        change_metadata(metadata)
    if change_tensors:
        change_tensors(tensors)
    save_file(tensors, path, metadata={METADATA_KEY: json.dumps(metadata)})


def test_round_trip(path, tiny_net, rng):
    net, info = load_model(path)
    assert info == INFO == read_info(path)
    assert not net.training
    assert not any(p.requires_grad for p in net.parameters())
    x = torch.rand(2, 3, 8, 8, generator=rng)
    assert torch.equal(net(x), tiny_net(x))


def test_float16_files_load_as_float32(tmp_path, tiny_net):
    save_model(tmp_path / "h.safetensors", {k: v.half() for k, v in tiny_net.state_dict().items()}, INFO)
    net, _ = load_model(tmp_path / "h.safetensors")
    assert {p.dtype for p in net.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("keep", "what"),
    [(0, "an empty file"), (4, "cut off after 4"), (100, "cut off: its header alone"), (-10, "damaged or cut off")],
)
def test_truncated_file(path, keep, what):
    path.write_bytes(path.read_bytes()[:keep])
    for read in (load_model, read_info):
        with pytest.raises(CheckpointError, match=f"it is .*{what}.*fetch or export it again"):
            read(path)


def torch_file(content, **options):
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"not a model", "it is text"),
        (b"\xff" * 64, "of no kind that is known"),
        (pickle.dumps({"net": 1}), "a Python pickle .* .python -m train export RUN"),
        (torch_file({"net": torch.zeros(3)}), "a Python pickle .* .python -m train export RUN"),
        (torch_file([torch.zeros(3)]), "a Python pickle"),
        (torch_file(torch.zeros(3), _use_new_zipfile_serialization=False), "a Python pickle"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", "a Git LFS pointer .* git lfs pull"),
        (b"\n<!DOCTYPE html><html>Sign in</html>", "a web page, .* download the file itself"),
        (b"PK\x03\x04" + b"\0" * 26 + b"model.safetensors", "a zip archive; unpack it"),
        (images.encode(Image.new("RGB", (2, 2)), "PNG"), "a PNG picture"),
        (b'{"weight_map": {}}', "it is JSON"),
    ],
)
def test_foreign_bytes_are_called_what_they_are(path, content, what):
    path.write_bytes(content)
    for read in (load_model, read_info):
        with pytest.raises(CheckpointError, match=what) as error:
            read(path)
        assert "cut off" not in str(error.value)
        assert "weights_only" not in str(error.value)


def test_foreign_safetensors(path, tiny_net):
    save_file(tiny_net.state_dict(), path)
    with pytest.raises(CheckpointError, match=r"tensors alone \(a bare state dict\)"):
        load_model(path)
    save_file(tiny_net.state_dict(), path, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="of another program"):
        load_model(path)
    with pytest.raises(CheckpointError, match="is a folder; give the model file"):
        load_model(path.parent)


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (torch.int64, "I64"),
        (torch.uint8, "U8"),
        (torch.bool, "BOOL"),
        (torch.complex64, "C64"),
        (torch.float8_e4m3fn, "F8_E4M3"),
        (torch.float8_e5m2, "F8_E5M2"),
    ],
)
def test_only_floating_point_weights_of_full_width_are_used(path, tiny_net, number, name):
    rewrite(path, tiny_net, change_tensors=lambda t: t.update({k: v.to(number) for k, v in t.items()}))
    for read in (load_model, read_info):
        with pytest.raises(CheckpointError, match=f"numbers of the type {name}, none of F16, BF16, F32, F64"):
            read(path)


@pytest.mark.parametrize("number", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_point_numbers_are_read(path, tiny_net, number):
    rewrite(path, tiny_net, change_tensors=lambda t: t.update({k: v.to(number) for k, v in t.items()}))
    assert {p.dtype for p in load_model(path)[0].parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(format_version=3), "format version 3, this program reads up to 2; update"),
        (lambda m: m.update(format_version="1"), "format version 1"),
        (lambda m: m.update(data_range=[-1.0, 1.0]), r"trained on data in \[-1.0, 1.0\]"),
        (lambda m: m.pop("net"), "metadata cannot be read"),
        (lambda m: m["net"].update(widht=3), "unknown key 'net.widht'; did you mean 'net.width'"),
        (lambda m: m["net"].update(layouts=["9"]), "network configuration is not valid"),
        (lambda m: m["plan"].update(rounds=-1), "rounds must be a whole number from 0 to 10000, got -1"),
        (
            lambda m: m["plan"]["langevin"].update(step_size=10**400),
            "'plan.langevin.step_size' must be a finite number",
        ),
        (lambda m: m.update(plan=3), "'plan' must be a table, got 3"),
        (lambda m: m.update(format_version=2), r"metadata cannot be read \(KeyError\('space'\)\)"),
        (lambda m: m.update(format_version=2, space=3), "'space' must be a table, got 3"),
        (lambda m: m.update(format_version=2, space={"codec": "../x"}), "a name has .* no folders"),
        (lambda m: m.update(provenance=3), "metadata cannot be read"),
        (lambda m: m.update(family="../../x"), "a name has .* no folders"),
    ],
)
def test_bad_metadata(path, tiny_net, change, message):
    rewrite(path, tiny_net, change_metadata=change)
    with pytest.raises(CheckpointError, match=message):
        load_model(path)


def test_metadata_that_is_not_json(path, tiny_net):
    save_file(tiny_net.state_dict(), path, metadata={METADATA_KEY: "[" * 100_000})
    with pytest.raises(CheckpointError, match="metadata cannot be read"):
        load_model(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("scales.0.head.bias"), "'scales.0.head.bias' is missing"),
        (lambda t: t.update(extra=torch.zeros(1)), "unexpected tensor 'extra'"),
        (lambda t: t.update({"scales.0.head.bias": torch.zeros(2)}), r"has shape \(2,\), .* asks for \(1,\)"),
        (lambda t: t.update({"scales.0.head.bias": torch.tensor([torch.nan])}), "not finite"),
    ],
)
def test_bad_tensors(path, tiny_net, change, message):
    rewrite(path, tiny_net, change_tensors=change)
    with pytest.raises(CheckpointError, match=message):
        load_model(path)


def test_a_full_disk_keeps_the_old_file(path, tiny_net, monkeypatch):
    before = path.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(FileError, match="No space left on device; free some space"):
        save_model(path, tiny_net.state_dict(), INFO)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_calibration_is_replaced_and_nothing_else(path, tiny_net):
    save_model(path, {name: tensor.half() for name, tensor in tiny_net.state_dict().items()}, INFO)
    before, raw = read_info(path), load_file(path)
    replace_calibration(path, {"num": 3})
    weights = load_model(path)[1].weights
    assert read_info(path) == replace(before, calibration={"num": 3, "weights": weights})
    after = load_file(path)
    assert after.keys() == raw.keys()
    for name, tensor in after.items():
        assert tensor.dtype == raw[name].dtype == torch.float16
        assert torch.equal(tensor, raw[name])
    replace_calibration(path, {})
    assert read_info(path) == replace(before, calibration={})
    assert load_model(path)[1].weights == weights
    for number in (torch.bfloat16, torch.float32):  # the same weights, rounded or stored otherwise, are others
        save_model(path, {name: tensor.to(number) for name, tensor in raw.items()}, INFO)
        assert load_model(path)[1].weights not in ("", weights)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match="cut off"):
        replace_calibration(path, {})


def test_models_are_found_by_name_path_and_folder(path, tmp_path):
    assert hub.shipped_models(tmp_path) == ["tiny"]
    for name in ("tiny", str(path), str(path.parent)):
        assert hub.find_model(name, tmp_path) == path
    with pytest.raises(CheckpointError, match=r"no model 'tyni'.*\(tiny\)"):
        hub.find_model("tyni", tmp_path)
    with pytest.raises(CheckpointError, match="is not there"):
        load_model(tmp_path / "no.safetensors")
