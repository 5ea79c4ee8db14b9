"""The tab that samples: controls on the left, the live chains on the right."""

import html
from collections.abc import Iterator
from dataclasses import astuple
from typing import Any

import gradio as gr

from app import handlers
from app.catalog import WARM_CHAINS, Catalog
from app.chain_view import RESTARTING_EVENTS, build_chain_view
from app.handlers import Session, View
from app.settings import INPUTS, PRESET_NAMES, PRESETS, Controls, apply_preset, controls_of, controls_of_recipe
from ebm_core.recipe import MAX_CHAINS

SHOWN_FIRST = "objects"  # of the shipped models the one whose pictures are the clearest
INTRO = """An energy-based model gives every picture one number, its energy: **low
means "this looks like what I was trained on"**.
*Sample* starts from pure noise and takes many small steps downhill. Nothing is drawn; the noise *becomes* a picture."""


def build_sampling_tab(catalog: Catalog, session: gr.State) -> None:
    """Place the tab's components and wire them to the handlers."""
    names = catalog.names()
    first = SHOWN_FIRST if SHOWN_FIRST in names else names[0]
    own = controls_of(catalog.get(first))
    gr.Markdown(INTRO)
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            model = gr.Dropdown(names, value=first, label="Model", elem_id="model")
            preset = gr.Radio(PRESET_NAMES, value=PRESET_NAMES[0], label="Preset", elem_id="preset")
            purpose = gr.Markdown(PRESETS[0].purpose)
            num = gr.Slider(1, MAX_CHAINS, WARM_CHAINS, step=1, label="Chains", elem_id="num")
            with gr.Row():
                sample = gr.Button("Sample", variant="primary", min_width=90, elem_id="sample")
                stop = gr.Button("Stop", interactive=False, min_width=90, elem_id="stop")
                resume = gr.Button("Continue", interactive=False, min_width=90, elem_id="continue")
            with gr.Row(equal_height=True):
                seed = gr.Number(0, label="Seed", min_width=120, elem_id="seed")
                dice = gr.Button("⚄ New", min_width=80, elem_id="dice")
                again = gr.Button("↺ Last", min_width=80, elem_id="reuse")
            with gr.Accordion("All settings", open=False, elem_id="advanced"):
                controls = _build_controls(own)
            dropped = gr.File(
                label="Restore settings from a saved PNG", file_types=[".png"], height=130,
                elem_id="restore",
            )  # fmt: skip
        with gr.Column(scale=3, min_width=340):
            view = build_chain_view(session)

    buttons = [sample, stop, resume]

    def show(views: Iterator[View]) -> Iterator[list[Any]]:
        """Views as updates of the chain view and the buttons."""
        for item in views:
            running = item.phase == "running"
            yield view.updates(item) + [
                gr.Button(interactive=True),
                gr.Button(interactive=running),
                gr.Button(interactive=item.phase == "stopped"),
            ]

    def on_sample(current: Session, model: str, num: float, seed: float, *values: float) -> Iterator[list[Any]]:
        yield from show(_start(current, catalog, model, num, seed, values))

    def on_continue(current: Session) -> Iterator[list[Any]]:
        yield from show(handlers.resume(current))

    outputs = [*view.outputs, *buttons]
    sample.click(on_sample, [session, model, num, seed, *controls], outputs, **RESTARTING_EVENTS)
    resume.click(on_continue, [session], outputs, **RESTARTING_EVENTS)
    stop.click(handlers.stop, [session], None, queue=False, show_progress="hidden")

    def on_preset(model: str, name: str) -> list[Any]:
        values, sentence = apply_preset(catalog.get(model), name)
        return [sentence, *astuple(values)]

    for trigger in (preset.input, model.input):
        trigger(on_preset, [model, preset], [purpose, *controls], show_progress="hidden")
    dice.click(handlers.new_seed, None, seed, show_progress="hidden")
    again.click(lambda current: gr.skip() if current.last_seed is None else current.last_seed, session, seed)

    def on_drop(current: Session, path: str | None) -> list[Any]:
        if path is None:
            return [gr.skip()] * (5 + len(controls))
        try:
            recipe, sentence = handlers.read_settings(current, catalog, path)
        except ValueError as error:
            gr.Warning(html.escape(str(error), quote=False), duration=15)
            return [None, *[gr.skip()] * (4 + len(controls))]
        gr.Info(sentence)
        return [None, recipe.model, recipe.num, recipe.seed, sentence, *astuple(controls_of_recipe(recipe))]

    dropped.upload(on_drop, [session, dropped], [dropped, model, num, seed, purpose, *controls], show_progress="hidden")


def _build_controls(own: Controls) -> list[Any]:
    """Inputs for every field of ``Controls``, in its order."""
    label = {name: words for name, (words, _) in INPUTS.items()}
    return [
        gr.Slider(0, 20, own.rounds, step=1, label=label["rounds"], info="each begins with a random jolt",
                  elem_id="rounds"),
        gr.Slider(1, 300, own.steps, step=1, label=label["steps"], elem_id="steps"),
        gr.Slider(0, 500, own.refinement_steps, step=1, label=label["refinement_steps"],
                  info="at the end, without jolts", elem_id="refinement"),
        gr.Number(own.step_size, label=label["step_size"], info="how far a step follows the slope",
                  elem_id="step-size"),
        gr.Number(own.noise_std, label=label["noise_std"], info="standard deviation added in each step",
                  elem_id="noise"),
        gr.Slider(0, 4, own.transition_strength, step=0.05, label=label["transition_strength"],
                  info="crop, colour and blur of the chain; 1 = as trained, 0 = none", elem_id="strength"),
    ]  # fmt: skip


def _start(
    current: Session, catalog: Catalog, model: str, num: float | None, seed: float | None, values: tuple[Any, ...]
) -> Iterator[View]:
    yield from handlers.start(current, catalog, model, Controls(*values), num, seed)
