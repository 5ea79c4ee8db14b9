"""A person paints on a picture of their own, in a real Chromium on the real app."""

import base64

import pytest
import torch

from ebm_core.pictures import read_picture
from tests.app.conftest import png, save_tiny_family
from tests.e2e.browser import CHROMIUM, chromium_page, press, running_app
from tests.e2e.test_score_page import PASTE

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: `make browser` installs it"),
]

WIDE = torch.randint(0, 256, (3, 8, 8), generator=torch.Generator().manual_seed(4), dtype=torch.uint8)


def best(page):
    """The first picture of the results."""
    page.wait_for_selector("#edit-download-film:not([disabled])")
    source = page.locator("#edit-gallery img").first.get_attribute("src")
    fetch = """async url => {
      const bytes = new Uint8Array(await (await fetch(url)).arrayBuffer());
      return btoa(String.fromCharCode(...bytes));
    }"""
    return read_picture(base64.b64decode(page.evaluate(fetch, source)), 8).u8


def test_paint_repaint_and_go_on(tmp_path):
    save_tiny_family(tmp_path / "weights")
    (tmp_path / "picture.png").write_bytes(png(WIDE))
    with running_app(tmp_path / "weights") as address, chromium_page(address, 1280, 1400) as page:
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.get_by_role("tab", name="Edit").click()
        press(page, "#edit")
        page.wait_for_selector("text=There is no picture yet: open, drop or paste one")
        page.set_input_files(".painter-opening input[type=file]", tmp_path / "picture.png")
        page.wait_for_selector("#edit-painter canvas")
        press(page, "#edit")
        page.wait_for_selector("text=Nothing is painted")
        page.evaluate(PASTE, base64.b64encode(b"words").decode())
        page.wait_for_selector("text=this is not an image that can be read here")

        box = page.locator("#edit-painter canvas").bounding_box()
        page.locator(".painter-size").fill("160")
        x, y, side = box["x"], box["y"], box["width"]
        page.mouse.move(x + side / 8, y)
        page.mouse.down()
        page.mouse.move(x + side / 8, y + side, steps=4)
        page.mouse.up()
        press(page, "#edit")
        result = best(page)
        assert torch.equal(result[:, :, 4:], WIDE[:, :, 4:])
        assert not torch.equal(result[:, :, :2], WIDE[:, :, :2])

        press(page, "#edit-result")
        page.wait_for_function("() => document.querySelector('.painter-mask textarea').value === ''")
        page.locator("#edit-painter canvas").focus()
        for key in ("ArrowRight", "Space", "ArrowDown", "Space"):
            page.keyboard.press(key)
        page.wait_for_function("() => document.querySelector('.painter-mask textarea').value !== ''")
        press(page, ".painter-clear")
        page.wait_for_function("() => document.querySelector('.painter-mask textarea').value === ''")

        press(page, "#tab-edit .send-to-score")
        page.wait_for_selector("#score-status >> text=/1 .*scored/")
        page.get_by_role("tab", name="Sample").click()
        press(page, "#sample")
        page.wait_for_selector("#gallery img")
        before = page.get_attribute("#edit-painter img", "src")
        press(page, "#tab-sample .send-to-edit")
        page.wait_for_function("old => document.querySelector('#edit-painter img')?.src !== old", arg=before)
        assert page.locator("#tab-edit").is_visible()
        assert problems == []
