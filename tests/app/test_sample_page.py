"""The Sample tab's settings, as Gradio runs its events: what the page takes, it can make."""

from dataclasses import replace

import gradio as gr
import pytest
from gradio.state_holder import SessionState

from app.settings import controls_of, make_recipe
from app.ui import build_ui
from ebm_core import images
from ebm_core.recipe import to_png
from tests.app.conftest import CENTRE
from tests.app.paging import event, run, session_of, values_of


@pytest.fixture
def page(catalog):
    return build_ui(catalog)


def sampled(page, values, state):
    """The plan of the walk that Sample begins with what was put on the page."""
    begin = event(page, "on_begin", "sample")
    next(run(page, state, begin, values))
    session = session_of(state, begin)
    plan = session.walk.recipe.plan
    session.close()
    return plan


@pytest.mark.parametrize(
    ("fields", "steps"),
    [
        ("rounds=25&steps=4", (25, 4, 4)),
        ("rounds=1&steps=400", (1, 400, 4)),
        ("steps=0", (2, 0, 4)),
        ("refinement_steps=600", (2, 3, 600)),
        ("rounds=3", (3, 3, 4)),
    ],
)
def test_what_a_link_asks_for_can_be_sampled(page, fields, steps):
    state, opening = SessionState(page), event(page, "on_open")
    data = gr.EventData(None, {"address": f"?tab=sample&model=alpha&{fields}", "name": ""})
    updates = next(run(page, state, opening, {}, data))
    plan = sampled(page, values_of(opening, updates), state)
    assert (plan.rounds, plan.langevin.steps, plan.refinement_steps) == steps


def test_a_picture_of_many_steps_can_be_made_again(page, catalog, tmp_path):
    model = catalog.get("alpha")
    recipe = make_recipe(model, replace(controls_of(model), rounds=0, steps=0, refinement_steps=600), 1, 3)
    path = tmp_path / "valley.png"
    path.write_bytes(to_png(images.to_pil(CENTRE), replace(recipe, index=0)))
    state, dropping = SessionState(page), event(page, "on_drop", "restore")
    updates = dropping.fn(session_of(state, dropping), str(path))
    longer = next(value for one, value in updates.items() if one.elem_id == "refinement")
    assert (longer.value, longer.maximum) == (600, 600)
