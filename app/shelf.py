"""What a browser keeps for its visitor: the last runs, and settings that were named; one list. No Gradio here."""

import base64
import html
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

from app import links
from app.catalog import Catalog
from app.session import Session
from ebm_core import images
from ebm_core.config import ConfigError, from_dict, to_dict
from ebm_core.recipe import to_png

MAX_RUNS, MAX_NAMED = 20, 50
MAX_NAME = 60  # characters
# Where ``page.js`` sends a finished picture to, and the button's words; all but the last want the picture alone.
TARGETS = {"edit": "Edit it", "score": "Score it", "pull": "Pull it back", "compose": "Compose from it"}
PICTURE_TARGETS = [*TARGETS][:-1]


@dataclass(frozen=True)
class Entry:
    """Settings by their address: with the name that they were given, or those of a run."""

    address: str
    words: str
    picture: str = ""  # a PNG in base64, with its settings in it
    name: str = ""  # "" = a run, which the twentieth after it pushes out
    smooth: bool = True  # how the picture is to be enlarged


def from_plain(plain: Any) -> list[Entry]:
    """What a browser has kept, the newest first; what in it is no entry, of another version say, is left out."""
    entries = []
    for each in plain if isinstance(plain, list) else []:
        with suppress(ConfigError):
            entries.append(from_dict(Entry, each))
    return entries


def to_plain(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """The inverse of ``from_plain``."""
    return [to_dict(entry) for entry in entries]


def run_of(catalog: Catalog, session: Session) -> Entry | None:
    """A walk that has ended or rests, with its picture of the lowest energy; None for none and for one that is on."""
    walk = session.walk
    if walk is None or walk.state is None or walk.wait(0):
        return None
    best = int(walk.state.energy.argmin())
    png = to_png(images.to_pil(walk.pictures()[best]), replace(walk.outcome, index=best))
    picture = base64.b64encode(png).decode()
    asked = session.edit or walk.recipe
    return Entry(links.write(catalog, asked), links.words(catalog, asked), picture, smooth=walk.is_coded)


def tab_of(address: str) -> str:
    """The tab that an address opens."""
    return dict(parse_qsl(address.removeprefix("?"))).get("tab", "")


def with_run(entries: Sequence[Entry], run: Entry) -> list[Entry]:
    """The entries with a run as the newest; settings that were run before are one entry."""
    runs = [entry for entry in entries if not entry.name and entry.address != run.address]
    return [run, *runs[: MAX_RUNS - 1], *(entry for entry in entries if entry.name)]


def with_name(entries: Sequence[Entry], name: str, address: str, words: str) -> list[Entry]:
    """The entries with settings under a name, in place of others of their tab that had it.

    The picture is that of their last run.

    Raises ValueError, in a sentence, for no name, one that is too long, and one too many.
    """
    name = " ".join(name.split())
    if not 0 < len(name) <= MAX_NAME:
        raise ValueError(f"A name has 1 to {MAX_NAME} characters, this one {len(name)}: type another into 'Name'.")
    others = [entry for entry in entries if entry.name != name or tab_of(entry.address) != tab_of(address)]
    if sum(bool(entry.name) for entry in others) >= MAX_NAMED:
        raise ValueError(f"{MAX_NAMED} names are the most: forget one of them first.")
    run = next((entry for entry in entries if entry.address == address), Entry(address, words))
    return [replace(run, words=words, name=name), *others]


def without(entries: Sequence[Entry], name: str, address: str) -> list[Entry]:
    """The entries but for one."""
    return [entry for entry in entries if (entry.name, entry.address) != (name, address)]


def to_html(entries: Sequence[Entry], label: str, targets: Callable[[Entry], Sequence[str]] = lambda entry: ()) -> str:
    """Buttons that open each entry, smaller ones that forget it, and those that send its picture to ``targets``.

    Nothing for no entries.
    """
    if not entries:
        return ""
    items = "".join(_item(entry, targets(entry)) for entry in entries)
    return f'<ul class="shelf" aria-label="{label}">{items}</ul>'


def _item(entry: Entry, targets: Sequence[str]) -> str:
    name, address, words = (html.escape(text) for text in (entry.name, entry.address, entry.words))
    data = f'data-name="{name}" data-address="{address}"'
    look = "shelf-picture" if entry.smooth else "shelf-picture pixelated"
    source = f'src="data:image/png;base64,{html.escape(entry.picture)}" data-file="{words}.png"'
    picture = f'<img class="{look}" alt="" {source}>' if entry.picture else ""
    buttons = "".join(f'<button class="send-to-{target}">{TARGETS[target]}</button>' for target in targets)
    sending = (
        f'<details class="shelf-send"><summary>Send to …</summary><div>{buttons}</div></details>' if buttons else ""
    )
    return (
        f'<li><button class="shelf-open" title="{words}" {data}>{picture}<span>{name or words}</span></button>'
        f'<button class="shelf-forget" aria-label="Forget {name or words}" {data}>×</button>{sending}</li>'
    )
