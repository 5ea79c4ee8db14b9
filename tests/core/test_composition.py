"""Compositions as data: there and back, what they mean, and what is refused with which reason."""

import json
from dataclasses import replace

import pytest
import torch

from ebm_core import images
from ebm_core.attribute import Attribute
from ebm_core.checkpoint import ModelInfo
from ebm_core.composition import And, Composition, CompositionError, Or, Term, conjunction
from ebm_core.langevin import LangevinConfig
from ebm_core.level import fixed_noise
from ebm_core.recipe import Recipe, from_png, to_png
from ebm_core.sampling import SamplePlan
from tests.conftest import CONDITIONAL_TINY, PIXELS, TINY, conditional_tiny

PLAN = SamplePlan(1, 1, True, LangevinConfig(step_size=60.0))
SMILING = Attribute("smiling", "binary", ("Smiling",), ("not smiling", "smiling"))
INFOS = {
    "faces": ModelInfo(TINY, PLAN, family="faces"),
    "smiling": ModelInfo(CONDITIONAL_TINY, PLAN, family="faces", attribute=SMILING),
    "young": ModelInfo(CONDITIONAL_TINY, PLAN, family="faces"),
    "type": ModelInfo(CONDITIONAL_TINY, PLAN, family="objects"),
    "orphan": ModelInfo(CONDITIONAL_TINY, PLAN),
    "large": ModelInfo(replace(CONDITIONAL_TINY, image_size=16), PLAN, family="faces"),
    "slow": ModelInfo(CONDITIONAL_TINY, replace(PLAN, langevin=LangevinConfig(step_size=1.0)), family="faces"),
}
YES, NO = (0.0, 1.0), (1.0, 0.0)
NESTED = Composition(And((Or((Term("smiling", YES), Term("young", NO)), 7.0), Term("young", YES)), (1.5, -0.5)))


def test_there_and_back():
    assert Composition.from_plain(json.loads(json.dumps(NESTED.to_plain()))) == NESTED
    assert NESTED.models() == ["smiling", "young"]


def test_a_png_carries_it():
    recipe = Recipe("faces", "0" * 16, PLAN, 1, 2, composition=NESTED)
    assert from_png(to_png(images.to_pil(torch.zeros(3, 4, 4)), recipe)) == recipe


def test_the_energy_is_the_one_written_down():
    nets = {"smiling": conditional_tiny(0), "young": conditional_tiny(1)}
    x = torch.rand(3, 3, 8, 8)
    energy = NESTED.energy(nets, None, PIXELS)

    def of(name, label):
        noise = fixed_noise(PIXELS, nets[name])
        levels = [nets[name](pictures, torch.tensor(label).expand(len(pictures), 2)) for pictures in (x, noise)]
        return levels[0] - levels[1].mean()

    either = -torch.logsumexp(-7.0 * torch.stack([of("smiling", YES), of("young", NO)]), 0) / 7.0
    expected = torch.stack([1.5 * either, -0.5 * of("young", YES)], dim=1)
    torch.testing.assert_close(energy.scale_energies(x), expected)
    torch.testing.assert_close(energy(x), expected.sum(1))


def test_more_terms_do_not_mean_longer_steps():
    assert NESTED.total_weight() == 1.0
    assert NESTED.plan(INFOS).langevin.step_size == 60.0
    assert Composition(And((Term("smiling", YES), NESTED.root), (1.0, 2.0))).plan(INFOS).langevin.step_size == 20.0
    alone = Composition(And((Term("smiling", YES),), (0.25,)))
    assert alone.plan(INFOS).langevin.step_size == 240.0  # a quarter of the gradient, four times the step


def test_a_base_that_walks_longer_mixes():
    longer = replace(PLAN, langevin=replace(PLAN.langevin, steps=3 * PLAN.langevin.steps))
    infos = INFOS | {"faces": replace(INFOS["faces"], plan=longer)}
    composition = Composition(conjunction([Term("smiling", YES), Term("young", YES)], [1.0, 1.0], Term("faces")))
    assert composition.plan(infos) == composition.plan(INFOS)


def test_candidates_are_for_a_model_alone():
    infos = {name: replace(INFOS[name], plan=replace(PLAN, candidates=3)) for name in ("faces", "smiling", "young")}
    assert Composition(Term("faces")).plan(infos).candidates == 3
    for composition in (NESTED, Composition(conjunction([Term("smiling", YES)], [0.5], Term("faces")))):
        assert composition.plan(infos).candidates == 1


def test_what_attributes_have_in_common_counts_once():
    smiling, young, base = Term("smiling", YES), Term("young", NO), Term("faces")
    assert conjunction([smiling, young], [1.0, 0.5], base) == And((smiling, young, base), (1.0, 0.5, -0.5))
    assert conjunction([smiling], [0.25], base) == And((smiling, base), (0.25, 0.75))
    assert conjunction([smiling], [1.0], base) == And((smiling,), (1.0,))
    assert conjunction([smiling, young], [1.0, 0.5], None) == And((smiling, young), (1.0, 0.5))
    assert Composition(conjunction([smiling, young], [1.0, 1.0], base)).total_weight() == 1.0
    with pytest.raises(CompositionError, match="a NOT cannot stand alone"):
        conjunction([smiling], [-0.5], base)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (Term("type", YES), r"'smiling' \(faces\) and 'type' \(objects\) cannot be mixed: .* different pictures"),
        (Term("orphan", YES), r"'orphan' \(no family\)"),
        (Term("large", YES), "one makes pictures of 8 pixels with 3 channels, the other of 16"),
        (Term("slow", YES), "their chains have other temperatures"),
        (Term("gone", YES), "there is no model 'gone' here; there are: faces, "),
        (Term("young"), "takes a label of 2 numbers, got 0"),
        (Term("faces", YES), "takes a label of 0 numbers, got 2"),
    ],
)
def test_models_that_do_not_fit_are_refused(other, message):
    with pytest.raises(CompositionError, match=message):
        Composition(And((Term("smiling", YES), other), (1.0, 1.0))).plan(INFOS)


def test_models_tuned_to_other_lengths_of_steps_are_mixed():
    own = INFOS["young"].plan
    longer = replace(own.langevin, step_size=4 * own.langevin.step_size, noise_std=2 * own.langevin.noise_std)
    infos = INFOS | {"young": replace(INFOS["young"], plan=replace(own, langevin=longer))}
    both = Composition(And((Term("smiling", YES), Term("young", YES)), (0.5, 0.5)))
    assert both.plan(infos).langevin.step_size == own.langevin.step_size


LEAF = {"model": "smiling", "label": [0, 1]}


def deep(levels):
    node = LEAF
    for _ in range(levels):
        node = {"and": [{"weight": 1, "term": node}]}
    return node


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "is a dictionary, got None"),
        ([], "is a dictionary"),
        ({}, "has 'model', 'and' or 'or'"),
        ({"xor": []}, "got 'xor'"),
        ({"model": 3}, "a name and a list"),
        ({"model": "a", "label": "b"}, "a name and"),
        ({"model": "a", "label": [True]}, "finite numbers"),
        ({"model": "a", "label": [float("nan")]}, "finite numbers"),
        ({"and": []}, "nothing is asked for"),
        ({"and": [LEAF]}, "'weight': NUMBER"),
        ({"and": [{"weight": -1, "term": LEAF}]}, "a NOT cannot stand alone"),
        ({"and": [{"weight": 0, "term": LEAF}]}, "leave out what should not count"),
        ({"and": [{"weight": 99, "term": LEAF}]}, "from -4 to 4"),
        ({"model": "a", "label": [10**400]}, "finite numbers"),
        ({"and": [{"weight": 10**400, "term": LEAF}]}, "finite numbers"),
        (
            {"and": [{"weight": 1, "term": LEAF}, {"weight": -0.5, "term": {"and": [{"weight": 2, "term": LEAF}]}}]},
            "the NOTs weigh 1 and what is asked for only 1",
        ),
        ({"and": [{"weight": 1, "term": LEAF}, {"weight": -1, "term": LEAF}]}, "they must weigh less"),
        ({"or": [LEAF]}, "two terms or more, got 1"),
        ({"or": [LEAF, LEAF], "sharpness": 0}, "must be positive"),
        (deep(7), "at most 6 deep"),
        ({"or": [LEAF] * 17}, "at most 16 terms"),
    ],
)
def test_nonsense_is_refused(value, message):
    with pytest.raises(CompositionError, match=message):
        Composition.from_plain(value)
