"""What stands for a tab's settings: an address to hand out. ``app/links.py`` says what is in it."""

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import gradio as gr
from gradio.components import Component

from app import links
from app.catalog import Catalog
from ebm_core.arguments import brief
from ebm_core.recipe import Recipe

TELL_SECONDS = 15
QUIET: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": None}
COPIED = (
    "The address of this page now says these settings: hand it out. It is also copied, where the browser lets a page."
)
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


@dataclass
class Keeping:
    """The components of a tab that its settings are kept with."""

    link: gr.Button
    address: gr.Textbox


@dataclass
class Kept:
    """A tab whose settings have an address: what they are read from, and what an opened one changes."""

    keeping: Keeping
    inputs: Sequence[Component]
    recipe_of: Callable[..., Recipe]  # of the inputs' values; raises ValueError, in a sentence, where they make none
    outputs: Sequence[Component]
    show: Callable[[Recipe], dict[Component, Any]]


def build_keeping(page: str) -> Keeping:
    """Place the components; ``page`` begins their ids."""
    link = gr.Button("Copy link", elem_id=f"{page}link")
    return Keeping(link, gr.Textbox(visible=False))


def wire_keeping(page: gr.Blocks, catalog: Catalog, tabs: gr.Tabs, every: Mapping[str, Kept | None]) -> None:
    """Wire the tabs, by their ids, and let the page open with the tab and the settings of its address."""
    kept = [tab for tab in every.values() if tab is not None]
    outputs = [tabs, *(component for tab in kept for component in tab.outputs)]

    def opened(address: str) -> dict[Component, Any]:
        link = links.read(catalog, address)
        if link is None:
            return gr.skip()
        if link.tab not in every:
            raise links.LinkError(f"there is no tab {brief(link.tab)} here; there are: {', '.join(every)}")
        tab = every[link.tab]
        settings = tab.show(link.recipe) if tab is not None and link.recipe is not None else {}
        return {tabs: gr.Tabs(selected=link.tab)} | settings

    def on_load(request: gr.Request) -> dict[Component, Any]:
        try:
            return opened(urlencode(dict(request.query_params)))
        except ValueError as error:
            told = html.escape(f"This link cannot be used: {error}. The page has its usual settings.", quote=False)
            gr.Warning(told, duration=TELL_SECONDS)
            return gr.skip()

    page.load(on_load, None, outputs, **QUIET)
    for tab in kept:
        _wire_link(catalog, tab)


def _wire_link(catalog: Catalog, tab: Kept) -> None:
    def on_link(*values: Any) -> str:
        address = links.write(catalog, tab.recipe_of(*values))
        gr.Info(COPIED)
        return address

    keeping = tab.keeping
    keeping.link.click(on_link, [*tab.inputs], keeping.address, **QUIET).success(None, keeping.address, None, js=COPY)
