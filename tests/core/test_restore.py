"""One reader of recipes: what it makes again, what it says, what it refuses; the command and the page agree."""

import json
from dataclasses import replace

import pytest
import torch
from PIL import Image

from app.catalog import Catalog
from app.sampling import read_settings, start
from app.session import Session
from app.settings import controls_of_recipe
from ebm_core import images, restore
from ebm_core.attribute import Attribute
from ebm_core.checkpoint import load_model
from ebm_core.composition import And, Composition, Or, Term
from ebm_core.config import to_dict
from ebm_core.level import fixed_noise
from ebm_core.precision import for_sampling
from ebm_core.recipe import Recipe, from_png, to_png
from ebm_core.restore import chain, load_scene, recipe_of
from ebm_core.sampling import sample
from tests.app.conftest import PLAN, save_tiny, save_tiny_family
from tests.conftest import PIXELS
from tests.latents import NET, save_latent, save_random_codec
from train.__main__ import main

STRONG = replace(PLAN, langevin=replace(PLAN.langevin, step_size=2.0), move_noise=False)


@pytest.fixture
def weights(tmp_path):
    save_tiny_family(tmp_path / "w")
    return tmp_path / "w"


def png(recipe):
    return to_png(Image.new("RGB", (2, 2)), recipe)


def own(weights, **changes):
    return replace(recipe_of(Composition(Term("tiny")), weights, "cpu", seed=5, num=2), **changes)


def sampled(weights, recipe, tmp_path):
    """The pictures of ``sample --recipe`` and its folder."""
    out = tmp_path / "sampled"
    (tmp_path / "given.png").write_bytes(png(recipe))
    code = main(
        [
            "sample",
            "--recipe",
            str(tmp_path / "given.png"),
            "--weights",
            str(weights),
            "--device",
            "cpu",
            "--out",
            str(out),
        ]
    )
    assert code == 0
    files = sorted(out.glob("*.png"))
    return torch.stack([images.from_pil(Image.open(file), 8) for file in files]), files


def paged(weights, recipe, tmp_path):
    """The pictures of the Sample page after the PNG was dropped there and Sample was pressed."""
    session, catalog = Session(), Catalog(weights)
    (tmp_path / "dropped.png").write_bytes(png(recipe))
    restored, sentence = read_settings(session, catalog, str(tmp_path / "dropped.png"))
    *_, _ = start(session, catalog, restored.model, controls_of_recipe(restored), restored.num, restored.seed)
    x, saved = images.quantise(session.walk.state.x), session.walk.recipe
    session.close()
    return x, saved, sentence


def plain(weights, recipe):
    """The pictures by Python alone."""
    net, _ = load_model(weights / "tiny" / "model.safetensors")
    net = for_sampling(net, recipe.precision or None)
    rng = torch.Generator().manual_seed(recipe.seed)
    for state in sample(net, PIXELS.noise(recipe.num, rng), recipe.plan, rng, PIXELS):
        if state.step == recipe.stopped_at:
            break
    return images.quantise(state.x)


@pytest.mark.parametrize(
    "changes",
    [{}, {"stopped_at": 4}, {"precision": "float32"}, {"plan": STRONG}, {"plan": STRONG, "transition_strength": 1.5}],
)
def test_page_command_and_python_make_the_same_bytes(changes, weights, tmp_path):
    recipe = own(weights, **changes)
    expected = plain(weights, recipe)
    command, files = sampled(weights, recipe, tmp_path)
    page, saved, _ = paged(weights, recipe, tmp_path)
    assert torch.equal(command, expected)
    assert torch.equal(page, expected)
    again = from_png(files[1].read_bytes())
    assert again == replace(recipe, index=1)
    assert saved == recipe


def notes(weights, recipe, tmp_path, capsys):
    """What is said of a recipe, which page and command say alike."""
    _, said = restore.restore(png(recipe), weights, "cpu")
    sampled(weights, recipe, tmp_path)
    err = capsys.readouterr().err
    *_, sentence = paged(weights, recipe, tmp_path)
    for note in said:
        assert note in err
        assert note in sentence
    return " ".join(said)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stopped_at": 4}, "stopped at step 4, and stops there again."),
        ({"from_picture": True}, "began at a given picture and this begins at noise, so the result will differ"),
        ({"steered": True}, "sliders were moved while it ran"),
        ({"fingerprint": "0" * 16}, "another version of this model"),
        ({"precision": ""}, "does not say in which precision it was made"),
    ],
)
def test_what_cannot_be_made_again_is_said(changes, message, weights, tmp_path, capsys):
    assert message in notes(weights, own(weights, **changes), tmp_path, capsys)


def test_nothing_is_said_of_what_is_made_again(weights, tmp_path, capsys):
    assert notes(weights, own(weights), tmp_path, capsys) == ""


def test_a_precision_that_is_not_to_be_had_is_said(weights, monkeypatch):
    monkeypatch.setattr("ebm_core.precision.has_bf16", lambda device: False)
    recipe, said = restore.restore(png(own(weights, precision="bfloat16")), weights, "cpu")
    assert recipe.precision == "float32"
    assert said == [
        "It was made in bfloat16, which this device does not have: here it is float32, so the result will differ."
    ]


def test_an_or_of_before_the_levels_is_said(weights):
    either = Composition(Or((Term("tiny-bright", (0.0, 1.0)), Term("tiny-kind", (1.0, 0.0, 0.0)))))
    recipe = replace(recipe_of(either, weights, "cpu"), precision="")
    assert any("put on one level" in note for note in restore.restore(png(recipe), weights, "cpu").notes)


def test_a_composition_as_json_is_its_models_own_plan(weights):
    node = {"model": "tiny-bright", "label": [0, 1]}
    recipe, said = restore.restore(json.dumps(node).encode(), weights, "cpu")
    assert (recipe.composition.to_plain(), recipe.model, recipe.plan, said) == (node, "tiny", PLAN, [])
    *_, state = chain(load_scene(recipe, weights, "cpu"), recipe)
    assert state.x.shape == (16, 3, 8, 8)
    assert from_png(png(recipe)) == recipe  # the label with it


def test_strangers_name_no_files(weights, tmp_path):
    save_tiny(tmp_path / "elsewhere", "secret")
    path = str(tmp_path / "elsewhere" / "secret")
    given = png(Recipe(path, "0" * 16, PLAN, 0, 1))
    with pytest.raises(ValueError, match="which is not here; there are: tiny, tiny-bright"):
        restore.restore(given, weights, "cpu")
    assert restore.restore(given, weights, "cpu", anywhere=True).recipe.model == path


@pytest.mark.parametrize("data", [b"[", b"\xff\xfe", b"text"])
def test_other_files_are_sentences(data, weights):
    with pytest.raises(ValueError, match="neither JSON nor a PNG"):
        restore.restore(data, weights, "cpu")


def test_old_recipes_have_no_precision(weights):
    old = to_dict(own(weights))
    del old["precision"]
    assert from_png(images.encode_png(Image.new("RGB", (2, 2)), old)).precision == ""


def test_recipes_from_when_the_plan_kept_pixels_in_range_make_the_same_bytes(weights, tmp_path):
    recipe = own(weights)
    old = to_dict(recipe)
    old["plan"]["langevin"]["clamp"] = True
    assert from_png(images.encode_png(Image.new("RGB", (2, 2)), old)) == recipe
    old["plan"]["langevin"]["clamp"] = False
    with pytest.raises(ValueError, match=r"did not keep pixels in \[0, 1\], which is no longer done"):
        from_png(images.encode_png(Image.new("RGB", (2, 2)), old))


def test_a_composition_of_latent_models_walks_in_their_space(tmp_path):
    """Its labels are levelled on noise of that space; codec and base lie in the same weights folder."""
    codec = save_random_codec(tmp_path / "tiny-codec")
    save_latent(tmp_path / "base", codec, family="f")
    bright = Attribute("bright", "binary", ("Bright",), ("dark", "bright"))
    save_latent(tmp_path / "bright", codec, net=replace(NET, label_dim=2), family="f", attribute=bright)
    asked = Composition(Or((Term("bright", (0.0, 1.0)), Term("bright", (1.0, 0.0)))))
    recipe = recipe_of(asked, tmp_path, "cpu", num=2)
    scene = load_scene(recipe, tmp_path, "cpu")
    assert scene.space.shape == (5, 8, 8)
    *_, state = chain(scene, recipe)
    assert state.x.shape == (2, 5, 8, 8)
    base, _ = load_model(tmp_path / "base" / "model.safetensors")
    for term in scene.energy.energies:  # labels are all alike on average, where chains start
        noise = fixed_noise(scene.space, base)
        torch.testing.assert_close(term(noise).mean(), base(noise).mean(), atol=1e-4, rtol=0)


def test_a_repainted_composition_walks_from_noise_by_the_models_own_plan(tmp_path):
    save_tiny_family(tmp_path)
    term = Term("tiny-bright", (0.0, 1.0))
    composition = Composition(And((term,), (1.0,)))
    whole = restore.recipe_of(composition, tmp_path, "cpu", 4, 2)
    part = replace(whole, plan=whole.plan.refining(3), from_picture=True, stopped_at=2)
    recipe, said = restore.restore(png(part), tmp_path, "cpu")
    assert recipe == whole
    assert said == ["It began at a given picture and this begins at noise, so the result will differ."]
