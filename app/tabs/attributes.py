"""The inputs of a family's attributes, as tabs that compose have them."""

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component

from app import asks
from ebm_core.attribute import Attribute
from ebm_core.family import OPERATORS, Ask, Family
from ebm_core.kinds import Control


class AttributeInputs:
    """The inputs of one family: for each attribute its values, a strength and an operator, in a flat list.

    ``page`` begins their ids.
    """

    def __init__(self, family: Family, visible: bool, page: str = "") -> None:
        self.family = family
        self.inputs: list[Any] = []
        self.parts: dict[str, slice] = {}
        with gr.Column(visible=visible) as self.group:
            for model, attribute in family.attributes.items():
                first = len(self.inputs)
                with gr.Group(elem_classes="attribute"):
                    self.inputs += _inputs_of(model, attribute, page)
                self.parts[model] = slice(first, len(self.inputs))
        self.off = [component.value for component in self.inputs]

    def asks(self, values: list[Any]) -> list[Ask]:
        """What is asked for. Raises CompositionError, in a sentence, for values that mean nothing."""
        every = [
            asks.read_ask(model, attribute, values[self.parts[model]])
            for model, attribute in self.family.attributes.items()
        ]
        return [ask for ask in every if ask is not None]

    def values(self, asked: dict[str, list[Any]]) -> dict[Component, Any]:
        """The inputs' values for some attributes; the others are off."""
        values = list(self.off)
        for model, part in asked.items():
            values[self.parts[model]] = part
        return dict(zip(self.inputs, values, strict=True))


def asks_of(controls: Mapping[str, AttributeInputs], name: str, values: Sequence[Any]) -> list[Ask]:
    """What is asked of one of several families, by the values of all their inputs in order; nothing of another."""
    inputs = (component for one in controls.values() for component in one.inputs)
    of = dict(zip(inputs, values, strict=True))
    return controls[name].asks([of[component] for component in controls[name].inputs]) if name in controls else []


def _inputs_of(model: str, attribute: Attribute, page: str) -> list[Any]:
    """The inputs of one attribute, off."""
    name = attribute.name
    value: list[Component] = []
    if controls := attribute.controls:
        with gr.Row():
            value = [_input_of(f"{page}{model}-{control.id}", control) for control in controls]
    with gr.Row(equal_height=True):
        if attribute.has_opposites:
            low, label, info = -1, name, "{} ··· off ··· {}".format(*attribute.opposites)
        else:
            low, label, info = 0, f"{name}: weight", "how much it counts; 0 off"
        if attribute.seen_on:
            info += f"; seen only on a {attribute.seen_on[1]}"
        strength = gr.Slider(
            low,
            1,
            0,
            step=0.05,
            label=label,
            info=info,
            scale=4,
            min_width=190,
            elem_id=f"{page}{model}-strength",
            elem_classes="centred" if low else None,
        )
        operator = gr.Dropdown(
            OPERATORS,
            value="and",
            label="joined by",
            filterable=False,
            scale=1,
            min_width=96,
            elem_id=f"{page}{model}-operator",
        )
    return [*value, strength, operator]


def _input_of(elem_id: str, control: Control) -> Component:
    label = control.label
    if control.options:
        first, info = [control.options[0]], "several: any of them"
        return gr.Dropdown(control.options, value=first, multiselect=True, label=label, info=info, elem_id=elem_id)
    return gr.Slider(
        control.low, control.high, control.start, step=control.step, label=label, min_width=100, elem_id=elem_id
    )
