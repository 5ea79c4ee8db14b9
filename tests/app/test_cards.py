"""The models' cards on the page: their own samples and words, and nothing where there is none."""

import base64
import io
import re

import torch
from PIL import Image

from app import cards
from ebm_core import images
from ebm_core.hub import CARD_FILE, SAMPLES_FILE


def test_cards_have_the_first_samples_and_words(catalog):
    folder = catalog.weights / "alpha"
    shades = torch.linspace(0.1, 0.9, 16)[:, None, None, None].expand(16, 3, 8, 8)
    (folder / SAMPLES_FILE).write_bytes(images.encode_sheet(shades))
    (folder / CARD_FILE).write_text(
        "---\nlicense: mit\n---\n# alpha\n\nAn energy of <shades>, [8x8](x.md). More.\n\nTrained on `noise`: use it.\n"
    )
    page = cards.to_html(catalog)
    assert page.count('class="model-card"') == 2
    assert "An energy of &lt;shades&gt;, 8x8. Trained on noise: use it.</span>" in page
    assert '<button class="model-card" data-name="beta"><b>beta</b> <span></span></button>' in page
    (data,) = re.findall(r"base64,([^\"]+)", page)
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert image.size == (cards.SHOWN * cards.SIDE, cards.SIDE)
        seen = [image.getpixel((cards.SIDE * i + 40, 40))[0] for i in range(cards.SHOWN)]
    (listed,) = cards.style_sheet(catalog).splitlines()  # beta has no samples
    assert listed.startswith('.model-list [role=option][aria-label="alpha"] { background-image: url("data:image/webp;')
    assert data in listed
    torch.testing.assert_close(torch.tensor(seen).float() / 256, shades[:4, 0, 0, 0], rtol=0, atol=0.03)


def test_files_that_are_no_card_leave_a_name(catalog):
    folder = catalog.weights / "alpha"
    (folder / CARD_FILE).write_bytes(b"\xff\xfe\xff")
    for data in (
        b"no picture",
        images.encode(Image.new("RGB", (4, 4)), "WEBP"),
        images.encode_sheet(torch.rand(16, 3, 8, 8))[:200],
    ):
        (folder / SAMPLES_FILE).write_bytes(data)
        assert '<button class="model-card" data-name="alpha"><b>alpha</b> <span></span></button>' in cards.to_html(
            catalog
        )
