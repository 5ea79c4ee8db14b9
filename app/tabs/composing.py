"""The tab that composes: what is asked of each attribute on the left, the live chains on the right."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import gradio as gr
from gradio.components import Component

from app import asks, composing
from app.catalog import Catalog
from app.chain_buttons import build_buttons, wire
from app.chain_view import build_chain_view
from app.events import EACH, NEWEST, warn
from app.inputs import build_chains, build_seed
from app.keeping import Kept, build_keeping
from app.presets import COMPOSITIONS
from app.session import Session, View
from app.tab import Tab
from app.tabs.attributes import AttributeInputs, asks_of
from ebm_core.family import NOT_SHARE, Family, compose
from ebm_core.recipe import Recipe

INTRO = """Each slider is a model of its own, trained apart from the others. Their **energies are added**, and the walk
goes down the sum: where all of them agree. What they have in common, the energy of *any* picture of the family, counts
once. Move a slider while the chains walk, and they follow. 0 is off; the further from 0, the more it counts."""
SHOWN_FIRST = "faces128"  # of the families
JOINING = f"""*and*: it counts beside the others. *or*: this, or another one that says *or*. *not*: rather without. A
*not* counts {NOT_SHARE:g} of its slider (0.6 becomes {-0.6 * NOT_SHARE:.2g}), so what is asked for outweighs it."""


def build_composing_tab(catalog: Catalog, session: gr.State) -> Kept:
    """Place the tab's components and wire them."""
    families = catalog.families()
    names = sorted(families, key=lambda name: (name != SHOWN_FIRST, name))
    gr.Markdown(INTRO)
    with gr.Row(elem_classes=["stage", "stage-follows"], elem_id="composing"):
        with gr.Column(elem_classes="stage-left"):
            with gr.Column(elem_classes="stage-ask"):
                family = gr.Radio(names, value=names[0], label="Family", elem_id="family", visible=len(names) > 1)
                preset = gr.Dropdown(
                    _preset_names(families[names[0]]), value=None, label="Try a recipe", elem_id="compose-preset"
                )
                buttons = build_buttons("Compose", "compose", "compose-")
            with gr.Column(elem_classes="stage-more"):
                controls = {name: AttributeInputs(families[name], name == names[0]) for name in names}
                gr.Markdown(JOINING, elem_classes="aside")
                num = build_chains("compose-num")
                seed = build_seed(session, "compose-")
                keeping = build_keeping("compose-")
                dropped = gr.File(
                    label="Restore a recipe from a saved PNG",
                    file_types=[".png"],
                    height=130,
                    elem_id="compose-restore",
                )
        with gr.Column(elem_classes="stage-right"):
            with gr.Column(elem_classes="stage-words"):
                words = gr.Markdown(f"**{asks.in_words(families[names[0]], [])}**", elem_id="words")
                formula = gr.Markdown(asks.formula(families[names[0]], []), elem_id="formula", elem_classes="formula")
            view = build_chain_view(session, "compose-", "Compose")
    several = len(families[names[0]].attributes) > 1
    with gr.Accordion(
        "Two attributes against each other", open=False, visible=several, elem_id="matrix-section"
    ) as against:
        gr.Markdown("Every cell starts from the same noise; what the other sliders ask for stays.")
        with gr.Row(equal_height=True):
            rows = gr.Dropdown(_attributes(families[names[0]]), label="Down", elem_id="matrix-rows")
            columns = gr.Dropdown(
                _attributes(families[names[0]]),
                value=_second(families[names[0]]),
                label="Across",
                elem_id="matrix-columns",
            )
            compare = gr.Button("Compare", min_width=90, elem_id="compare")
        progress = gr.Markdown(elem_id="matrix-status", elem_classes="live-status")
        table = gr.HTML(elem_id="matrix")

    inputs = [component for one in controls.values() for component in one.inputs]

    asked_of = partial(asks_of, controls)

    def describe(name: str, values: tuple[Any, ...]) -> dict[Component, Any]:
        """The recipe in words and as a formula, or the reason why there is none."""
        try:
            asked = asked_of(name, values)
            compose(families[name], asked)
        except ValueError as error:
            return {words: f"⚠️ {error}", formula: ""}
        family = families[name]
        return {words: f"**{asks.in_words(family, asked)}**", formula: asks.formula(family, asked)}

    def on_sample(current: Session, name: str, num: float, seed: float, *values: Any) -> Iterator[View]:
        yield from composing.start(current, catalog, families[name], asked_of(name, values), num, seed)

    def recipe_of(name: str, num: float, seed: float, *values: Any) -> Recipe:
        return composing.make_recipe(catalog, families[name], asked_of(name, values), num, seed)

    settings = [family, num, seed, *inputs]
    walks = wire(buttons, view, session, on_sample, settings)

    def on_move(current: Session, name: str, *values: Any) -> dict[Component, Any]:
        description = describe(name, values)
        if description[formula]:
            try:
                composing.follow(current, catalog, families[name], asked_of(name, values))
            except ValueError as error:
                return {words: f"⚠️ {error}", formula: ""}
        return description

    move: dict[str, Any] = {
        "fn": on_move,
        "inputs": [session, family, *inputs],
        "outputs": [words, formula],
        **NEWEST,
    }
    gr.on([component.input for component in inputs], **move)

    def of_family(name: str) -> dict[Component, Any]:
        """What there is of a family, and of no other."""
        offered, second = _attributes(families[name]), _second(families[name])
        return {one.group: gr.Column(visible=other == name) for other, one in controls.items()} | {
            preset: gr.Dropdown(_preset_names(families[name]), value=None),
            rows: gr.Dropdown(offered, value=offered[0][1]),
            columns: gr.Dropdown(offered, value=second),
            against: gr.Accordion(visible=len(offered) > 1),
        }

    def on_family(name: str, *values: Any) -> dict[Component, Any]:
        return of_family(name) | describe(name, values)

    described = [*(one.group for one in controls.values()), preset, rows, columns, against, words, formula]
    # Not ``change``: what sets the family together with the controls would be told of before these have their values.
    family.input(on_family, [family, *inputs], described, **NEWEST)

    def on_preset(name: str, chosen: str | None) -> dict[Component, Any]:
        # Gradio tells of an input also when a dropdown is merely left: it is empty then, and what was moved stays.
        return {} if chosen is None else controls[name].values(COMPOSITIONS[name][chosen]) | {preset: None}

    preset.input(on_preset, [family, preset], [preset, *inputs], **NEWEST).then(**move)

    def on_compare(current: Session, name: str, down: str, across: str, seed: float, *values: Any) -> Iterator[Any]:
        yield from composing.matrix(current, catalog, families[name], asked_of(name, values), down, across, seed)

    compare.click(on_compare, [session, family, rows, columns, seed, *inputs], [table, progress], **EACH)

    def show(recipe: Recipe) -> dict[Component, Any]:
        composed = families[recipe.model]
        assert recipe.composition is not None
        asked = asks.asks_of(recipe.composition, composed)
        return (
            controls[composed.name].values(asks.decompose(recipe.composition, composed))
            | of_family(composed.name)
            | {family: composed.name, num: recipe.num, seed: recipe.seed}
            | {words: f"**{asks.in_words(composed, asked)}**", formula: asks.formula(composed, asked)}
        )

    def on_drop(current: Session, path: str | None) -> dict[Component, Any]:
        if path is None:
            return {}
        try:
            recipe, sentence = composing.read_composition(current, catalog, path)
        except ValueError as error:
            warn(error)
            return {dropped: None}
        gr.Info(sentence)
        return show(recipe) | {dropped: None}

    outputs = [*settings, *described]
    dropped.upload(on_drop, [session, dropped], [dropped, *outputs], **NEWEST).then(**move)
    return Kept(keeping, settings, recipe_of, outputs, show, session, walks)


def _preset_names(family: Family) -> list[str]:
    """The presets whose attributes are all there."""
    return [
        name for name, asked in COMPOSITIONS.get(family.name, {}).items() if all(m in family.attributes for m in asked)
    ]


def _attributes(family: Family) -> list[tuple[str, str]]:
    return [(attribute.name, model) for model, attribute in family.attributes.items()]


def _second(family: Family) -> str:
    return list(family.attributes)[min(1, len(family.attributes) - 1)]


TAB = Tab("Compose", build_composing_tab, wanted=lambda catalog: bool(catalog.families()))
