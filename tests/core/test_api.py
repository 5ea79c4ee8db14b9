"""Three lines of Python: the same pictures and scores as the commands and the page give."""

import io
import math

import pytest
import torch
from PIL import Image

from ebm_core import api, images
from ebm_core.composition import Composition, Or, Term
from ebm_core.recipe import from_png
from ebm_core.restore import chain, load_scene, recipe_of
from ebm_core.sampling import final_state
from tests.app.conftest import CENTRE, png, save_calibrated, save_tiny_family


def arrays(pictures):
    return torch.stack([torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8) for picture in pictures])


@pytest.fixture
def weights(tmp_path):
    save_tiny_family(tmp_path / "weights")
    save_calibrated(tmp_path / "weights", "scored")
    return tmp_path / "weights"


def test_models_say_what_they_can_be_asked_for(weights):
    entries = {entry["name"]: entry for entry in api.models(weights)}
    assert entries["tiny"] == {
        "name": "tiny", "family": "tiny", "image_size": 8, "calibrated": False, "attribute": "", "values": []
    }  # fmt: skip
    assert entries["scored"]["calibrated"]
    assert (entries["tiny-kind"]["attribute"], entries["tiny-kind"]["values"]) == ("kind", ["dot", "bar", "ring"])
    assert entries["tiny-place"]["values"] == ["x", "y"]


def test_samples_are_those_of_the_recipe_and_say_so(weights):
    samples = api.sample("tiny", 3, 5, weights=weights, device="cpu")
    recipe = recipe_of(Composition(Term("tiny")), weights, "cpu", 5, 3)
    scene = load_scene(recipe, weights, "cpu")
    final = final_state(chain(scene, recipe))
    assert samples.energies == final.energy.tolist()
    assert arrays(samples.pictures).equal(arrays([images.to_pil(u8) for u8 in images.quantise(final.x)]))
    assert from_png(samples.png(-1)).index == 2
    assert from_png(samples.png(0)).seed == 5
    again = api.sample("tiny", 3, 5, weights=weights, device="cpu")
    assert again.energies == samples.energies


def test_wishes_become_the_composition_that_the_page_makes(weights):
    wishes = [
        {"attribute": "bright"},
        {"attribute": "kind", "value": "ring", "weight": 0.5, "operator": "not"},
        {"attribute": "turn", "value": 90, "weight": 1},
        {"attribute": "place", "value": [0.0, 1.0], "weight": 0},
    ]
    samples = api.compose("tiny", wishes, 2, 1, weights=weights, device="cpu")
    root = samples.recipe.composition.root
    by_model = dict(zip([term.model for term in root.terms], zip(root.terms, root.weights)))
    assert by_model["tiny-bright"] == (Term("tiny-bright", (0.0, 1.0)), 0.6)
    assert by_model["tiny-kind"][1] == pytest.approx(-0.15)
    assert by_model["tiny-turn"][0].label == pytest.approx((1.0, 0.0), abs=1e-9)
    assert "tiny-place" not in by_model
    assert sum(root.weights) == pytest.approx(1)  # what they have in common counts once
    assert samples.recipe.model == "tiny"
    assert all(math.isfinite(energy) for energy in samples.energies)


def test_of_several_values_any_will_do(weights):
    wishes = [{"attribute": "kind", "value": ["ring", "dot"], "weight": 1}]
    samples = api.compose("tiny", wishes, 1, 1, weights=weights, device="cpu")
    terms = Term("tiny-kind", (0.0, 0.0, 1.0)), Term("tiny-kind", (1.0, 0.0, 0.0))
    assert samples.recipe.composition.root.terms == (Or(terms),)
    with pytest.raises(ValueError, match="must be one of dot, bar, ring"):
        api.compose("tiny", [{"attribute": "kind", "value": []}], 1, 1, weights=weights, device="cpu")


def test_a_score_has_its_verdict_and_all_its_numbers(weights, tmp_path):
    score = api.score(png(), "scored", weights=weights, device="cpu")
    assert score.percentiles["energy"] == pytest.approx(0.9, abs=1e-6)
    assert score.energy == score.scores["energy"]
    assert score.unusual is False
    assert api.score(png(), "scored", 0.2, weights=weights, device="cpu").unusual is True
    (tmp_path / "a.png").write_bytes(png())
    for same in (tmp_path / "a.png", str(tmp_path / "a.png"), images.to_pil(CENTRE)):
        assert api.score(same, "scored", weights=weights, device="cpu").scores == score.scores
    exif = Image.Exif()
    exif[0x0112] = 6  # held upright, by a camera whose rows are columns
    lying = images.encode(images.to_pil(CENTRE).transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif)
    for same in (lying, Image.open(io.BytesIO(lying))):
        assert api.score(same, "scored", weights=weights, device="cpu").scores == score.scores
    raw = api.score(png(), "tiny", weights=weights, device="cpu")
    assert (raw.unusual, raw.threshold, raw.percentiles) == (None, None, {})


def test_a_picture_is_pulled_downhill_from_where_its_score_is(weights):
    seen = []

    def run(function, *arguments):
        result = function(*arguments)
        if function is next and result is not None:
            seen.append(float(result.energy[0]))
        return result

    samples = api.pull_back(png(), "scored", 5, weights=weights, device="cpu", run=run)
    assert seen[0] == pytest.approx(api.score(png(), "scored", weights=weights, device="cpu").energy, abs=1e-7)
    assert len(seen) == 6
    assert samples.energies == [seen[-1]]
    assert samples.recipe.from_picture
    assert Image.open(io.BytesIO(samples.png(0))).size == (8, 8)


def test_what_cannot_be_done_is_a_sentence(weights, tmp_path):
    there = {"weights": weights, "device": "cpu"}
    for call, message in [
        (lambda: api.sample("nope", **there), "no model 'nope'"),
        (lambda: api.sample("tiny", 65, **there), "'num' must be a whole number from 1 to 64, got 65"),
        (lambda: api.sample("tiny", seed=-1, **there), "'seed' must be a whole number from 0"),
        (lambda: api.compose("nope", [], **there), "there is no family 'nope' here; there are: tiny"),
        (lambda: api.compose(["tiny"], [], **there), "there is no family ['tiny'] here; there are: tiny"),
        (lambda: api.compose("tiny", [{"attribute": ["a"]}], **there), "has no attribute ['a']; there are: bright,"),
        (lambda: api.score(images.to_pil(CENTRE).convert("CMYK"), "tiny", **there), "after convert('RGB')"),
        (lambda: api.compose("tiny", [{"attribute": "old"}], **there), "has no attribute 'old'; there are: bright,"),
        (lambda: api.compose("tiny", [{"name": "old"}], **there), "a wish is {'attribute': NAME} with "),
        (lambda: api.compose("tiny", ["old"], **there), "a wish is {'attribute': NAME} with "),
        (lambda: api.compose("tiny", [{"attribute": "bright", "weight": 2}], **there), "the weight of 'bright' must"),
        (lambda: api.compose("tiny", [{"attribute": "kind"}], **there), "kind must be one of dot, bar, ring; got None"),
        (lambda: api.compose("tiny", [{"attribute": "bright", "operator": "xor"}], **there), "joined by one of and, "),
        (lambda: api.score(png(), "tiny-kind", **there), "'tiny-kind' answers only with a label"),
        (lambda: api.score(tmp_path / "nope.png", "tiny", **there), "cannot be read: No such file"),
        (lambda: api.score(b"x", "tiny", 1.5, **there), "'false_alarm_rate' must be a number between 0 and 1"),
        (lambda: api.pull_back(png(), "tiny", 5001, **there), "'steps' must be a whole number from 1 to 5000"),
    ]:
        with pytest.raises(ValueError) as error:
            call()
        assert message in str(error.value)
