"""Events of a built page as Gradio runs them: what a browser sends is checked, and what comes back is remembered."""

import asyncio
from collections.abc import Iterator
from typing import Any

import gradio as gr
from gradio.state_holder import SessionState

from app.session import Session
from app.ui import Page


def component(page: Page, elem_id: str) -> Any:
    return next(block for block in page.blocks.values() if getattr(block, "elem_id", None) == elem_id)


def event(page: Page, name: str, elem_id: str = "") -> Any:
    """The event of a handler by its name; with ``elem_id`` that of a component of this id."""
    target = component(page, elem_id)._id if elem_id else None
    return next(f for f in page.fns.values() if f.name == name and target in (None, *(t for t, _ in f.targets)))


def session_of(state: SessionState, function: Any) -> Session:
    session = next(state[one._id] for one in function.inputs if isinstance(one, gr.State))
    assert isinstance(session, Session)
    return session


def run(
    page: Page, state: SessionState, function: Any, values: dict[str, Any], data: Any = None
) -> Iterator[list[Any]]:
    """Each update of an event, the last one of Gradio's own; ``values`` by ids are what was changed on the page."""
    inputs = [None if isinstance(o, gr.State) else values.get(o.elem_id, state[o._id].value) for o in function.inputs]
    options = {"state": state, "session_hash": "one", "event_id": "one", "event_data": data, "simple_format": True}
    iterator, first = None, True
    while first or iterator is not None:
        output = asyncio.run(page.process_api(function, inputs, iterator=iterator, **options))
        yield output["data"]
        iterator, first = output["iterator"] if output["is_generating"] else None, False


def values_of(function: Any, updates: list[Any]) -> dict[str, Any]:
    """By ids what an update has put into components."""
    plain = {one.elem_id: data for one, data in zip(function.outputs, updates, strict=True) if one.elem_id}
    values = {name: data.get("value") if isinstance(data, dict) else data for name, data in plain.items()}
    return {name: value for name, value in values.items() if value is not None}
