"""The models to choose from, each with four of its own samples and the first words of its card. No Gradio here."""

import base64
import html
import re
from functools import lru_cache
from pathlib import Path

from PIL import Image

from app.catalog import Catalog
from ebm_core import images
from ebm_core.hub import CARD_FILE, SAMPLES_FILE

COLUMNS, GAP = 8, 2  # of the sheet of samples beside a model's card (``train card``)
SHOWN, SIDE = 4, 80  # samples, and pixels of each
LISTED = ".model-list [role=option]"
CHOOSE = """
element.addEventListener('click', event => {
  const button = event.target.closest('.model-card');
  if (button) trigger('click', {name: button.dataset.name});
});
"""


def to_html(catalog: Catalog) -> str:
    """A button for each unconditional model."""
    return f'<div class="model-cards">{"".join(_card(catalog.weights / name) for name in catalog.names())}</div>'


def style_sheet(catalog: Catalog) -> str:
    """CSS that shows each model's samples beside its name in the lists of models, which take words alone."""
    rules = []
    for name in catalog.names():
        if source := _source(catalog.weights / name / SAMPLES_FILE):
            quoted = name.replace("\\", "\\\\").replace('"', '\\"')
            rules.append(f'{LISTED}[aria-label="{quoted}"] {{ background-image: url("{source}"); }}')
    return "\n".join(rules)


def _card(folder: Path) -> str:
    name, words = html.escape(folder.name), html.escape(_words(folder / CARD_FILE))
    source = _source(folder / SAMPLES_FILE)
    picture = f'<img alt="" src="{source}">' if source else ""
    return f'<button class="model-card" data-name="{name}">{picture}<b>{name}</b> <span>{words}</span></button>'


def _words(path: Path) -> str:
    """What the pictures are and what they may be used for: a card's first sentence, and its paragraph of terms."""
    try:
        text = path.read_text(encoding="utf-8").split("---\n")[-1]  # without the Hub's header
    except (OSError, UnicodeDecodeError):
        return ""
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n") if part.strip() and part[0] not in "#!|*"]
    first = re.split(r"(?<=\.) ", paragraphs[0])[:1] if paragraphs else []
    plain = " ".join([*first, *(part for part in paragraphs[1:2] if part.startswith("Trained on"))])
    return re.sub(r"\[(.*?)\]\(.*?\)", r"\1", plain).replace("`", "").replace("**", "")


def _source(path: Path) -> str:
    """The first samples of a sheet as a data URL, "" where there is none."""
    try:
        return _first_samples(path, path.stat().st_mtime_ns)
    except (OSError, ValueError):
        return ""


@lru_cache(maxsize=64)
def _first_samples(path: Path, modified: int) -> str:
    """Both the cards and the lists have them."""
    sheet = images.read_own(path.read_bytes(), "WebP").convert("RGB")
    side = (sheet.width - GAP) // COLUMNS - GAP
    if side < 1 or sheet.height < side + 2 * GAP:
        return ""
    row = Image.new("RGB", (SHOWN * SIDE, SIDE))
    for number in range(SHOWN):
        left = GAP + number * (side + GAP)
        cell = sheet.crop((left, GAP, left + side, GAP + side))
        row.paste(cell.resize((SIDE, SIDE), Image.Resampling.LANCZOS), (number * SIDE, 0))
    data = base64.b64encode(images.encode(row, "WEBP", quality=80)).decode()
    return f"data:image/webp;base64,{data}"
