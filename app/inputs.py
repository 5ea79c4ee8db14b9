"""Inputs that several tabs have: the model, how many chains, and their seed."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from app.catalog import WARM_CHAINS
from app.session import Session, new_seed
from ebm_core.recipe import MAX_CHAINS

NO_LAST = "There is no last seed yet: it is that of the walk before, and none has begun here."


def build_model(names: Sequence[str], value: str, elem_id: str, info: str | None = None) -> gr.Dropdown:
    """Place the list of models; ``app/cards.py`` has a style sheet that shows samples in it."""
    return gr.Dropdown([*names], value=value, label="Model", info=info, elem_id=elem_id, elem_classes="model-list")


def build_chains(elem_id: str, num: int = WARM_CHAINS) -> gr.Slider:
    """Place the slider for the number of chains."""
    return gr.Slider(
        1, MAX_CHAINS, num, step=1, label="Chains", info="pictures that walk side by side", elem_id=elem_id
    )


def build_seed(session: gr.State, page: str = "") -> gr.Number:
    """Place the seed with its two buttons, a new one and that of the session's last walk, and wire them."""
    with gr.Row(elem_classes="seed-row"):
        seed = gr.Number(0, label="Seed", info="same seed, same pictures", elem_id=f"{page}seed")
        new = gr.Button("⚄ New", elem_id=f"{page}dice")
        last = gr.Button("↺ Last", elem_id=f"{page}reuse")

    def on_last(current: Session) -> Any:
        if current.last_seed is None:
            gr.Info(NO_LAST)
            return gr.skip()
        return current.last_seed

    new.click(new_seed, None, seed, show_progress="hidden")
    last.click(on_last, session, seed, show_progress="hidden")
    return seed
