"""The tab that repaints: a picture to paint on at the left, the chains that repaint it at the right."""

from collections.abc import Iterator
from typing import Any

import gradio as gr
from gradio.components import Component

from app import editing
from app.asks import write_ask
from app.catalog import Catalog
from app.chain_buttons import build_buttons, wire
from app.chain_view import build_chain_view
from app.editing import FEW_CHAINS, PAINTED, STRENGTHS, WHOLE, Edit
from app.events import EACH, NEWEST, warn
from app.inputs import build_chains, build_model, build_seed
from app.keeping import Kept, build_keeping
from app.limits import read_upload
from app.painting import EMPTY, PAINT, sheet
from app.session import Session, View
from app.tab import Tab
from app.tabs.attributes import AttributeInputs, asks_of

INTRO = """Paint over a part of a picture and let the energy fill it: the painted part walks from noise down to what
fits **the rest, which is held**. Where the model has attributes, they are asked of the painted part alone."""
EXAMPLE = "**The model walks from noise to an example** for you to paint on."
STRENGTH = "how far back towards noise it begins; at 1 nothing is left of what was there"
MEANING = f"""*{WHOLE}* cleans up: it begins a little back towards noise and walks down again, nothing is held. Grain
fades a little and edges become firmer, but all becomes more like what the model knows. A saved result, a link and the
history have the settings, but neither your picture nor what you painted: with them the same seed makes it again."""
SHOWN_FIRST = "faces128"


def build_editing_tab(catalog: Catalog, session: gr.State) -> Kept:
    """Place the tab's components and wire them."""
    names = catalog.names()
    first = SHOWN_FIRST if SHOWN_FIRST in names else names[0]
    families = catalog.families_by_base()
    gr.Markdown(INTRO)
    with gr.Row(elem_classes="stage", elem_id="editing"):
        with gr.Column(elem_classes="stage-left"):
            with gr.Column(elem_classes="stage-ask"):
                model = build_model(names, first, "edit-model")
                with gr.Row(elem_classes="painter-opening"):
                    dropped = gr.UploadButton("Open", min_width=80, elem_id="edit-open")
                    example = gr.Button("Example", min_width=80, elem_id="edit-example")
                    result = gr.Button("Best result", min_width=80, elem_id="edit-result")
                painter = gr.HTML(EMPTY, padding=False, js_on_load=PAINT, elem_id="edit-painter")
                painted = gr.Textbox(visible="hidden", elem_classes="painter-mask")
                status = gr.Markdown(editing.NO_PICTURE, elem_id="edit-status", elem_classes="live-status")
                buttons = build_buttons("Repaint", "edit", "edit-")
            with gr.Column(elem_classes="stage-more"):
                where = gr.Radio([PAINTED, WHOLE], value=PAINTED, label="What walks", elem_id="edit-where")
                strength = gr.Slider(
                    0, 1, STRENGTHS[PAINTED], step=0.05, label="Strength", info=STRENGTH, elem_id="edit-strength"
                )
                controls = {base: AttributeInputs(families[base], base == first, "edit-") for base in families}
                num = build_chains("edit-num", FEW_CHAINS)
                seed = build_seed(session, "edit-")
                keeping = build_keeping("edit-")
                gr.Markdown(MEANING, elem_classes="aside")
        with gr.Column(elem_classes="stage-right"):
            view = build_chain_view(
                session,
                "edit-",
                "Repaint",
                "the painted part walk from noise to what fits the rest",
                "Nothing repainted yet.",
            )

    inputs = [component for one in controls.values() for component in one.inputs]
    groups = [one.group for one in controls.values()]
    settings: list[Component] = [model, where, strength, num, seed, *inputs]

    def asked_of(name: str, where: str, strength: float, num: float, seed: float, *values: Any) -> Edit:
        return editing.make_edit(catalog, name, asks_of(controls, name, values), where, strength, num, seed)

    def on_start(current: Session, painted: str, *values: Any) -> Iterator[View]:
        yield from editing.start(current, catalog, asked_of(*values), painted)

    walks = wire(buttons, view, session, on_start, [painted, *settings])

    def of_model(name: str) -> dict[Component, Any]:
        return {one.group: gr.Column(visible=base == name) for base, one in controls.items()}

    def show_edit(edit: Edit) -> dict[Component, Any]:
        asked = {ask.model: write_ask(ask.attribute, ask.terms, ask.weight, ask.operator) for ask in edit.asks}
        values = controls[edit.model].values(asked) if edit.model in controls else {}
        chosen = {model: edit.model, where: edit.where, strength: edit.strength, num: edit.num, seed: edit.seed}
        return of_model(edit.model) | values | chosen

    def show(current: Session, name: str, keep: bool = False) -> dict[Component, Any]:
        """The picture to paint on, if there is one."""
        chosen = catalog.get(name)
        picture = editing.picture_for(current, chosen)
        if picture is None:
            return {status: editing.NO_PICTURE}
        words = "; ".join(["Paint over what is to change", *picture.notes])
        return {painter: sheet(picture.u8, smooth=chosen.space.is_coded, keep=keep), status: f"{words}."}

    def on_model(current: Session, name: str) -> dict[Component, Any]:
        return of_model(name) | show(current, name, keep=True)

    def on_drop(current: Session, path: str | None, name: str) -> dict[Component, Any]:
        if path is None:
            return {}
        own = editing.take(current, catalog, read_upload(path)) or name
        return {model: own} | of_model(own) | show(current, own)

    def on_example(current: Session, name: str) -> Iterator[dict[Component, Any]]:
        yield {status: EXAMPLE}
        try:
            came = editing.take_example(current, catalog.get(name))
        except ValueError as error:
            warn(error)
            yield show(current, name, keep=True)
        else:
            if came:  # and not meanwhile a picture of the visitor's own
                yield show(current, name)

    def on_result(current: Session, name: str) -> dict[Component, Any]:
        editing.take_result(current)
        return show(current, name)

    model.change(on_model, [session, model], [*groups, painter, status], **NEWEST)
    dropped.upload(on_drop, [session, dropped, model], [model, *groups, painter, status], **NEWEST)
    example.click(on_example, [session, model], [painter, status], **EACH)
    result.click(on_result, [session, model], [painter, status], **EACH)
    where.input(STRENGTHS.__getitem__, where, strength, **NEWEST)
    return Kept(keeping, settings, asked_of, [*settings, *groups], show_edit, session, walks)


TAB = Tab("Edit", build_editing_tab)
