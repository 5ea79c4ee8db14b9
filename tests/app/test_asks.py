"""What the controls of the composing page mean, in numbers and in words, and back."""

from dataclasses import replace

import pytest

from app.asks import decompose, formula, in_words, read_ask, write_ask
from app.ui import build_ui
from ebm_core.composition import And, Composition, CompositionError, Or, Term
from ebm_core.family import NOT_SHARE, compose
from tests.app.asking import BRIGHT, DARK, RING, ask
from tests.app.conftest import ATTRIBUTES

pytestmark = pytest.mark.usefixtures("every_frame")


@pytest.mark.parametrize(
    ("name", "values", "label", "weight"),
    [
        ("bright", [0.75, "and"], (0, 1), 0.75),
        ("bright", [-0.25, "not"], (1, 0), 0.25),
        ("kind", [["bar"], 0.5, "or"], (0, 1, 0), 0.5),
        ("place", [0.0, 4.0, 1, "and"], (0, 1), 1.0),
        ("turn", [90.0, 0.5, "and"], (1, 0), 0.5),
    ],
)
def test_controls_mean_a_label_a_weight_and_an_operator_and_back(name, values, label, weight):
    asked = ask(name, *values)
    assert asked.label == pytest.approx(label, abs=1e-9)
    assert (asked.weight, asked.operator) == (weight, values[-1])
    again = write_ask(ATTRIBUTES[name], asked.terms, asked.weight, asked.operator)
    assert [value if isinstance(value, (str, list)) else pytest.approx(value) for value in again] == values


def test_of_several_values_any_will_do(family):
    several = ask("kind", ["ring", "dot"], 0.8, "and")
    assert several.words == "ring or dot"
    assert several.node == Or((Term("tiny-kind", (0, 0, 1)), Term("tiny-kind", (1, 0, 0))))
    both = compose(family, [BRIGHT, several])
    assert both == Composition(And((BRIGHT.node, several.node, Term("tiny")), (1.0, 0.8, 1 - 1.8)))
    either = compose(family, [replace(BRIGHT, operator="or"), replace(several, operator="or")])
    assert either.root.terms == (Or((*BRIGHT.terms, *several.terms)),)
    assert compose(family, [replace(several, operator="or")]).root.terms[0] == several.node
    assert in_words(family, [several]) == "tiny: ring or dot (0.8)"
    assert in_words(family, [BRIGHT, several]) == "tiny: bright and (ring or dot) (0.8)"
    assert in_words(family, [BRIGHT, replace(several, operator="not")]) == "tiny: bright, but not ring nor dot (0.8)"


def test_the_page_says_on_what_an_attribute_is_seen(family_catalog):
    ids = {block.elem_id: block for block in build_ui(family_catalog).blocks.values()}
    assert ids["tiny-turn-strength"].info.endswith("seen only on a ring")
    assert "seen" not in ids["tiny-place-strength"].info


def test_zero_is_off():
    assert read_ask("m", ATTRIBUTES["bright"], [0, "and"]) is None
    assert read_ask("m", ATTRIBUTES["kind"], ["dot", 0.0, "or"]) is None


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("bright", [1.5, "and"], "'bright' goes from -1 to 1, got 1.5"),
        ("kind", ["dot", -0.5, "and"], "'kind' goes from 0 to 1"),
        ("kind", ["dot", float("nan"), "and"], "'kind' goes from 0 to 1"),
        ("kind", ["dot", None, "and"], "'kind' goes from 0 to 1"),
        ("kind", ["square", 1.0, "and"], "must be one of dot, bar, ring"),
        ("kind", [["dot", "square"], 1.0, "and"], "must be one of dot, bar, ring"),
        ("kind", [[], 1.0, "and"], "choose one or more different values of 'kind'"),
        ("kind", [["dot", "dot"], 1.0, "and"], "choose one or more different values"),
        ("place", [0.0, float("inf"), 1.0, "and"], "finite"),
        ("bright", [0.5, "xor"], "joined by one of and, or, not"),
    ],
)
def test_values_out_of_range_are_refused(name, values, message):
    with pytest.raises(CompositionError, match=message):
        read_ask("m", ATTRIBUTES[name], values)


def test_operators_become_sums_soft_minima_and_negative_weights(family):
    both = compose(family, [BRIGHT, RING])
    assert both == Composition(And((BRIGHT.node, RING.node, Term("tiny")), (1.0, 0.8, 1 - 1.8)))
    assert compose(replace(family, base=None), [BRIGHT, RING]) == Composition(And((BRIGHT.node, RING.node), (1.0, 0.8)))
    forbidden = compose(family, [BRIGHT, replace(RING, operator="not")])
    assert forbidden.root.weights == pytest.approx((1.0, -0.8 * NOT_SHARE, 0.8 * NOT_SHARE))
    either = compose(family, [replace(BRIGHT, operator="or"), replace(RING, operator="or")])
    assert either == Composition(And((Or((BRIGHT.node, RING.node)),), (1.0,)))
    assert compose(family, []) == Composition(Term("tiny"))


def test_what_makes_no_distribution_is_refused_with_the_reason(family):
    with pytest.raises(CompositionError, match="'bright' or what"):
        compose(family, [RING, replace(BRIGHT, operator="or")])
    with pytest.raises(CompositionError, match="a NOT cannot stand alone"):
        compose(family, [replace(BRIGHT, operator="not")])
    with pytest.raises(CompositionError, match="nothing is asked for"):
        compose(replace(family, base=None), [])
    faint = ask("turn", 0.0, 0.05, "and")
    with pytest.raises(CompositionError, match="must weigh less"):
        compose(family, [faint, replace(BRIGHT, operator="not")])


@pytest.mark.parametrize(
    "asks",
    [
        [],
        [BRIGHT],
        [DARK, RING],
        [BRIGHT, replace(RING, operator="not"), ask("turn", 180.0, 0.5, "and")],
        [BRIGHT, ask("kind", "dot", 0.5, "or"), ask("place", 0.5, 1.0, 0.5, "or")],
        [BRIGHT, ask("kind", ["dot", "bar"], 0.5, "and")],
        [BRIGHT, ask("kind", ["dot", "bar"], 0.5, "not")],
        [ask("bright", 0.5, "or"), ask("kind", ["dot", "bar"], 0.5, "or")],
    ],
)
def test_a_composition_gives_the_controls_back(family, asks):
    values = decompose(Composition.from_plain(compose(family, asks).to_plain()), family)
    again = [read_ask(model, family.attributes[model], part) for model, part in values.items()]
    assert compose(family, again).to_plain() == compose(family, asks).to_plain()


@pytest.mark.parametrize(
    ("root", "message"),
    [
        (BRIGHT.node, "not made on the page"),
        (And((Term("absent", (1.0, 0.0)),), (1.0,)), "needs 'absent', which is not here"),
        (And((BRIGHT.node, RING.node), (1.0, 0.8)), "not made on the page"),
        (And((BRIGHT.node, BRIGHT.node, Term("tiny")), (1.0, 1.0, -1.0)), "twice"),
        (And((Or((BRIGHT.node, DARK.node)),), (1.0,)), "asks twice for 'bright'"),
        (And((And((BRIGHT.node,), (1.0,)),), (1.0,)), "nests deeper"),
        (And((BRIGHT.node, Term("tiny")), (3.0, -2.0)), "end at 1"),
    ],
)
def test_compositions_without_controls_are_refused(family, root, message):
    with pytest.raises(CompositionError, match=message):
        decompose(Composition(root), family)


def test_words_and_formula(family):
    not_ring = replace(RING, operator="not")
    assert in_words(family, []) == "tiny: any (nothing is asked for)"
    assert in_words(family, [DARK, not_ring]) == "tiny: dark (0.5), but not ring (0.8)"
    either = [BRIGHT, ask("kind", "dot", 1.0, "or"), ask("kind", "bar", 1.0, "or")]
    assert in_words(family, either) == "tiny: bright and (dot or bar)"
    plain = formula(family, [BRIGHT, not_ring]).replace("<i>", "").replace("</i>", "")
    assert plain == "E = 1 E<sub>bright</sub> − 0.24 E<sub>kind</sub>(ring) + 0.24 E<sub>any</sub>"
    assert "any" not in formula(replace(family, base=None), [BRIGHT, not_ring])
    assert "softmin(" in formula(family, either)
    assert "any" in formula(family, [])
