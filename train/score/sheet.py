"""The most unusual pictures of a table as one HTML file that opens anywhere: no other file, no network, no script."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ebm_core import images
from ebm_core.files import write_atomically
from ebm_core.picture_files import Files, printable
from ebm_core.pictures import Limits, PictureError, read_picture
from train.score.table import OUT

SIDE = 128  # pixels of a picture: its centre square, as it is scored
STYLE = """
:root { color-scheme: light dark; --ground: #f6f7fb; --card: #fff; --ink: #191c27; --soft: #555b6f; --odd: #be185d; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #0d0f15; --card: #171a23; --ink: #eceef5; --soft: #adb4c7; --odd: #f9a8d4; }
}
body { margin: 24px; background: var(--ground); color: var(--ink); font: 14px/1.4 system-ui, sans-serif; }
ol { display: grid; grid-template-columns: repeat(auto-fill, minmax(144px, 1fr)); gap: 12px; padding: 0; margin: 0; }
li { list-style: none; background: var(--card); border-radius: 8px; padding: 8px; overflow-wrap: anywhere; }
img { width: 100%; border-radius: 4px; display: block; margin-bottom: 6px; }
p, small { color: var(--soft); }
.odd { color: var(--odd); }
"""


class Unusual(NamedTuple):
    """A file of the table: its score, and beside a calibration what that means."""

    place: int  # among the files
    score: float
    percentile: float | None
    verdict: str | None


def write_sheet(path: Path, files: Files, chosen: Sequence[Unusual], title: str, limits: Limits) -> None:
    """Write ``chosen``, in their order. Raises FileError when the disk refuses."""
    cards = "\n".join(_card(files, one, number, limits) for number, one in enumerate(chosen, 1))
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style></head>\n<body><h1>{html.escape(title)}</h1>\n"
        f"<p>The highest scores first; a higher score is more unusual.</p>\n<ol>\n{cards}\n</ol></body></html>\n"
    )
    write_atomically(path, page.encode())


def _card(files: Files, one: Unusual, number: int, limits: Limits) -> str:
    name = files.names[one.place]
    label = html.escape(printable(name), quote=True)
    try:
        u8 = read_picture(files.read(name), SIDE, limits=limits).u8
    except PictureError as error:  # it was there when it was scored
        picture = f"<small>{html.escape(str(error))}</small>"
    else:
        data = base64.b64encode(images.encode(images.to_pil(u8), "JPEG", quality=85)).decode()
        picture = f'<img alt="{label}" src="data:image/jpeg;base64,{data}">'
    said = "" if one.percentile is None else f"<br>above {100 * one.percentile:.1f} % of held-out pictures"
    if one.verdict == OUT:
        said += f'<br><b class="odd">{OUT}</b>'
    return f"<li>{picture}{number}. {label}<br><small>{one.score:.5g}{said}</small></li>"
