"""The catalog of models, presets, and what the controls mean."""

import datetime
from dataclasses import astuple, replace
from types import SimpleNamespace

import gradio as gr
import pytest
from safetensors.torch import save

from app.catalog import Catalog
from app.session import Session
from app.settings import PRESET_NAMES, apply_preset, controls_of, controls_of_recipe, make_recipe
from app.ui import build_ui
from ebm_core.checkpoint import METADATA_KEY, CheckpointError, read_safetensors
from ebm_core.transitions import TransitionConfig, scaled
from tests.app.conftest import PLAN, save_tiny


def test_models_are_loaded_once_and_the_least_recently_used_dropped(weights):
    save_tiny(weights, "gamma", 2)
    catalog = Catalog(weights, capacity=2)
    assert catalog.names() == ["alpha", "beta", "gamma"]
    a, b = catalog.get("alpha"), catalog.get("beta")
    assert catalog.get("alpha") is a
    catalog.get("gamma")
    assert catalog.get("alpha") is a
    assert catalog.get("beta") is not b


def test_a_broken_file_is_told_and_not_offered(weights, catalog):
    file = weights / "beta" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:50])
    assert catalog.names() == ["alpha"]
    assert len(catalog.problems()) == 1
    assert "cut off" in catalog.problems()[0]
    with pytest.raises(CheckpointError, match="cut off"):
        catalog.get("beta")
    with pytest.raises(CheckpointError, match=r"there is no model '\.\./alpha' here"):
        catalog.get("../alpha")


def test_a_model_with_bad_weights_is_told_and_the_page_opens_on_the_others(weights):
    path = weights / "alpha" / "model.safetensors"  # the first in the list, which tabs open with
    good = path.read_bytes()
    file = read_safetensors(path, METADATA_KEY)
    next(iter(file.tensors.values())).fill_(float("nan"))
    path.write_bytes(save(file.tensors, metadata=file.metadata))
    catalog = Catalog(weights)
    assert catalog.names() == ["beta"]
    assert "not finite" in catalog.problems()[0]
    build_ui(catalog)
    path.write_bytes(good)
    assert catalog.names() == ["alpha", "beta"]


def test_without_a_model_the_page_says_so(tmp_path):
    with pytest.raises(ValueError, match=r"No model in .* can be used\. There are none\."):
        build_ui(Catalog(tmp_path))


def test_the_page_builds(catalog):
    labels = {getattr(block, "label", None) for block in build_ui(catalog).blocks.values()}
    assert {"Model", "Preset", "Chains", "Seed", "Step size", "Noise"} <= labels


def test_presets_derive_from_the_models_own_plan(catalog):
    model = catalog.get("alpha")
    own = controls_of(model)
    assert (own.rounds, own.steps, own.refinement_steps, own.step_size) == (2, 3, 4, 5.0)
    results = {name: apply_preset(model, name) for name in PRESET_NAMES}
    assert results["As trained"][0] == own
    assert len({astuple(controls) for controls, _ in results.values()}) == len(PRESET_NAMES)
    assert len({sentence for _, sentence in results.values()}) == len(PRESET_NAMES)
    for controls, _ in results.values():
        make_recipe(model, controls, 1, 0)
    straight = results["Straight downhill"][0]
    assert (straight.rounds, straight.noise_std, straight.transition_strength) == (0, 0.0, 0.0)


def test_every_preset_walks_with_a_model_that_has_candidates(catalog):
    model = catalog.get("alpha")
    choosy = SimpleNamespace(**model.__dict__ | {"info": replace(model.info, plan=replace(PLAN, candidates=3))})
    candidates = {name: apply_preset(choosy, name)[0].candidates for name in PRESET_NAMES}
    assert candidates == {"As trained": 3, "Quick look": 1, "Wander": 3, "Straight downhill": 1}
    for name in PRESET_NAMES:
        controls, _ = apply_preset(choosy, name)
        assert make_recipe(choosy, controls, 1, 0).plan.candidates == controls.candidates
    # What an address says that switches the rounds off and says no more.
    assert make_recipe(choosy, replace(controls_of(choosy), rounds=0), 1, 0).plan.candidates == 1


def test_controls_and_recipes_are_inverse(catalog):
    model = catalog.get("alpha")
    controls = replace(controls_of(model), rounds=3, candidates=2, step_size=2.5, transition_strength=0.25)
    recipe = make_recipe(model, controls, 4, 9)
    assert controls_of_recipe(recipe) == controls
    assert make_recipe(model, controls_of(model), 4, 9).plan == PLAN
    assert recipe.plan.transition == scaled(PLAN.transition, 0.25)


def test_transition_strength_from_nothing_to_the_possible():
    own = TransitionConfig(0.6, 0.5, 0.4, 0.8, 0.2, 0.5)
    none = scaled(own, 0.0)
    assert none == TransitionConfig(1.0, 0.0, 0.0, 0.8, 0.0, 0.0)
    assert scaled(own, 1.0) == own
    strong = scaled(own, 4.0)
    assert (strong.crop_min_scale, strong.flip_prob, strong.jitter_strength) == (0.05, 1.0, 1.25)
    assert scaled(own, 0.5).crop_min_scale == pytest.approx(0.8)


def test_a_page_left_open_for_a_day_keeps_its_walks(catalog):
    from gradio.state_holder import SessionState

    page = build_ui(catalog)
    state = SessionState(page)
    held = [key for key, block in page.blocks.items() if isinstance(block, gr.State)]
    for key in held:
        state[key] = Session()
        time_to_live, opened = state._state_ttl[key]
        state._state_ttl[key] = (time_to_live, opened - datetime.timedelta(days=1))
    assert len(held) >= 5
    assert not any(expired for _, _, expired in state.state_components)
