"""The tab that samples: controls on the left, the live chains on the right."""

from collections.abc import Iterator
from dataclasses import astuple
from typing import Any

import gradio as gr
from gradio.components import Component

from app import cards
from app.catalog import Catalog
from app.chain_buttons import build_buttons, wire
from app.chain_view import build_chain_view
from app.events import EACH, NEWEST, warn
from app.inputs import build_chains, build_model, build_seed
from app.keeping import Kept, build_keeping
from app.sampling import RESTORED, read_settings, start
from app.session import Session, View
from app.settings import (
    INPUTS,
    PRESET_NAMES,
    PRESETS,
    Controls,
    apply_preset,
    controls_of,
    controls_of_recipe,
    make_recipe,
)
from app.shelf import PICTURE_TARGETS, TARGETS
from app.tab import Tab
from ebm_core.recipe import Recipe
from ebm_core.sampling import MAX_CANDIDATES

SHOWN_FIRST = "cats128"  # of the shipped models the one whose pictures are the clearest
INTRO = """An energy-based model gives every picture one number, its energy: **low means "this looks like what I was
trained on"**. *Sample* starts from pure noise and takes many small steps downhill: the noise *becomes* a picture."""
CODE = """Models of 128 pixels walk in a short code of the picture: meanwhile you see a preview, and when they are done
the picture that the code stands for."""


def build_sampling_tab(catalog: Catalog, session: gr.State) -> Kept:
    """Place the tab's components and wire them."""
    names = catalog.names()
    first = SHOWN_FIRST if SHOWN_FIRST in names else names[0]
    own = controls_of(catalog.get(first))
    settled = gr.State((first, PRESET_NAMES[0]))  # model and preset whose settings were filled in last
    gr.Markdown(INTRO)
    with gr.Row(elem_classes="stage", elem_id="sampling"):
        with gr.Column(elem_classes="stage-left"):
            with gr.Column(elem_classes="stage-ask"):
                model = build_model(names, first, "model")
                buttons = build_buttons("Sample", "sample")
            with gr.Column(elem_classes="stage-more"):
                with gr.Accordion("The models and their cards", open=False, elem_id="models"):
                    choosing = gr.HTML(cards.to_html(catalog), padding=False, js_on_load=cards.CHOOSE)
                preset = gr.Radio(PRESET_NAMES, value=PRESET_NAMES[0], label="Preset", elem_id="preset")
                purpose = gr.Markdown(PRESETS[0].purpose, elem_classes="aside")
                num = build_chains("num")
                seed = build_seed(session)
                with gr.Accordion("All settings", open=False, elem_id="advanced"):
                    controls = _build_controls(own)
                keeping = build_keeping("")
                dropped = gr.File(
                    label="Restore settings from a saved PNG", file_types=[".png"], height=130, elem_id="restore"
                )
                gr.Markdown(CODE, elem_classes="aside")
        with gr.Column(elem_classes="stage-right"):
            view = build_chain_view(session, sends=[*TARGETS] if catalog.families() else PICTURE_TARGETS)

    def on_sample(current: Session, name: str, num: float, seed: float, *values: float) -> Iterator[View]:
        yield from start(current, catalog, name, Controls(*values), num, seed)

    inputs = [model, num, seed, *controls]
    walks = wire(buttons, view, session, on_sample, inputs)

    def recipe_of(name: str, num: float, seed: float, *values: float) -> Recipe:
        return make_recipe(catalog.get(name), Controls(*values), num, seed)

    def setting(values: Controls) -> dict[Component, Any]:
        return {control: _fitting(control, value) for control, value in zip(controls, astuple(values), strict=True)}

    def on_preset(name: str, chosen: str | None, last: tuple[str, str | None]) -> dict[Component, Any]:
        if (name, chosen) == last:  # Gradio tells of an input also when a dropdown is merely left
            return {}
        values, sentence = apply_preset(catalog.get(name), chosen or PRESET_NAMES[0])
        return {purpose: sentence, settled: (name, chosen)} | setting(values)

    presetting: dict[str, Any] = {
        "fn": on_preset,
        "inputs": [model, preset, settled],
        "outputs": [purpose, settled, *controls],
        **NEWEST,
    }
    gr.on([preset.input, model.input], **presetting)

    def on_choose(event: gr.EventData) -> str:
        return catalog.get(str(event.name)).name

    choosing.click(on_choose, None, model, **EACH).success(**presetting)

    def show(recipe: Recipe) -> dict[Component, Any]:
        values = {model: recipe.model, num: recipe.num, seed: recipe.seed, purpose: RESTORED.format(seed=recipe.seed)}
        # No preset made these settings; the next one that is chosen does something.
        return values | {preset: None, settled: (recipe.model, None)} | setting(controls_of_recipe(recipe))

    def on_drop(current: Session, path: str | None) -> dict[Component, Any]:
        if path is None:
            return {}
        try:
            recipe, sentence = read_settings(current, catalog, path)
        except ValueError as error:
            warn(error)
            return {dropped: None}
        gr.Info(sentence)
        return show(recipe) | {dropped: None, purpose: sentence}

    outputs = [model, preset, num, seed, purpose, settled, *controls]
    dropped.upload(on_drop, [session, dropped], [dropped, *outputs], **NEWEST)
    return Kept(keeping, inputs, recipe_of, outputs, show, session, walks)


def _fitting(control: Any, value: float) -> Any:
    """A control's value; a slider that does not reach so far is made longer: links, pictures and presets go beyond."""
    longer = isinstance(control, gr.Slider) and value > control.maximum
    return gr.Slider(value=value, maximum=value) if longer else value


def _build_controls(own: Controls) -> list[Any]:
    """Inputs for every field of ``Controls``, in its order."""
    label = {name: words for name, (words, _) in INPUTS.items()}

    def counts(name: str, most: int, info: str, elem_id: str) -> gr.Slider:
        value = getattr(own, name)
        return gr.Slider(0, max(most, value), value, step=1, label=label[name], info=info, elem_id=elem_id)

    return [
        counts("rounds", 20, "each begins with a jolt: a random crop, colour and blur", "rounds"),
        counts("steps", 300, "small ones, down the slope", "steps"),
        gr.Slider(
            1,
            MAX_CANDIDATES,
            own.candidates,
            step=1,
            label=label["candidates"],
            info="chains that walk the rounds; the one of lowest energy goes on",
            elem_id="candidates",
        ),
        counts("refinement_steps", 500, "the last ones, without jolts", "refinement"),
        gr.Number(
            own.step_size, label=label["step_size"], info="how far a step follows the slope", elem_id="step-size"
        ),
        gr.Number(
            own.noise_std, label=label["noise_std"], info="standard deviation added in each step", elem_id="noise"
        ),
        gr.Slider(
            0,
            4,
            own.transition_strength,
            step=0.05,
            label=label["transition_strength"],
            info="how much of the crop, colour and blur; 1 = as trained, 0 = none",
            elem_id="strength",
        ),
    ]


TAB = Tab("Sample", build_sampling_tab)
