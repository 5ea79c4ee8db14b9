"""The tab that explains: one start with and without jolts, side by side, and the plunge to the lowest energies."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from app import handlers, understanding
from app.catalog import Catalog
from app.chain_view import CHAIN_EVENTS, RESTARTING_EVENTS, build_chain_view
from app.handlers import Session, View
from app.understanding import CHAINS, NOISE, Comparison
from ebm_core.recipe import MAX_CHAINS

INTRO = """Two things that the energy of a picture decides, shown on the shipped models as they happen."""
MIXING = """### Do chains find more than one picture?
One chain walks from noise to a picture. From that picture many chains go on: on the left each round begins with a
**jolt** (a random crop, colour and blur, as in training), on the right there are only small steps and their noise.
Without jolts a chain stays in the valley it is in; the curve says how far apart the chains are."""
VALLEYS = """### What is at the bottom?
No noise and no jolts: every chain rolls straight into the nearest valley. If the model has learned well, the
pictures of lowest energy still look like what it was trained on; a model that was trained badly ends in glaring
colours."""
DISTANCE = "0 = all alike. Root mean square over pixels, black to white = 1."


def build_understanding_tab(catalog: Catalog, jolted: gr.State, bare: gr.State, falling: gr.State) -> None:
    """Place the tab's components and wire them to the handlers; each of the three walks has a session of its own."""
    names = catalog.names()
    gr.Markdown(INTRO)
    with gr.Row(equal_height=True):
        model = gr.Dropdown(names, value=names[0], label="Model", elem_id="understand-model", min_width=160)
        seed = gr.Number(0, label="Seed", min_width=110, elem_id="understand-seed")
        dice = gr.Button("⚄ New", min_width=80, elem_id="understand-dice")
    gr.Markdown(MIXING)
    with gr.Row(equal_height=True):
        num = gr.Slider(2, MAX_CHAINS, 9, step=1, label="Chains on each side", elem_id="mix-num", min_width=160)
        rounds = gr.Slider(1, 10, 3, step=1, label="Rounds", elem_id="mix-rounds", min_width=160)
        strength = gr.Slider(
            0.25, 4, 1, step=0.25, label="Strength of the jolts", elem_id="mix-strength", min_width=160
        )
    with gr.Row():
        go_on = gr.Button("Let them part", variant="primary", min_width=120, elem_id="mix")
        stop = gr.Button("Stop", interactive=False, min_width=90, elem_id="mix-stop")
        resume = gr.Button("Continue", interactive=False, min_width=90, elem_id="mix-continue")
    gr.Markdown(f"**Mean distance between two chains.** {DISTANCE}")
    plot = gr.Plot(understanding.distance_plot([]), show_label=False, elem_id="mix-plot")
    with gr.Row():
        with gr.Column(min_width=320):
            gr.Markdown("#### With jolts")
            left = build_chain_view(jolted, "jolted-", "Let them part", "chains leave the picture", "Not begun yet.")
        with gr.Column(min_width=320):
            gr.Markdown("#### Without")
            right = build_chain_view(bare, "bare-", "Let them part", "chains stay where they are", "Not begun yet.")

    gr.Markdown(VALLEYS)
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            start = gr.Radio([NOISE, CHAINS], value=NOISE, label="Start from", elem_id="valley-start")
            depth = gr.Slider(20, 1000, 300, step=20, label="Noiseless steps", elem_id="valley-steps")
            many = gr.Slider(1, MAX_CHAINS, 16, step=1, label="Chains, from noise", elem_id="valley-num")
            with gr.Row():
                fall = gr.Button("Plunge", variant="primary", min_width=120, elem_id="valley")
                end = gr.Button("Stop", interactive=False, min_width=90, elem_id="valley-stop")
                further = gr.Button("Continue", interactive=False, min_width=90, elem_id="valley-continue")
        with gr.Column(scale=3, min_width=340):
            valley = build_chain_view(falling, "valley-", "Plunge", "noise fall to the lowest energy", "Not begun yet.")

    def buttons(phase: str) -> list[Any]:
        """Updates of a start, a stop and a continue button."""
        return [
            gr.Button(interactive=True), gr.Button(interactive=phase == "running"),
            gr.Button(interactive=phase == "stopped"),
        ]  # fmt: skip

    def show_both(comparisons: Iterator[Comparison]) -> Iterator[list[Any]]:
        for item in comparisons:
            updates = [
                part
                for side, view in zip((left, right), item.views, strict=True)
                for part in ([gr.skip()] * len(side.outputs) if view is None else side.updates(view))
            ]
            yield [*updates, gr.skip() if item.plot is None else item.plot, *buttons(item.phase)]

    def show(views: Iterator[View]) -> Iterator[list[Any]]:
        for item in views:
            yield [*valley.updates(item), *buttons(item.phase)]

    def on_part(
        first: Session, second: Session, name: str, num: float, rounds: float, strength: float, seed: float | None
    ) -> Iterator[list[Any]]:
        yield from show_both(understanding.part([first, second], catalog, name, num, rounds, strength, seed))

    def on_continue(first: Session, second: Session) -> Iterator[list[Any]]:
        yield from show_both(understanding.watch([first, second]))

    def on_stop(first: Session, second: Session) -> None:
        understanding.stop_both([first, second])

    both = [*left.outputs, *right.outputs, plot, go_on, stop, resume]
    go_on.click(on_part, [jolted, bare, model, num, rounds, strength, seed], both, **RESTARTING_EVENTS)
    resume.click(on_continue, [jolted, bare], both, **CHAIN_EVENTS)
    stop.click(on_stop, [jolted, bare], None, queue=False, show_progress="hidden")
    dice.click(handlers.new_seed, None, seed, show_progress="hidden")

    def on_plunge(
        current: Session, chains: Session, name: str, start: str, num: float, steps: float, seed: float | None
    ) -> Iterator[list[Any]]:
        walk = chains.walk if start == CHAINS else None
        if start == CHAINS and walk is None:
            raise ValueError("There are no chains to start from yet: let some part above, or start from noise.")
        yield from show(understanding.plunge(current, catalog, name, num, steps, seed, walk))

    def on_further(current: Session) -> Iterator[list[Any]]:
        yield from show(handlers.resume(current))

    outputs = [*valley.outputs, fall, end, further]
    fall.click(on_plunge, [falling, jolted, model, start, many, depth, seed], outputs, **RESTARTING_EVENTS)
    further.click(on_further, [falling], outputs, **CHAIN_EVENTS)
    end.click(handlers.stop, [falling], None, queue=False, show_progress="hidden")
