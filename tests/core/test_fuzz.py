"""Hostile configs, recipes, compositions and headers: each gives the thing itself or one sentence, and costs little."""

import copy
import json
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save

from ebm_core.attribute import Attribute
from ebm_core.checkpoint import METADATA_KEY, CheckpointError, ModelInfo, load_model, read_safetensors, save_model
from ebm_core.classifier import ClassifierConfig
from ebm_core.codec import CodecConfig
from ebm_core.composition import Composition
from ebm_core.config import from_dict, load_toml, to_dict
from ebm_core.images import encode_png, to_pil
from ebm_core.nets import EnergyNetwork, NetConfig
from ebm_core.recipe import Recipe, from_png
from ebm_core.sampling import SamplePlan
from tests.conftest import TINY
from train.config import TrainConfig

ANGLE = Attribute("turn", "angle", ("theta",))
PLACE = Attribute("place", "numbers", ("x", "y"), (), (-1.0, -1.0), (1.0, 1.0))
COMPOSITION = {
    "and": [
        {"weight": 1.0, "term": {"model": "a", "label": [0, 1]}},
        {"weight": -0.3, "term": {"or": [{"model": "b"}, {"model": "c", "label": [0.5]}], "sharpness": 2e8}},
    ]
}
RECIPE = to_dict(Recipe("tiny", "0" * 16, SamplePlan(), 0, 4, composition=Composition.from_plain(COMPOSITION)))
SEEDS = {
    NetConfig: to_dict(TINY),
    SamplePlan: to_dict(SamplePlan()),
    Attribute: to_dict(PLACE),
    CodecConfig: to_dict(CodecConfig()),
    ClassifierConfig: to_dict(ClassifierConfig((ANGLE, PLACE))),
    Recipe: RECIPE,
    TrainConfig: to_dict(load_toml(TrainConfig, Path(__file__).parents[2] / "train" / "configs" / "cifar10-icd.toml")),
}
NUMBERS = st.one_of(
    st.integers(-3, 70),
    st.floats(),
    st.sampled_from([10**400, -(10**400), 2**63, 1e308, 5e-324, -0.0, True, False]),
)
LEAVES = st.one_of(NUMBERS, st.none(), st.text(max_size=8), st.sampled_from(["1/0", "1e99999999", "1 " * 1000, "\0"]))
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))


@st.composite
def mutated(draw, seed):
    """A valid value with one to three of its places replaced, taken away or added to."""
    value = copy.deepcopy(seed)
    for _ in range(draw(st.integers(1, 3))):
        place = value
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], (dict, list)) and draw(st.booleans()):
                place = place[key]
                continue
            if draw(st.integers(0, 5)):
                place[key] = draw(VALUES)
            elif isinstance(place, dict):
                place[draw(st.text(max_size=3))] = place.pop(key)
            else:
                place.append(place[key])
            break
    return value


fuzz = settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def outcome(action, *arguments):
    """What comes back, or the sentence of a ValueError; any other exception is a fault."""
    try:
        return action(*arguments)
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("cls", SEEDS, ids=lambda cls: cls.__name__)
def test_a_config_is_made_or_refused(cls):
    @fuzz
    @given(mutated(SEEDS[cls]))
    def check(values):
        config = outcome(from_dict, cls, values)
        if isinstance(config, str):
            assert 0 < len(config) < 2000
        else:
            assert from_dict(cls, to_dict(config)) == config  # what was made can be written and read again

    check()


@fuzz
@given(mutated(COMPOSITION))
def test_a_composition_is_made_or_refused(value):
    composition = outcome(Composition.from_plain, value)
    assert isinstance(composition, str) or Composition.from_plain(composition.to_plain()) == composition


@fuzz
@given(mutated(RECIPE))
def test_a_png_gives_a_recipe_or_a_sentence(value):
    picture = to_pil(torch.zeros(3, 2, 2, dtype=torch.uint8))
    assert outcome(from_png, encode_png(picture, value))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / "model.safetensors"
    save_model(path, EnergyNetwork(TINY).state_dict(), ModelInfo(TINY, SamplePlan(), attribute=None))
    return path


def test_a_header_gives_a_model_or_a_sentence(model):
    file, path = read_safetensors(model, METADATA_KEY), model.with_name("mutated.safetensors")

    @fuzz
    @given(mutated(json.loads(file.text)))
    def check(value):
        path.write_bytes(save(file.tensors, metadata={METADATA_KEY: json.dumps(value)}))
        loaded = outcome(load_model, path)
        assert not isinstance(loaded, str) or str(path) in loaded

    check()


def test_a_file_that_only_says_that_it_is_large_costs_nothing(model):
    huge, path = NetConfig(image_size=4096, width=8192, layouts=("1 " * 200,) * 8), model.with_name("huge.safetensors")
    save_model(path, load_file(model), ModelInfo(huge, SamplePlan()))
    with pytest.raises(CheckpointError, match=r"is missing|has shape"):  # of the seven terabytes that it asks for
        load_model(path)
