"""What stands for a tab's settings: an address to hand out, a name of one's own, and the history of runs.

All three are addresses (``app/links.py``), names and history are one list that the browser keeps (``app/shelf.py``).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import gradio as gr
from gradio.components import Component

from app import links, shelf
from app.catalog import Catalog
from app.chain_buttons import Wiring
from app.events import EACH, warn
from app.links import Asked
from app.session import Session
from app.shelf import MAX_NAME, MAX_RUNS, PICTURE_TARGETS, TARGETS, Entry
from ebm_core.arguments import brief

COPIED = (
    "The address of this page now says these settings: hand it out. It is also copied, where the browser lets a page."
)
HISTORY = f"""<h2>Your last runs</h2><p class="aside">This browser keeps {MAX_RUNS} of them, and nobody else. Choose one
and its settings come back; its best picture can go to another tab.</p>"""
# A page that is not served over https has no clipboard but that of the selection.
COPY = """address => {
  history.replaceState(null, '', address);
  if (navigator.clipboard) { navigator.clipboard.writeText(location.href).catch(() => {}); return; }
  const focus = document.activeElement, box = Object.assign(document.createElement('textarea'), {value: location.href});
  document.body.append(box);
  box.select();
  document.execCommand('copy');
  box.remove();
  focus?.focus();
}"""
CHOOSE = """
element.addEventListener('click', event => {
  const button = event.target.closest('.shelf-open, .shelf-forget');
  if (button) trigger(button.matches('.shelf-open') ? 'click' : 'input', {...button.dataset});
});
"""
# What was opened may be on another tab, far above: the button that makes it is next.
GO_THERE = """() => setTimeout(() =>
  [...document.querySelectorAll('button.start')].find(button => button.offsetParent)?.focus(), 100)"""


@dataclass
class Keeping:
    """The components of a tab that its settings are kept with."""

    link: gr.Button
    address: gr.Textbox
    name: gr.Textbox
    keep: gr.Button
    named: gr.HTML


@dataclass
class Kept:
    """A tab whose settings have an address: what they are read from, what an opened one changes, and its walks."""

    keeping: Keeping
    inputs: Sequence[Component]
    asked_of: Callable[..., Asked]  # of the inputs' values; raises ValueError, in a sentence, where they make none
    outputs: Sequence[Component]
    show: Callable[[Any], dict[Component, Any]]  # of what ``asked_of`` gives
    session: gr.State
    walks: Wiring


def build_keeping(page: str) -> Keeping:
    """Place the components; ``page`` begins their ids."""
    with gr.Row(elem_classes="keep-row"):
        name = gr.Textbox(
            label="Name", info="of these settings, to keep them here", max_length=MAX_NAME, elem_id=f"{page}name"
        )
        keep = gr.Button("Keep", elem_id=f"{page}keep")
        link = gr.Button("Copy link", elem_id=f"{page}link")
    named = gr.HTML("", padding=False, js_on_load=CHOOSE, elem_id=f"{page}named", elem_classes="kept")
    return Keeping(link, gr.Textbox(visible="hidden"), name, keep, named)


def wire_keeping(page: gr.Blocks, catalog: Catalog, tabs: gr.Tabs, every: Mapping[str, Kept | None]) -> None:
    """Wire the tabs, by their ids: place the history here, and let the page open with what its address says."""
    kept = {name: tab for name, tab in every.items() if tab is not None}
    # A secret of its own each time, as Gradio has it, would lose all when the server starts again.
    store = gr.BrowserState([], storage_key="ebm-studio", secret="ebm-studio")
    history = gr.HTML("", padding=False, js_on_load=CHOOSE, elem_id="history", elem_classes="kept")
    shelves: list[Component] = [history, *(tab.keeping.named for tab in kept.values())]
    outputs = [tabs, *(component for tab in kept.values() for component in tab.outputs)]

    def targets_of(run: Entry) -> Sequence[str]:
        return [*TARGETS] if links.composes(catalog, run.address) else PICTURE_TARGETS

    def shown(entries: Sequence[Entry]) -> dict[Any, Any]:
        runs = shelf.to_html([entry for entry in entries if not entry.name], "last runs", targets_of)
        named = {
            tab.keeping.named: shelf.to_html(
                [e for e in entries if e.name and shelf.tab_of(e.address) == name], "settings that you named"
            )
            for name, tab in kept.items()
        }
        return {history: runs and HISTORY + runs} | named

    def stored(entries: Sequence[Entry]) -> dict[Any, Any]:
        return {store: shelf.to_plain(entries)} | shown(entries)

    def opened(address: str) -> dict[Any, Any]:
        """What changes where an address is opened; nothing for one that says nothing."""
        link = links.read(catalog, address)
        if link is None:
            return {}
        if link.tab not in every:
            raise links.LinkError(f"there is no tab {brief(link.tab)} here; there are: {', '.join(every)}")
        settings = kept[link.tab].show(link.asked) if link.asked is not None else {}
        return {tabs: gr.Tabs(selected=link.tab)} | settings

    def on_load(request: gr.Request) -> Any:
        try:
            return opened(urlencode(dict(request.query_params))) or gr.skip()
        except ValueError as error:
            warn(f"This link cannot be used: {error}. The page has its usual settings.")
            return gr.skip()

    def on_open(event: gr.EventData) -> Any:
        return opened(str(event.address)) or gr.skip()

    def on_remove(plain: Any, event: gr.EventData) -> dict[Any, Any]:
        return stored(shelf.without(shelf.from_plain(plain), event.name, event.address))

    def on_end(current: Session, plain: Any) -> Any:
        run = shelf.run_of(catalog, current)
        return gr.skip() if run is None else stored(shelf.with_run(shelf.from_plain(plain), run))

    page.load(on_load, None, outputs, **EACH)
    page.load(lambda plain: shown(shelf.from_plain(plain)), store, shelves, **EACH)
    for place in (history, *(tab.keeping.named for tab in kept.values())):
        place.click(on_open, None, outputs, **EACH).success(None, None, None, js=GO_THERE)
        place.input(on_remove, store, [store, *shelves], **EACH)
    for tab in kept.values():
        _wire_link(catalog, tab)
        _wire_name(catalog, tab, store, shelves, stored)
        for end in tab.walks.ends:
            end.success(on_end, [tab.session, store], [store, *shelves], **EACH)


def _wire_link(catalog: Catalog, tab: Kept) -> None:
    def on_link(*values: Any) -> str:
        address = links.write(catalog, tab.asked_of(*values))
        gr.Info(COPIED)
        return address

    keeping = tab.keeping
    keeping.link.click(on_link, [*tab.inputs], keeping.address, **EACH).success(None, keeping.address, None, js=COPY)


def _wire_name(
    catalog: Catalog,
    tab: Kept,
    store: gr.BrowserState,
    shelves: Sequence[Component],
    stored: Callable[[Sequence[Entry]], dict[Any, Any]],
) -> None:
    keeping = tab.keeping

    def on_keep(plain: Any, name: str, *values: Any) -> dict[Any, Any]:
        asked = tab.asked_of(*values)
        address, words = links.write(catalog, asked), links.words(catalog, asked)
        return stored(shelf.with_name(shelf.from_plain(plain), name, address, words)) | {keeping.name: ""}

    inputs = [store, keeping.name, *tab.inputs]
    gr.on([keeping.keep.click, keeping.name.submit], on_keep, inputs, [keeping.name, store, *shelves], **EACH)
