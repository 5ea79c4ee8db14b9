"""How Gradio treats the page's events: the two kinds there are."""

from typing import Any

# Each as it comes, beside those that are on: ``app/line.py`` says who walks and tells who waits. A press while a walk
# is on begins another one, whose view takes the place of the first.
EACH: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": None, "trigger_mode": "multiple"}
# One after another: a value that changes while its last change is dealt with is not lost, and the newest is the last.
NEWEST: dict[str, Any] = EACH | {"trigger_mode": "always_last"}
