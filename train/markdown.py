"""Tables in Markdown, for reports and cards."""

from collections.abc import Iterable
from typing import Any


def table(columns: Iterable[Any], rows: Iterable[Iterable[Any]]) -> str:
    """A line for each row below a head; no line break at its end."""
    head = list(columns)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
