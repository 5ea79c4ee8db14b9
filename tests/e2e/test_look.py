"""What people see and use: no barrier that axe-core knows, in either mode, on a phone and on a desk; the keyboard."""

from dataclasses import replace
from importlib.resources import files

import pytest

from tests.app.conftest import ATTRIBUTES, PLAN, save_attribute, save_calibrated
from tests.e2e.browser import CHROMIUM, chromium_page, press, running_app

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: `make browser` installs it"),
]

TABS = ("Sample", "Compose", "Edit", "Score", "Understand")
PHONE, DESK = (390, 844), (1440, 1000)
RUN = "() => axe.run(document, {resultTypes: ['violations'], iframes: false})"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    weights = tmp_path_factory.mktemp("weights")
    save_calibrated(weights, "scored")
    for seed, name in enumerate(("bright", "kind")):
        save_attribute(weights, f"tiny-{name}", ATTRIBUTES[name], seed=seed)
    save_attribute(weights, "slow-bright", ATTRIBUTES["bright"], family="slow", plan=replace(PLAN, rounds=900))
    with running_app(weights) as address:
        yield address


def open_tab(page, name):
    page.get_by_role("tab", name=name, exact=True).click()
    page.wait_for_selector(f"#tab-{name.lower()}", state="visible")


def fill(page, selector, value):
    box = page.locator(f"{selector} input[type=number]").first
    box.fill(str(value))
    box.press("Tab")


def barriers(page):
    """What axe calls serious or critical on all tabs, at two widths and in both modes; and pages that are too wide."""
    problems = []
    for tab in TABS:
        open_tab(page, tab)
        page.evaluate("for (const menu of document.querySelectorAll('.shelf-send')) menu.open = true")
        for width, height in (PHONE, DESK):
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(300)
            if (wide := page.evaluate("document.documentElement.scrollWidth")) > width:
                problems.append(f"{tab} at {width}: the page is {wide} wide")
            for dark in (False, True):
                page.evaluate("dark => document.body.classList.toggle('dark', dark)", dark)
                for found in page.evaluate(RUN)["violations"]:
                    if found["impact"] in ("serious", "critical"):
                        nodes = [f"{node['target']} {node['failureSummary']}" for node in found["nodes"]]
                        problems.append(f"{tab} at {width}, {'dark' if dark else 'light'}: {found['id']} {nodes}")
    return problems


def make_results(page):
    open_tab(page, "Sample")
    fill(page, "#num", 3)
    press(page, "#sample")
    page.wait_for_selector("#download-film:not([disabled])")
    open_tab(page, "Compose")
    page.get_by_role("radio", name="tiny", exact=True).check()
    fill(page, "#compose-num", 2)
    fill(page, "#tiny-bright-strength", 0.6)
    page.wait_for_selector("#words >> text=bright (0.6)")
    press(page, "#compose")
    page.wait_for_selector("#compose-download-film:not([disabled])")
    open_tab(page, "Edit")
    press(page, "#edit-example")
    page.wait_for_selector("#edit-painter canvas")
    page.get_by_role("radio", name="The whole picture").check()
    press(page, "#edit")
    page.wait_for_selector("#edit-download-film:not([disabled])")
    open_tab(page, "Score")
    press(page, "#score-examples")
    page.wait_for_selector("#score-status >> text=4 pictures scored")
    page.wait_for_selector("#score-csv a")
    fill(page, "#score-steps", 10)
    press(page, "#score-pull")
    page.wait_for_selector("#score-download-film:not([disabled])")
    open_tab(page, "Understand")
    fill(page, "#mix-num", 2)
    press(page, "#mix")
    page.wait_for_selector("#bare-download-film:not([disabled])")
    fill(page, "#valley-num", 2)
    fill(page, "#valley-steps", 20)
    press(page, "#valley")
    page.wait_for_selector("#valley-download-film:not([disabled])")


def test_there_is_no_barrier_on_any_tab_with_or_without_results(address):
    with chromium_page(address, *DESK) as page:
        problems, hosts = [], set()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: hosts.add(request.url.split("/")[2]) if "://" in request.url else None)
        page.add_style_tag(content="* { transition: none !important }")  # colours that fade are none of the theme's
        page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text())
        assert barriers(page) == []
        make_results(page)
        assert barriers(page) == []
        assert problems == []
        assert len(hosts) <= 1, "the page asks another server"


def test_a_tap_on_a_phone_shows_the_picture(address):
    with chromium_page(address, *PHONE) as page:
        press(page, "#sample")
        page.wait_for_selector("#chain-status >> text=Finished")
        button, picture = (page.locator(s).bounding_box() for s in ("#sample", "#chain-picture img"))
        assert button["y"] + button["height"] < picture["y"] < button["y"] + 120
        assert picture["y"] + picture["height"] < PHONE[1]
        assert picture["width"] > 350


def test_the_keyboard_is_enough(address):
    with chromium_page(address, *DESK) as page:
        page.get_by_role("tab", name="Sample").focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_selector("#tab-compose", state="visible")
        assert page.evaluate("document.activeElement.innerText") == "Compose"
        page.keyboard.press("Home")
        page.wait_for_selector("#tab-sample", state="visible")

        model = page.locator("#model input")
        model.click()
        page.wait_for_selector("[role=option]")
        page.keyboard.press("Escape")
        page.wait_for_selector("[role=option]", state="detached")
        model.click()
        page.wait_for_selector("[role=option]")
        page.keyboard.press("Escape")

        page.locator("#num input[type=range]").focus()
        page.keyboard.press("ArrowLeft")
        outline = "() => getComputedStyle(document.activeElement).outlineStyle"
        assert page.evaluate(outline) == "solid", "a slider's focus cannot be seen"

        open_tab(page, "Compose")
        page.get_by_role("radio", name="slow", exact=True).check()
        fill(page, "#slow-bright-strength", 0.5)
        page.wait_for_selector("#words >> text=bright (0.5)")
        page.keyboard.press("Control+Enter")
        page.wait_for_selector("#compose-chain-status >> text=Walking")
        page.wait_for_function("() => document.querySelector('#announcements').innerText.includes('Walking')")
        # The first frame may be that of step 0.
        page.wait_for_function("() => document.querySelector('#compose-chain-picture progress')?.value > 0")
        assert float(page.get_attribute("#compose-chain-picture progress", "value")) > 0
        page.keyboard.press("Escape")
        page.wait_for_selector("#compose-chain-status >> text=Stopped")
        page.wait_for_function("() => document.querySelector('#announcements').innerText.includes('Stopped')")


def test_long_seeds_fit_and_last_says_why_there_is_none(address):
    with chromium_page(address, *DESK) as page:
        press(page, "#reuse")
        page.wait_for_selector("text=There is no last seed yet")
        fill(page, "#seed", 4294967295)
        box = page.locator("#seed input")
        assert box.evaluate("box => box.scrollWidth <= box.clientWidth")
