"""What a browser keeps for its visitor: the last runs, and settings that were named; one list. No Gradio here."""

import base64
import html
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from PIL import Image

from app import links
from app.catalog import Catalog
from app.walk import Walk
from ebm_core import images
from ebm_core.config import ConfigError, from_dict, to_dict

MAX_RUNS, MAX_NAMED = 20, 50
MAX_NAME = 60  # characters
SIDE = 96  # pixels of a thumbnail


@dataclass(frozen=True)
class Entry:
    """Settings by their address: with the name that they were given, or those of a run."""

    address: str
    words: str
    picture: str = ""  # a JPEG in base64
    name: str = ""  # "" = a run, which the twentieth after it pushes out


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


def run_of(catalog: Catalog, walk: Walk | None) -> Entry | None:
    """A walk that has ended or rests, with its picture of the lowest energy; None for none and for one that is on."""
    if walk is None or walk.state is None or walk.wait(0):
        return None
    image = images.to_pil(walk.pictures()[int(walk.state.energy.argmin())])
    zoom = SIDE // image.width  # few pixels are to be seen as such
    image = image.resize((zoom * image.width,) * 2, Image.Resampling.NEAREST) if zoom > 1 else image
    image.thumbnail((SIDE, SIDE))
    picture = base64.b64encode(images.encode(image, "JPEG", quality=85)).decode()
    return Entry(links.write(catalog, walk.recipe), links.words(catalog, walk.recipe), picture)


def with_run(entries: Sequence[Entry], run: Entry) -> list[Entry]:
    """The entries with a run as the newest; settings that were run before are one entry."""
    runs = [entry for entry in entries if not entry.name and entry.address != run.address]
    return [run, *runs[: MAX_RUNS - 1], *(entry for entry in entries if entry.name)]


def with_name(entries: Sequence[Entry], name: str, address: str, words: str) -> list[Entry]:
    """The entries with settings under a name, in place of others that had it; the picture is that of their last run.

    Raises ValueError, in a sentence, for no name, one that is too long, and one too many.
    """
    name = " ".join(name.split())
    if not 0 < len(name) <= MAX_NAME:
        raise ValueError(f"A name has 1 to {MAX_NAME} characters, this one {len(name)}: type another into 'Name'.")
    others = [entry for entry in entries if entry.name != name]
    if sum(bool(entry.name) for entry in others) >= MAX_NAMED:
        raise ValueError(f"{MAX_NAMED} names are the most: forget one of them first.")
    picture = next((entry.picture for entry in entries if entry.address == address), "")
    return [Entry(address, words, picture, name), *others]


def without(entries: Sequence[Entry], name: str, address: str) -> list[Entry]:
    """The entries but for one."""
    return [entry for entry in entries if (entry.name, entry.address) != (name, address)]


def to_html(entries: Sequence[Entry], label: str) -> str:
    """Buttons that open each entry, and smaller ones that forget it; nothing for none."""
    if not entries:
        return ""
    return f'<ul class="shelf" aria-label="{label}">{"".join(map(_item, entries))}</ul>'


def _item(entry: Entry) -> str:
    name, address, words = (html.escape(text) for text in (entry.name, entry.address, entry.words))
    data = f'data-name="{name}" data-address="{address}"'
    source = f"data:image/jpeg;base64,{html.escape(entry.picture)}"
    picture = f'<img class="shelf-picture" alt="" src="{source}">' if entry.picture else ""
    return (
        f'<li><button class="shelf-open" title="{words}" {data}>{picture}<span>{name or words}</span></button>'
        f'<button class="shelf-forget" aria-label="Forget {name or words}" {data}>×</button></li>'
    )
