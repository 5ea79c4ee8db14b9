"""Settings as an address and back."""

import re
from dataclasses import replace
from types import SimpleNamespace

import pytest

from app import composing, editing, links
from app.editing import PAINTED, WHOLE
from app.settings import controls_of, make_recipe
from app.ui import build_ui
from tests.app.asking import BRIGHT, DARK, RING, ask
from tests.app.conftest import ATTRIBUTES, save_attribute


def test_a_link_of_the_sample_tab_says_what_differs_from_the_model(catalog):
    model = catalog.get("alpha")
    own = controls_of(model)
    assert (
        links.write(catalog, make_recipe(model, own, 12, 2**32 - 1)) == "?tab=sample&model=alpha&seed=4294967295&num=12"
    )
    recipe = make_recipe(model, replace(own, rounds=0, step_size=1 / 3, transition_strength=0.5), 3, 7)
    address = links.write(catalog, recipe)
    assert address == ("?tab=sample&model=alpha&seed=7&num=3&rounds=0&step_size=0.333333333333&transition_strength=0.5")
    assert links.words(catalog, recipe) == "alpha, seed 7, Rounds N 0, Step size 0.333333, Strength of the jolts 0.5"
    again = links.read(catalog, address).asked
    assert links.write(catalog, again) == address
    assert again.plan.langevin.step_size == pytest.approx(1 / 3, rel=1e-11)
    assert replace(again, plan=recipe.plan) == recipe


@pytest.mark.parametrize(
    ("asks", "fields"),
    [
        ([], ""),
        ([DARK], "&bright=-0.5"),
        ([BRIGHT, replace(RING, operator="not")], "&bright=1&kind=ring,0.8,not"),
        (
            [ask("kind", ["ring", "dot"], 0.35, "or"), ask("turn", 90.0, 0.6, "or")],
            "&kind=ring,dot,0.6,or&turn=90,0.6,or",
        ),
        ([ask("place", 1.0, 1.7, 0.6, "and")], "&place=1,1.7,0.6"),
    ],
)
def test_links_of_compositions_come_back_as_the_same_recipe(family_catalog, family, asks, fields):
    recipe = composing.make_recipe(family_catalog, family, asks, 2, 5)
    address = links.write(family_catalog, recipe)
    assert address == f"?tab=compose&model=tiny&seed=5&num=2{fields}"
    again = links.read(family_catalog, address).asked
    assert links.write(family_catalog, again) == address
    assert again == recipe


@pytest.mark.parametrize(
    ("asks", "where", "strength", "fields", "said"),
    [
        ([], PAINTED, 0.8, "", "edit with tiny, seed 5"),
        ([], WHOLE, 0.3, "&where=whole", "edit with tiny, seed 5, the whole picture"),
        (
            [DARK, replace(RING, operator="not")],
            PAINTED,
            1 / 3,
            "&strength=0.333333333333&bright=-0.5&kind=ring,0.8,not",
            "edit with tiny: dark (0.5), but not ring (0.8), seed 5, strength 0.333333",
        ),
    ],
)
def test_links_of_edits_come_back_as_the_same_edit(family_catalog, asks, where, strength, fields, said):
    edit = editing.make_edit(family_catalog, "tiny", asks, where, strength, 2, 5)
    address = links.write(family_catalog, edit)
    assert address == f"?tab=edit&model=tiny&seed=5&num=2{fields}"
    assert links.words(family_catalog, edit) == said
    again = links.read(family_catalog, address).asked
    assert links.write(family_catalog, again) == address
    assert again == edit._replace(strength=pytest.approx(strength, rel=1e-11))


def test_an_attribute_may_have_the_name_of_an_edit_s_setting(family_weights, family_catalog):
    save_attribute(family_weights, "tiny-power", replace(ATTRIBUTES["bright"], name="strength"))
    for address in (
        "?tab=compose&model=tiny&seed=5&num=2&strength=1",
        "?tab=edit&model=tiny&seed=5&num=2&strength=0.5&tiny-power=1",
    ):
        assert links.write(family_catalog, links.read(family_catalog, address).asked) == address


def test_what_other_sites_append_is_ignored(family_catalog):
    foreign = "&fbclid=IwAR0&utm_source=news&utm_medium=mail&gclid=1&ref=x&gad_source=1&_hsmi=2"
    for address in (
        "?tab=sample&model=tiny&seed=1&num=3",
        "?tab=compose&model=tiny&seed=1&num=3&bright=0.5",
        "?tab=edit&model=tiny&seed=1&num=3",
        "?tab=score",
        "?tab=sample",
        "?tab=edit",
    ):
        assert links.read(family_catalog, address + foreign) == links.read(family_catalog, address)


def test_what_can_be_composed_is_told_by_the_address(family_catalog):
    for address, can in (("?tab=sample&model=tiny", True), ("?tab=sample&model=alpha", False), ("?tab=score", False)):
        assert links.composes(family_catalog, address) == can


def test_an_attribute_whose_name_is_taken_goes_by_its_model(family_weights, family_catalog):
    save_attribute(family_weights, "tiny-other", replace(ATTRIBUTES["bright"]))
    save_attribute(family_weights, "tiny-seed", replace(ATTRIBUTES["turn"], name="seed"))
    address = "?tab=compose&model=tiny&seed=5&num=2&tiny-bright=1&tiny-other=-1&tiny-seed=45,0.5"
    assert links.write(family_catalog, links.read(family_catalog, address).asked) == address


def test_values_may_have_commas(family_weights, family_catalog):
    save_attribute(
        family_weights, "tiny-mood", replace(ATTRIBUTES["kind"], name="mood", values=("so, so", "=1+1", "c"))
    )
    composed = links.read(family_catalog, '?tab=compose&model=tiny&mood="so, so",%3D1%2B1,0.5').asked
    assert "so, so or =1+1" in links.words(family_catalog, composed)
    assert links.read(family_catalog, links.write(family_catalog, composed)).asked == composed


def test_what_a_link_leaves_out_is_as_the_page_opens(catalog, family_catalog):
    recipe = links.read(catalog, "?__theme=dark&tab=sample&model=alpha").asked
    assert recipe == make_recipe(catalog.get("alpha"), controls_of(catalog.get("alpha")), 12, 0)
    assert links.read(catalog, "?tab=score") == ("score", None)
    assert links.read(catalog, "?tab=sample") == ("sample", None)
    assert links.read(catalog, "?__theme=dark") is None
    assert links.read(catalog, "?fbclid=1") is None
    assert links.words(family_catalog, links.read(family_catalog, "?tab=compose&model=tiny&bright=-0.6").asked) == (
        "tiny: dark (0.6), seed 0"
    )


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("tab=sample&model=gamma", "no model 'gamma' here; choose one of"),
        ("tab=sample&model=../tiny", "no model '../tiny' here"),
        ("tab=sample&model=tiny-bright", "'tiny-bright' is for tab=compose; there are: tiny"),
        ("tab=sample&seed=1", "it names no model"),
        ("tab=sample&model=tiny&sede=1", "unknown setting 'sede'; did you mean 'seed'?"),
        ("tab=score&model=tiny", "unknown setting 'model'; there are: tab"),
        ("tab=sample&model=tiny&bright=1", "unknown setting 'bright'; there are: tab, model, seed, num, rounds"),
        ("tab=compose&model=tiny&rounds=1", "unknown setting 'rounds'"),
        ("tab=sample&seed=1&fbclid=1", "it names no model"),
        ("tab=edit&seed=1", "it names no model"),
        ("tab=edit&model=gamma", "no model 'gamma' here"),
        ("tab=edit&model=tiny-bright", "'tiny-bright' is for tab=compose"),
        ("tab=edit&model=tiny&where=here", "where must be one of painted, whole; got 'here'"),
        ("tab=edit&model=tiny&strength=2", "'Strength' must be a number from 0 to 1, got 2"),
        ("tab=edit&model=tiny&strength=", "strength must be a number, got ''"),
        ("tab=edit&model=tiny&bright=3", "'bright' goes from -1 to 1, got 3"),
        ("tab=edit&model=tiny&bright=1,or", "'bright' or what?"),
        ("tab=edit&model=tiny&num=0", "'Chains' must be a whole number from 1 to 64, got 0"),
        ("tab=sample&model=tiny&num=65", "'Chains' must be a whole number from 1 to 64, got 65"),
        ("tab=sample&model=tiny&seed=1.5", "'Seed' must be a whole number"),
        ("tab=sample&model=tiny&seed=one", "seed must be a number, got 'one'"),
        ("tab=sample&model=tiny&seed=", "seed must be a number, got ''"),
        ("tab=sample&model=tiny&step_size=1e30", "'Step size' must be a number between"),
        ("tab=sample&model=tiny&noise_std=nan", "'Noise' must be a number from 0 to 10"),
        ("tab=sample&model=tiny&steps=4000", "more than 5000"),
        ("tab=compose&model=other", "no models to compose of 'other' here; there are: tiny"),
        ("tab=compose&model=tiny&bright=2", "'bright' goes from -1 to 1, got 2"),
        ("tab=compose&model=tiny&bright=", "'bright' must be a weight, with commas between; got ''"),
        ("tab=compose&model=tiny&bright=dark,1", "'bright' must be a weight"),
        ("tab=compose&model=tiny&bright=1,xor", "'bright' must be a weight"),
        ("tab=compose&model=tiny&bright=x", "the weight of 'bright' must be a number, got 'x'"),
        ("tab=compose&model=tiny&kind=1", "'kind' must be a value and a weight"),
        ("tab=compose&model=tiny&kind=square,1", "must be one of dot, bar, ring"),
        ("tab=compose&model=tiny&place=1,1", "'place' must be 2 numbers and a weight"),
        ("tab=compose&model=tiny&place=1,99,1", "'y' of 'place' must be a number from 0 to 4, got 99"),
        ("tab=compose&model=tiny&turn=inf,1", "turn must be 1 finite numbers"),
        ("tab=compose&model=tiny&turn=a,1", "'turn' must be a number, got 'a'"),
        ("tab=compose&model=tiny&turn=%0A,1", "'turn' cannot be read"),
        ("tab=compose&model=tiny&bright=1,or", "'bright' or what?"),
    ],
)
def test_a_bad_link_is_a_sentence(family_catalog, address, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        links.read(family_catalog, address)


def open_page(page, **query):
    """What the page changes as it opens with an address, by the ids of its components."""
    (load,) = (function.fn for function in page.fns.values() if function.name == "on_load")
    changes = load(SimpleNamespace(query_params=query))
    return {getattr(component, "elem_id", None): value for component, value in changes.items()}


def test_the_page_opens_with_what_its_address_says(family_catalog, monkeypatch):
    page = build_ui(family_catalog)
    assert open_page(page, tab="score")["tabs"].selected == "score"
    sample = open_page(page, tab="sample", model="tiny", seed="7", noise_std="0.5")
    assert (sample["tabs"].selected, sample["model"], sample["seed"], sample["num"]) == ("sample", "tiny", 7, 12)
    assert (sample["noise"], sample["rounds"]) == (0.5, 2)
    composed = open_page(page, tab="compose", model="tiny", bright="-0.6", kind="ring,dot,0.5,not")
    assert composed["family"] == "tiny"
    assert (composed["tiny-bright-strength"], composed["tiny-bright-operator"]) == (-0.6, "and")
    assert (composed["tiny-kind-value"], composed["tiny-kind-strength"]) == (["ring", "dot"], 0.5)
    assert composed["tiny-turn-strength"] == 0
    assert composed["words"] == "**tiny: dark (0.6), but not ring nor dot (0.5)**"
    edit = open_page(page, tab="edit", model="tiny", where="whole", bright="-0.6", seed="3", fbclid="1")
    assert (edit["tabs"].selected, edit["edit-model"], edit["edit-seed"], edit["edit-num"]) == ("edit", "tiny", 3, 4)
    assert (edit["edit-where"], edit["edit-strength"]) == (WHOLE, 0.3)
    assert (edit["edit-tiny-bright-strength"], edit["edit-tiny-turn-strength"]) == (-0.6, 0)
    warnings = []
    monkeypatch.setattr("gradio.Warning", lambda sentence, **_: warnings.append(sentence))
    assert open_page(page, tab="sample", model="<b>") == {None: "update"}
    assert open_page(page, tab="other") == {None: "update"}
    assert open_page(page, fbclid="1") == {None: "update"}
    assert [sentence.split("; there are")[0].split("; choose")[0] for sentence in warnings] == [
        "This link cannot be used: there is no model '&lt;b&gt;' here",
        "This link cannot be used: there is no tab 'other' here",
    ]


def test_copy_link_says_what_the_controls_ask_for(family_catalog, monkeypatch):
    monkeypatch.setattr("gradio.Info", lambda sentence: None)
    page = build_ui(family_catalog)
    copies = {function.inputs[0].elem_id: function for function in page.fns.values() if function.name == "on_link"}
    values = {component.elem_id: component.value for component in copies["edit-model"].inputs} | {"edit-num": 2}
    assert copies["edit-model"].fn(*values.values()) == "?tab=edit&model=tiny&seed=0&num=2"
    values = {component.elem_id: component.value for component in copies["family"].inputs}
    values |= {"tiny-bright-strength": 0.6, "compose-seed": 5}
    assert copies["family"].fn(*values.values()) == "?tab=compose&model=tiny&seed=5&num=12&bright=0.6"
    with pytest.raises(ValueError, match="or what"):
        copies["family"].fn(*(values | {"tiny-bright-operator": "or"}).values())
    values = [component.value for component in copies["model"].inputs]
    assert copies["model"].fn(*values) == "?tab=sample&model=tiny&seed=0&num=12"
