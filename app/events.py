"""How Gradio treats the page's events, the two kinds there are, and how the page tells what could not be done."""

import html
from typing import Any

import gradio as gr

TELL_SECONDS = 15  # that a message stays

# Each as it comes, beside those that are on: ``app/line.py`` says who walks and tells who waits. A press while a walk
# is on begins another one, whose view takes the place of the first.
EACH: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": None, "trigger_mode": "multiple"}
# One after another: a value that changes while its last change is dealt with is not lost, and the newest is the last.
NEWEST: dict[str, Any] = EACH | {"trigger_mode": "always_last"}


def plain(words: object) -> str:
    """Words for a message, which Gradio takes for HTML: names of files are in them."""
    return html.escape(str(words), quote=False)


def warn(words: object) -> None:
    """Tell the visitor what could not be done."""
    gr.Warning(plain(words), duration=TELL_SECONDS)
