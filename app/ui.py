"""Layout of the page."""

from functools import cached_property
from typing import Any

import gradio as gr

from app.api import add_endpoints
from app.catalog import Catalog
from app.events import TELL_SECONDS, plain
from app.keeping import wire_keeping
from app.presence import Presence
from app.session import Session
from app.tabs import composing, editing, sampling, scoring, understanding
from ebm_core.files import one_line

TABS = (sampling.TAB, composing.TAB, editing.TAB, scoring.TAB, understanding.TAB)
MOTTO = "Watch noise walk downhill into pictures, mix attributes, score pictures of your own."
FILE_SECONDS = 3600  # files in Gradio's own cache are dropped after so long


class Page(gr.Blocks):
    """A page on which bad input, a ValueError, is a sentence for its visitor and no traceback in the server's log.

    ``presence`` hears of everybody who asks for something.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.presence = Presence(self._forget)

    @cached_property
    def _states(self) -> list[int]:
        """Where a tab's sessions are kept; read with the first request, when the page is built."""
        return [number for number, block in self.blocks.items() if isinstance(block, gr.State)]

    def _forget(self, visitor: str) -> None:
        """Gradio's own memory of a tab, a copy of the page's configuration; it keeps ten thousand."""
        holder = self.state_holder
        with holder.lock:
            holder.session_data.pop(visitor, None)
            holder.time_last_used.pop(visitor, None)

    async def preprocess_data(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super().preprocess_data(*args, **kwargs)
        except Exception as error:  # whatever a browser sends that its component does not take
            text = error.message if isinstance(error, gr.Error) else one_line(error)
            raise ValueError(f"what was entered cannot be used: {text}") from error

    async def postprocess_data(self, block_fn: Any, predictions: Any, state: Any) -> list[Any]:
        # Handlers return {component: value}; Gradio takes one without components for a value.
        nothing = isinstance(predictions, dict) and not predictions
        return await super().postprocess_data(block_fn, gr.skip() if nothing else predictions, state)

    async def process_api(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        state, visitor = kwargs.get("state"), kwargs.get("session_hash")
        if state is not None and visitor and kwargs.get("iterator") is None:
            values = (state[number] for number in self._states)
            self.presence.ask(visitor, [value for value in values if isinstance(value, Session)])
        try:
            output = await super().process_api(*args, **kwargs)
        except ValueError as error:
            raise gr.Error(plain(error), duration=TELL_SECONDS, print_exception=False) from error
        if kwargs.get("iterator") is not None and not output["is_generating"]:
            # Gradio sends a generator's last update once more when it ends. One whose place another has taken may end
            # after that one has shown its results, and would overwrite them.
            output["data"] = [gr.skip() for _ in output["data"]]
        return output


def build_ui(catalog: Catalog) -> Page:
    """The whole page for the models of a catalog. Raises ValueError when there is none that can be used."""
    if not catalog.names() and not catalog.families():
        reasons = " ".join(catalog.problems()) or "There are none."
        raise ValueError(f"No model in {catalog.weights} can be used. {reasons} Give another folder with --weights.")
    page = Page(title="EBM Studio", delete_cache=(600, FILE_SECONDS), analytics_enabled=False)
    with page:
        gr.Markdown(f"# EBM Studio\n{MOTTO}", elem_classes="masthead")
        for problem in catalog.problems():
            gr.Markdown(f"⚠️ {problem}")
        wanted = [tab for tab in TABS if tab.wanted(catalog)]
        # Not among the tabs: Gradio takes whatever is there for one, and shows some twice and others never.
        own = {tab.id: [_new_session() for _ in range(tab.sessions)] for tab in wanted}
        kept = {}
        with gr.Tabs(elem_id="tabs") as tabs:
            for tab in wanted:
                with gr.Tab(tab.name, id=tab.id, elem_id=f"tab-{tab.id}"):
                    kept[tab.id] = tab.build(catalog, *own[tab.id])
        wire_keeping(page, catalog, tabs, kept)

        def close_session(request: gr.Request) -> None:
            """Gradio itself keeps a closed tab's state for an hour; its walks and files go now."""
            page.presence.close(request.session_hash or "")

        page.unload(close_session)
        for function in page.fns.values():  # what the page asks of itself is nobody else's, and may change any day
            function.api_visibility = "private"
        add_endpoints(catalog)
    return page


def _new_session() -> gr.State:
    # No time to live: Gradio counts it from the opening of the page, and would end a walk in the middle of a lesson.
    # It copies the value when a browser's tab first needs it: a person may press a button before the page is loaded.
    return gr.State(Session(), delete_callback=Session.close)
