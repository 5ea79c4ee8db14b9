"""The composing page's handlers, as plain functions and generators."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from app import composing
from app.asks import decompose, read_ask
from app.composing import follow, levels, matrix
from app.presets import COMPOSITIONS
from app.sampling import read_settings
from app.session import _ended
from app.ui import build_ui
from app.walk import Walk
from ebm_core.checkpoint import replace_plan
from ebm_core.family import Ask, Family, compose
from ebm_core.recipe import from_png
from ebm_core.sampling import sample
from tests.app.asking import BRIGHT, DARK, RING, ask
from tests.app.conftest import ATTRIBUTES, PLAN, save_attribute, save_tiny
from tests.app.test_sampling import begin
from tests.conftest import PIXELS
from train.config import TrainConfig

CONFIGS = Path(__file__).parents[2] / "train" / "configs"


pytestmark = pytest.mark.usefixtures("every_frame")


def test_families_are_found_and_unlabelled_models_sampled(family_catalog, family, catalog):
    assert family_catalog.names() == ["tiny"]
    assert family.base == "tiny"
    assert family.attributes == {f"tiny-{name}": attribute for name, attribute in ATTRIBUTES.items()}
    assert not family_catalog.problems()
    assert catalog.families() == {}


def test_a_composed_walk_is_that_of_the_core(family_catalog, family, session):
    *_, last = composing.start(session, family_catalog, family, [BRIGHT, RING], 3, 5)
    assert last.phase == "finished"
    recipe = from_png(Path(last.result.gallery[0][0]).read_bytes())
    assert recipe.composition == compose(family, [BRIGHT, RING])
    assert recipe.plan.langevin.step_size == pytest.approx(PLAN.langevin.step_size)
    assert not recipe.steered
    nets = {name: family_catalog.get(name).net for name in recipe.composition.models()}
    rng = torch.Generator().manual_seed(5)
    energy = recipe.composition.energy(nets, None, PIXELS)
    for state in sample(energy, PIXELS.noise(3, rng), recipe.plan, rng, PIXELS):
        pass
    assert torch.equal(session.walk.state.x, state.x)


def test_each_attribute_has_a_line_of_its_own_energy(family_catalog, family, session):
    for _ in composing.start(session, family_catalog, family, [DARK, replace(RING, operator="not", weight=0.2)], 2, 5):
        pass
    walk = session.walk
    assert set(walk.lines) == {"dark", "not ring", "any"}
    steps = range(PLAN.num_steps + 1)
    weights = {"dark": 0.5, "not ring": -0.06, "any": 0.56}
    total = [sum(weight * walk.lines[name][s] for name, weight in weights.items()) for s in steps]
    torch.testing.assert_close(torch.tensor(total), torch.stack([e.mean() for e in walk.energies]))
    names = {trace.name for trace in _ended(walk).plot.data}
    assert names == set(weights)


def test_moving_a_slider_turns_the_running_walk(family_catalog, family, session, gate):
    """The chain goes on from where it is, as one that had been made of two parts."""
    views = composing.start(session, family_catalog, family, [BRIGHT], 2, 5)
    gate.let(5)
    view = next(v for v in views if "step 4 of" in v.status)
    assert view.phase == "running"
    follow(session, family_catalog, family, [BRIGHT, RING])
    gate.let(1000)
    for last in views:
        pass
    walk = session.walk
    assert walk.recipe.steered
    assert len(walk.energies) == PLAN.num_steps + 1
    assert set(walk.lines) == {"bright", "ring", "any"}
    assert min(walk.lines["ring"]) == 4
    assert from_png(Path(last.result.gallery[0][0]).read_bytes()).steered

    models = {name: family_catalog.get(name) for name in ["tiny", *family.attributes]}
    infos, nets = ({name: getattr(model, part) for name, model in models.items()} for part in ("info", "net"))
    rng = torch.Generator().manual_seed(5)
    x, first = PIXELS.noise(2, rng), compose(family, [BRIGHT])
    for state in sample(first.energy(nets, None, PIXELS), x, first.plan(infos), rng, PIXELS):
        if state.step == 4:
            break
    second = compose(family, [BRIGHT, RING])
    energy = second.energy(nets, None, PIXELS)
    for final in sample(energy, state.x, second.plan(infos), rng, PIXELS, first_step=4):
        pass
    assert torch.equal(walk.state.x, final.x)


def test_following_leaves_a_walk_alone_that_has_ended_or_asks_for_the_same(family_catalog, family, session):
    follow(session, family_catalog, family, [BRIGHT])
    for _ in composing.start(session, family_catalog, family, [BRIGHT], 2, 5):
        pass
    follow(session, family_catalog, family, [BRIGHT, RING])
    assert not session.walk.recipe.steered
    with pytest.raises(ValueError, match="stand alone"):
        follow(session, family_catalog, family, [replace(RING, operator="not")])


def test_a_walk_cannot_change_its_length(family_catalog, family):
    landscape, recipe = composing.prepare(family_catalog, family, [BRIGHT], 1, 0)
    walk = Walk(landscape, recipe)
    with pytest.raises(ValueError, match="begin another one"):
        walk.change(landscape, replace(recipe, plan=replace(recipe.plan, refinement_steps=99)))


def test_models_that_do_not_fit_are_refused_with_the_reason(family_weights, family_catalog, session):
    other = replace(PLAN, langevin=replace(PLAN.langevin, step_size=7.0))
    save_attribute(family_weights, "tiny-odd", ATTRIBUTES["kind"], plan=other)
    family = family_catalog.families()["tiny"]
    odd = Ask("tiny-odd", ATTRIBUTES["kind"], (1.0, 0.0, 0.0), 1.0)
    with pytest.raises(ValueError, match="other temperatures"):
        next(composing.start(session, family_catalog, family, [BRIGHT, odd], 1, 0))


def test_the_matrix_shows_every_cell_from_one_seed(family_catalog, family, session):
    turn = ask("turn", 90.0, 1.0, "and")
    views = list(matrix(session, family_catalog, family, [turn, RING], "tiny-bright", "tiny-kind", 3))
    assert [told.split(" of")[0] for _, told in views[:2]] == ["cell 1", "cell 2"]
    table, told = views[-1]
    assert told == "9 cells, seed 3"
    assert table.count("<img") == 9
    assert "any bright" in table
    assert len(views) == 9
    both = [ask("bright", 0.6, "and"), ask("kind", "dot", 0.6, "and")]
    *_, last = composing.start(session, family_catalog, family, [turn, *both], 2, 3)
    assert composing.present.encode_row(session.walk.state.x) in _pictures(table)
    assert last.phase == "finished"


def _pictures(table):
    import base64
    import re

    return [base64.b64decode(data) for data in re.findall(r"base64,([^\"]+)", table)]


def test_the_matrix_has_values_for_every_kind_and_ends_when_another_begins(family_catalog, family, session):
    for attribute in ATTRIBUTES.values():
        shown = levels(attribute)
        assert 3 <= len(shown) <= 4
        for level in shown:
            read_ask("m", attribute, [*level, "and"])
    with pytest.raises(ValueError, match="against itself"):
        next(matrix(session, family_catalog, family, [], "tiny-kind", "tiny-kind", 0))
    first = matrix(session, family_catalog, family, [], "tiny-kind", "tiny-turn", 0)
    next(first)
    session.matrix = object()
    assert list(first) == []


def test_a_picture_gives_its_recipe_back(family_catalog, family, session, catalog, tmp_path):
    asks = [BRIGHT, replace(RING, operator="not")]
    *_, last = composing.start(session, family_catalog, family, asks, 2, 5)
    recipe, sentence = composing.read_composition(session, family_catalog, last.result.grid)
    assert (recipe.model, recipe.seed, recipe.num) == ("tiny", 5, 2)
    values = decompose(recipe.composition, family)
    assert values["tiny-bright"] == [1.0, "and"]
    assert values["tiny-kind"] == [["ring"], pytest.approx(0.8), "not"]
    assert "differ" not in sentence
    with pytest.raises(ValueError, match="drop it on the Compose page"):
        read_settings(session, family_catalog, last.result.grid)
    with pytest.raises(ValueError, match="by the model 'tiny-bright', which is not here; there are: alpha, beta"):
        composing.read_composition(session, catalog, last.result.grid)
    save_attribute(family_catalog.weights, "tiny-bright", ATTRIBUTES["bright"], seed=99)
    assert "another version" in composing.read_composition(session, family_catalog, last.result.grid)[1]


def test_a_picture_of_one_model_belongs_to_the_sampling_page(catalog, family_catalog, session):
    save_tiny(family_catalog.weights, "alpha")
    *_, last = begin(session, catalog)
    with pytest.raises(ValueError, match="has no attributes to compose, as tiny have: drop it on the Sample page"):
        composing.read_composition(session, family_catalog, last.result.grid)


def test_a_picture_of_the_family_s_own_model_opens_the_family_with_its_seed(family_catalog, session):
    *_, last = begin(session, family_catalog, 3, 8, model="tiny")
    recipe, sentence = composing.read_composition(session, family_catalog, last.result.gallery[0][0])
    family = family_catalog.families()["tiny"]
    assert recipe == composing.make_recipe(family_catalog, family, [], 3, 8)
    assert sentence == "This picture was made by 'tiny' alone: now ask for attributes, from the same seed."


def test_presets_ask_for_what_the_configs_train():
    from ebm_core.config import load_toml

    for asked in (asked for family in COMPOSITIONS.values() for asked in family.values()):
        asks = []
        for model, values in asked.items():
            attribute = load_toml(TrainConfig, CONFIGS / f"{model}.toml", ["data.path=none"]).attribute
            asks.append(read_ask(model, attribute, values))
        compose(Family("f", None, {}), asks)


def test_the_page_has_controls_for_every_attribute(family_catalog):
    blocks = build_ui(family_catalog).blocks.values()
    ids = {getattr(block, "elem_id", None) for block in blocks}
    assert {"tiny-bright-strength", "tiny-kind-value", "tiny-place-y", "tiny-turn-value", "tiny-turn-operator"} <= ids
    assert math.prod(name in ids for name in ("compose", "words", "formula", "matrix", "compose-gallery"))


def test_finished_pictures_carry_what_a_classifier_reads(family_catalog, family, session):
    from ebm_core.classifier import CLASSIFIER_FILE, Classifier, ClassifierConfig, save_classifier

    classifier = Classifier(ClassifierConfig(tuple(ATTRIBUTES.values()), image_size=8, width=2)).eval()
    save_classifier(family_catalog.weights / "tiny" / CLASSIFIER_FILE, classifier)
    *_, last = composing.start(session, family_catalog, family, [BRIGHT], 2, 5)
    expected = set(family_catalog.captioner("tiny")(session.walk.state.x))
    assert {caption.split(" · ")[1] for _, caption in last.result.gallery} == expected
    assert not family_catalog.problems()


def test_a_damaged_classifier_is_told_and_chains_walk_without_it(family_catalog, family, session):
    (family_catalog.weights / "tiny" / "classifier.safetensors").write_bytes(b"no")
    assert "no safetensors file that can be used: it is text" in family_catalog.problems()[0]
    *_, last = composing.start(session, family_catalog, family, [BRIGHT], 2, 5)
    assert all(" · " not in caption for _, caption in last.result.gallery)


@pytest.fixture
def longer_base(family_catalog):
    """The family's own model walks longer than its attributes, in two chains for each picture."""
    plan = replace(PLAN, rounds=3, langevin=replace(PLAN.langevin, steps=5), candidates=2)
    replace_plan(family_catalog.weights / "tiny" / "model.safetensors", plan, {})
    return plan


@pytest.mark.parametrize("turn", [([], [BRIGHT]), ([BRIGHT], [])])
def test_a_slider_that_leaves_or_reaches_off_turns_the_walk_too(
    family_catalog, family, session, gate, longer_base, turn
):
    before, after = turn
    views = composing.start(session, family_catalog, family, before, 2, 5)
    gate.let(3)
    assert "step 2 of" in next(v for v in views if "step 2 of" in v.status).status
    plan = session.walk.recipe.plan
    assert plan.num_steps == (longer_base if not before else PLAN).num_steps
    follow(session, family_catalog, family, after)
    gate.let(1000)
    assert list(views)[-1].phase == "finished"
    assert session.walk.recipe.steered
    assert session.walk.recipe.plan == replace(plan, candidates=1)
    assert session.walk.state.step == plan.num_steps


def test_a_composition_with_a_longer_base_keeps_the_attributes_plan(family_catalog, family, session, gate, longer_base):
    gate.let(1000)
    *_, last = composing.start(session, family_catalog, family, [BRIGHT], 1, 5)
    assert last.phase == "finished"
    assert session.walk.recipe.plan.num_steps == PLAN.num_steps


def test_every_cell_of_the_matrix_walks_by_one_plan(family_catalog, family, session, longer_base, monkeypatch):
    plans = []

    class Watched(Walk):
        def __init__(self, landscape, recipe, start=None):
            plans.append(recipe.plan)
            super().__init__(landscape, recipe, start)

    monkeypatch.setattr(composing, "Walk", Watched)
    list(matrix(session, family_catalog, family, [], "tiny-bright", "tiny-kind", 3))
    assert len(plans) == 9
    sizes = {plan.langevin.step_size for plan in plans}
    assert {replace(plan, langevin=PLAN.langevin) for plan in plans} == {PLAN}
    assert sizes == {PLAN.langevin.step_size}


def test_the_lines_of_a_restored_recipe_are_in_its_own_order(family_catalog, family, session):
    first, second = compose(family, [RING, BRIGHT]), compose(family, [BRIGHT, RING])
    assert first.root.terms != second.root.terms
    lines = {}
    for composition in (first, second):
        recipe = replace(composing.make_recipe(family_catalog, family, [BRIGHT, RING], 2, 5), composition=composition)
        landscape, used = composing.prepare(family_catalog, family, [BRIGHT, RING], 2, 5, restored=recipe)
        assert used.composition == composition
        walk = Walk(landscape, used)
        walk.go_on()
        while walk.wait(1):
            pass
        lines[composition] = walk.lines
    for name in ("bright", "ring", "any"):
        assert lines[first][name][0] == pytest.approx(lines[second][name][0], rel=1e-4)
    assert lines[first]["bright"][0] != pytest.approx(lines[first]["ring"][0], rel=1e-3)


def test_the_lines_name_ors_and_nots(family_catalog, family):
    either = compose(family, [replace(BRIGHT, operator="or"), replace(RING, operator="or")])
    assert list(composing._lines(either, family)(torch.ones(1, 1))) == ["bright or ring"]
    without = compose(family, [BRIGHT, replace(RING, operator="not")])
    assert list(composing._lines(without, family)(torch.ones(1, 3))) == ["bright", "not ring", "any"]
