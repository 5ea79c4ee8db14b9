"""Start, stop and continue: the three buttons of whatever walks, and the one way in which all tabs wire them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from gradio.components import Component

from app import session
from app.chain_view import ChainView
from app.events import EACH
from app.session import Session, View


@dataclass
class Buttons:
    """The three of them."""

    start: gr.Button
    stop: gr.Button
    go_on: gr.Button

    @property
    def outputs(self) -> list[Component]:
        return [self.start, self.stop, self.go_on]

    def updates(self, phase: str) -> dict[Component, Any]:
        """Which can be pressed while a walk is "waiting", "running", "stopped" or "finished"."""
        return {
            self.start: gr.Button(interactive=True),
            self.stop: gr.Button(interactive=phase in ("waiting", "running")),
            self.go_on: gr.Button(interactive=phase == "stopped"),
        }


def build_buttons(label: str, start: str, page: str = "") -> Buttons:
    """Place the buttons in a row; ``start`` is the id of the first, ``page`` begins those of the others."""
    with gr.Row(elem_classes="starting"):
        return Buttons(
            gr.Button(label, variant="primary", elem_id=start, elem_classes="start"),
            gr.Button("Stop", interactive=False, elem_id=f"{page}stop", elem_classes="stop"),
            gr.Button("Continue", interactive=False, elem_id=f"{page}continue"),
        )


@dataclass
class Wiring:
    """An event handler that begins a walk and shows it, for triggers beside the button."""

    begin: Callable[..., Iterator[dict[Component, Any]]]
    inputs: list[Component]
    outputs: list[Component]
    ends: list[Any] = field(default_factory=list)  # events that are over when a walk is

    def on(self, trigger: Callable[..., Any]) -> None:
        """Let it be begun by another event too."""
        self.ends.append(trigger(self.begin, self.inputs, self.outputs, **EACH))


def wire_parts(
    buttons: Buttons,
    sessions: Sequence[gr.State],
    begin: Callable[..., Iterator[Any]],
    inputs: Sequence[Component],
    show: Callable[[Any], dict[Component, Any]],
    outputs: Sequence[Component],
    go_on: Callable[..., Iterator[Any]],
    halt: Callable[..., None],
) -> Wiring:
    """Wire buttons to generators of anything that has a phase and that ``show`` makes updates of.

    ``begin`` gets the sessions and the inputs, ``go_on`` and ``halt`` the sessions.
    """

    def updates(items: Iterator[Any]) -> Iterator[dict[Component, Any]]:
        for item in items:
            yield show(item) | buttons.updates(item.phase)

    def on_begin(*values: Any) -> Iterator[dict[Component, Any]]:
        yield from updates(begin(*values))

    def on_go_on(*current: Session) -> Iterator[dict[Component, Any]]:
        yield from updates(go_on(*current))

    wiring = Wiring(on_begin, [*sessions, *inputs], [*outputs, *buttons.outputs])
    wiring.on(buttons.start.click)
    wiring.ends.append(buttons.go_on.click(on_go_on, [*sessions], wiring.outputs, **EACH))
    buttons.stop.click(halt, [*sessions], None, queue=False, show_progress="hidden")
    return wiring


def wire(
    buttons: Buttons,
    view: ChainView,
    current: gr.State,
    begin: Callable[..., Iterator[View]],
    inputs: Sequence[Component],
) -> Wiring:
    """Wire the buttons of one walk; ``begin`` gets the session and the inputs."""
    return wire_parts(buttons, [current], begin, inputs, view.updates, view.outputs, session.resume, session.stop)
