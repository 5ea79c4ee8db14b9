"""The tab that explains: one start with and without jolts, side by side, and the plunge to the lowest energies."""

from collections.abc import Iterator
from typing import Any

import gradio as gr
from gradio.components import Component

from app import understanding
from app.catalog import Catalog
from app.chain_buttons import build_buttons, wire, wire_parts
from app.chain_view import build_chain_view
from app.inputs import build_model, build_seed
from app.session import Session, View
from app.tab import Tab
from app.understanding import CHAINS, NOISE, Comparison
from ebm_core.recipe import MAX_CHAINS

SHOWN_FIRST = "objects"  # quick enough to be watched in a lesson
INTRO = """Two things that the energy of a picture decides, shown on the shipped models as they happen."""
MIXING = """## Do chains find more than one picture?
One chain walks from noise to a picture. From that picture many chains go on: on the left each round begins with a
**jolt** (a random crop, colour and blur, as in training), on the right there are only small steps and their noise.
Without jolts a chain stays in the valley it is in; the curve says how far apart the chains are."""
VALLEYS = """## What is at the bottom?
No noise and no jolts: every chain rolls straight into the nearest valley. If the model has learned well, the
pictures of lowest energy still look like what it was trained on; a model that was trained badly ends in glaring
colours."""
DISTANCE = """0 = all alike. Root mean square over pixels, black to white = 1; where the model works on a short code of
the picture (those of 128 pixels), over the numbers of the code, each of which spreads by 1 from picture to picture."""


def build_understanding_tab(catalog: Catalog, jolted: gr.State, bare: gr.State, falling: gr.State) -> None:
    """Place the tab's components and wire them; each of the three walks has a session of its own."""
    names = catalog.names()
    first = SHOWN_FIRST if SHOWN_FIRST in names else names[0]
    gr.Markdown(INTRO)
    with gr.Row():
        with gr.Column(min_width=220):
            model = build_model(names, first, "understand-model", "of both experiments")
        with gr.Column(min_width=320):
            seed = build_seed(jolted, "understand-")
    gr.Markdown(MIXING)
    with gr.Row(equal_height=True):
        num = gr.Slider(
            2, MAX_CHAINS, 9, step=1, label="Chains on each side", info="that leave the picture", elem_id="mix-num"
        )
        rounds = gr.Slider(
            1, 10, 3, step=1, label="Rounds", info="on the left each begins with a jolt", elem_id="mix-rounds"
        )
        strength = gr.Slider(
            0.25, 4, 1, step=0.25, label="Strength of the jolts", info="1 = as in training", elem_id="mix-strength"
        )
    mixing = build_buttons("Let them part", "mix", "mix-")
    gr.Markdown(f"**Mean distance between two chains.** {DISTANCE}")
    plot = gr.Plot(show_label=False, elem_id="mix-plot")
    with gr.Row(elem_classes="pair"):
        with gr.Column(min_width=320):
            gr.Markdown("### With jolts")
            left = build_chain_view(jolted, "jolted-", "Let them part", "chains leave the picture", "Not begun yet.")
        with gr.Column(min_width=320):
            gr.Markdown("### Without")
            right = build_chain_view(bare, "bare-", "Let them part", "chains stay where they are", "Not begun yet.")

    gr.Markdown(VALLEYS)
    with gr.Row(elem_classes="stage", elem_id="plunging"):
        with gr.Column(elem_classes="stage-left"):
            with gr.Column(elem_classes="stage-ask"):
                start = gr.Radio([NOISE, CHAINS], value=NOISE, label="Start from", elem_id="valley-start")
                falls = build_buttons("Plunge", "valley", "valley-")
            with gr.Column(elem_classes="stage-more"):
                depth = gr.Slider(
                    20, 1000, 300, step=20, label="Noiseless steps", info="straight down", elem_id="valley-steps"
                )
                many = gr.Slider(1, MAX_CHAINS, 16, step=1, label="Chains, from noise", elem_id="valley-num")
        with gr.Column(elem_classes="stage-right"):
            valley = build_chain_view(falling, "valley-", "Plunge", "noise fall to the lowest energy", "Not begun yet.")

    def show_both(item: Comparison) -> dict[Component, Any]:
        updates: dict[Component, Any] = {} if item.plot is None else {plot: item.plot}
        for side, view in zip((left, right), item.views, strict=True):
            updates |= {} if view is None else side.updates(view)
        return updates

    def on_part(first: Session, second: Session, *values: Any) -> Iterator[Comparison]:
        yield from understanding.part([first, second], catalog, *values)

    def on_continue(*pair: Session) -> Iterator[Comparison]:
        yield from understanding.watch(pair)

    def on_stop(*pair: Session) -> None:
        understanding.stop_both(pair)

    wire_parts(
        mixing,
        [jolted, bare],
        on_part,
        [model, num, rounds, strength, seed],
        show_both,
        [*left.outputs, *right.outputs, plot],
        on_continue,
        on_stop,
    )

    def on_plunge(
        current: Session, chains: Session, name: str, start: str, num: float, steps: float, seed: float
    ) -> Iterator[View]:
        walk = chains.walk if start == CHAINS else None
        if start == CHAINS and walk is None:
            raise ValueError("There are no chains to start from yet: let some part above, or start from noise.")
        yield from understanding.plunge(current, catalog, name, num, steps, seed, walk)

    wire(falls, valley, falling, on_plunge, [jolted, model, start, many, depth, seed])


# With jolts, without, and downhill.
TAB = Tab("Understand", build_understanding_tab, sessions=3)
