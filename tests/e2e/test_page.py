"""A person at the page: a real Chromium on the real app."""

import re
import time

import pytest

from ebm_core.recipe import from_png
from tests.app.conftest import PLAN, save_tiny
from tests.e2e.browser import CHROMIUM, chromium_page, press, running_app

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: `make browser` installs it"),
]


def step_of(page):
    match = re.search(r"step (\d+) of", page.inner_text("#chain-status"))
    return int(match[1]) if match else -1


def wait_past(page, step):
    page.wait_for_function(
        "s => { const m = document.querySelector('#chain-status').innerText.match(/step (\\d+) of/);"
        " return m && Number(m[1]) > s }",
        arg=step,
    )


def frame(page):
    return page.get_attribute("#chain-picture img.chain-view", "src")


def fill(page, selector, value):
    box = page.locator(f"{selector} input[type=number]").first
    box.fill(str(value))
    box.press("Tab")


def test_sample_stop_continue_download_restore(tmp_path):
    save_tiny(tmp_path / "weights", "tiny")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with running_app(tmp_path / "weights", temporary) as address, chromium_page(address) as page:
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.click("#advanced button")
        fill(page, "#refinement", 500)
        fill(page, "#rounds", 12)
        fill(page, "#steps", 200)
        fill(page, "#num", 5)
        fill(page, "#seed", 42)
        page.click("#sample")

        wait_past(page, 0)
        first, at = frame(page), step_of(page)
        wait_past(page, at)
        assert frame(page) != first, "the picture does not change between frames"

        wait_past(page, 100)
        at = step_of(page)
        page.click("#sample")
        page.wait_for_function(
            "s => { const m = document.querySelector('#chain-status').innerText.match(/step (\\d+) of/);"
            " return m && Number(m[1]) < s }",
            arg=at,
        )
        wait_past(page, 0)

        press(page, "#stop")
        page.wait_for_selector("#chain-status >> text=Stopped")
        still, at = frame(page), step_of(page)
        assert at < 2900, "the walk ended before it could be stopped"
        page.wait_for_timeout(700)
        assert (frame(page), step_of(page)) == (still, at), "the chain went on after Stop"

        page.click("#continue")
        wait_past(page, at)
        press(page, "#stop")
        page.wait_for_selector("#chain-status >> text=Stopped")
        page.wait_for_selector("#gallery img")
        assert page.locator("#gallery .thumbnail-item, #gallery button img").count() >= 5

        first = page.request.get(page.locator("#gallery img").first.get_attribute("src"))
        assert from_png(first.body()).index in range(5), "the gallery's own download has lost the settings"

        page.wait_for_selector("#download-png:not([disabled])")
        with page.expect_download() as download:
            page.click("#download-png")
        saved = tmp_path / "saved.png"
        download.value.save_as(saved)
        recipe = from_png(saved.read_bytes())
        assert (recipe.model, recipe.seed, recipe.num, recipe.plan.rounds) == ("tiny", 42, 5, 12)
        assert recipe.plan.langevin.step_size == PLAN.langevin.step_size
        assert recipe.stopped_at > at

        fill(page, "#seed", 1)
        fill(page, "#rounds", 1)
        fill(page, "#num", 2)
        page.set_input_files("#restore input[type=file]", saved)
        page.wait_for_function("() => document.querySelector('#seed input').value === '42'")
        assert page.input_value("#rounds input[type=number]") == "12"
        assert page.input_value("#num input[type=number]") == "5"

        broken = tmp_path / "broken.png"
        broken.write_text("not a picture")
        page.set_input_files("#restore input[type=file]", broken)
        page.wait_for_selector("text=neither JSON nor a PNG")
        assert not problems

        # A second person gets a walk of their own, and it leaves nothing when their tab closes.
        with chromium_page(address, in_browser=page.context.browser) as other:
            assert "Nothing sampled yet" in other.inner_text("#chain-status")
            other.click("#sample")
            wait_past(other, 3)
            assert len(list(temporary.glob("ebm-studio-*/ebm-studio-*"))) == 2
        deadline = time.monotonic() + 30
        while len(left := list(temporary.glob("ebm-studio-*/ebm-studio-*"))) > 1 and time.monotonic() < deadline:
            time.sleep(0.2)
        assert len(left) == 1, "the closed tab's files are still there"
        assert "Stopped" in page.inner_text("#chain-status")
    assert not list(temporary.glob("ebm-studio-*")), "the server left files behind"
