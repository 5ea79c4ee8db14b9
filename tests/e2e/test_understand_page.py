"""A person compares chains with and without jolts and lets them fall, in a real Chromium on the real app."""

import re
from dataclasses import replace

import pytest
import torch

from ebm_core.checkpoint import ModelInfo, save_model
from ebm_core.nets import EnergyNetwork
from ebm_core.recipe import from_png
from tests.app.conftest import PLAN
from tests.conftest import TINY
from tests.e2e.browser import CHROMIUM, chromium_page, press, running_app

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: `make browser` installs it"),
]


def frame(page, side):
    return page.get_attribute(f"#{side}chain-picture img.chain-view", "src")


def wait_past(page, side, step):
    page.wait_for_function(
        "([side, s]) => { const m = document.querySelector(`#${side}chain-status`).innerText.match(/step (\\d+) of/);"
        " return m && Number(m[1]) > s }",
        arg=[side, step],
    )


def step_of(page, side):
    return int(re.search(r"step (\d+) of", page.inner_text(f"#{side}chain-status"))[1])


def fill(page, selector, value):
    box = page.locator(f"{selector} input[type=number]").first
    box.fill(str(value))
    box.press("Tab")


def test_chains_part_stop_go_on_and_fall(tmp_path):
    torch.manual_seed(0)
    info = ModelInfo(TINY, replace(PLAN, refinement_steps=4000))  # longer than a slow browser takes
    save_model(tmp_path / "weights" / "tiny" / "model.safetensors", EnergyNetwork(TINY).state_dict(), info)
    with running_app(tmp_path / "weights") as address, chromium_page(address, height=1700) as page:
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.get_by_role("tab", name="Understand").click()
        fill(page, "#mix-num", 4)
        page.click("#mix")
        page.wait_for_selector("#jolted-chain-status >> text=Walking")
        page.wait_for_selector("#bare-chain-status >> text=Walking")
        wait_past(page, "bare-", 5)
        before, at = frame(page, "jolted-"), step_of(page, "jolted-")  # a slow browser may be late, and far along
        wait_past(page, "jolted-", at + 20)
        assert frame(page, "jolted-") != before, "the chains with jolts do not move"
        assert frame(page, "jolted-") != frame(page, "bare-")

        press(page, "#mix-stop")
        page.wait_for_selector("#jolted-chain-status >> text=Stopped")
        page.wait_for_selector("#bare-chain-status >> text=Stopped")
        page.wait_for_function(
            "() => [...document.querySelectorAll('#mix-plot .legendtext')].map(e => e.textContent).join()"
            " === 'with jolts,without'"
        )
        page.wait_for_selector("#mix-continue:not([disabled])")
        page.click("#mix-continue")
        page.wait_for_selector("#jolted-chain-status >> text=Walking")
        press(page, "#mix-stop")
        page.wait_for_selector("#jolted-chain-status >> text=Stopped")
        page.wait_for_selector("#bare-download-png:not([disabled])")
        with page.expect_download() as download:
            page.click("#bare-download-png")
        saved = tmp_path / "saved.png"
        download.value.save_as(saved)
        assert from_png(saved.read_bytes()).from_picture

        page.get_by_label("the chains with jolts").check()
        fill(page, "#valley-steps", 40)
        page.click("#valley")
        page.wait_for_selector("#valley-chain-status >> text=Finished")
        page.wait_for_selector("#valley-gallery img")
        assert page.locator("#valley-gallery .thumbnail-item, #valley-gallery button img").count() >= 4
        assert not problems
