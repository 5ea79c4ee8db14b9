"""OR and NOT on the shipped weights: each term of an OR has a fair share, a NOT makes what it forbids less likely."""

from dataclasses import replace
from functools import cache

import pytest
import torch

from ebm_core import hub
from ebm_core.classifier import CLASSIFIER_FILE, load_classifier
from ebm_core.composition import Composition
from ebm_core.family import Ask, compose, families
from ebm_core.hub import WEIGHTS, shipped_infos
from ebm_core.restore import chain, load_scene, recipe_of

INFOS = shipped_infos(WEIGHTS)
NUM = 8
FAIR = 1 / NUM  # without levels one term had all of the samples


def ask(model, value, operator):
    attribute = INFOS[model].attribute
    return Ask(model, attribute, tuple(attribute.encode(value)), 0.6, operator)


@cache
def walk(family: str, composition: Composition):
    """The composed energy, and the points and pictures of a plan of few and long steps, in the precision that every
    machine has."""
    recipe = recipe_of(composition, WEIGHTS, "cpu", num=NUM)
    info = INFOS[composition.models()[0]]
    steps, step_size = (20, 9000.0) if info.space.is_latent else (30, 200.0)
    times = step_size / info.plan.langevin.step_size
    langevin = replace(recipe.plan.langevin, steps=steps, step_size=times * recipe.plan.langevin.step_size)
    plan = replace(recipe.plan, langevin=langevin, refinement_steps=steps // 2)
    scene = load_scene(recipe := replace(recipe, plan=plan, precision="float32"), WEIGHTS, "cpu")
    *_, state = chain(scene, recipe)
    return scene.energy, state.x, scene.space.decode(state.x)


def read(family, x, asked):
    """The share of pictures that a classifier reads as asked."""
    classifier = load_classifier(WEIGHTS / family / CLASSIFIER_FILE)
    output = classifier.by_attribute(classifier(x))[asked.attribute.name]
    return float(asked.attribute.matches(output, torch.tensor([asked.label])).float().mean())


def test_nothing_lies_beside_the_models_that_nobody_reads():
    known = {value for name, value in vars(hub).items() if name.endswith("_FILE")}
    assert {path.name for path in WEIGHTS.glob("*/*")} <= known


@pytest.mark.parametrize(
    ("family", "one", "other"),
    [
        ("objects128", ("objects128-type", "cube"), ("objects128-type", "sphere")),
        ("objects128", ("objects128-size", [0.5]), ("objects128-position", [1.2, 0.0])),
        ("faces128", ("faces128-smiling", "smiling"), ("faces128-young", "old")),
    ],
)
def test_each_term_of_an_or_rules_a_fair_share(family, one, other):
    asks = [ask(*one, "or"), ask(*other, "or")]
    energy, x, pictures = walk(family, compose(families(INFOS)[family], asks))
    ruling = torch.stack([term(x) for term in energy.energies[0].energies]).argmin(0)
    for number, asked in enumerate(asks):
        assert float((ruling == number).float().mean()) >= FAIR
        assert read(family, pictures, asked) >= FAIR


def test_a_not_lowers_the_probability_of_what_it_forbids():
    wanted, forbidden = ask("faces128-female", "female", "and"), ask("faces128-smiling", "smiling", "not")
    family, classifier = families(INFOS)["faces128"], load_classifier(WEIGHTS / "faces128" / CLASSIFIER_FILE)
    smiles = []
    for asks in ([wanted], [wanted, forbidden]):
        output = classifier.by_attribute(classifier(walk("faces128", compose(family, asks))[2]))["smiling"]
        smiles.append(float(output.softmax(dim=1)[:, 1].mean()))
    assert smiles[1] < smiles[0] - 0.05  # of eight pictures as many may smile: none of them need cross the middle
