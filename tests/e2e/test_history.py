"""A teacher's link is opened, what it says is run, and the browser has it still after a reload; a name is kept."""

import pytest

from tests.app.conftest import save_tiny_family
from tests.e2e.browser import CHROMIUM, chromium_page, press, running_app

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: `make browser` installs it"),
]

LINK = "/?tab=compose&model=tiny&seed=5&num=2&bright=-0.6&kind=ring,dot,0.5,not"
WORDS = "tiny: dark (0.6), but not ring nor dot (0.5)"


def value(page, selector):
    return page.input_value(f"{selector} input[type=number]")


def test_a_link_is_opened_run_and_found_again(tmp_path):
    save_tiny_family(tmp_path)
    with running_app(tmp_path) as address, chromium_page(address + LINK, ready="#compose") as page:
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.wait_for_selector(f"#words >> text={WORDS}")
        assert page.is_visible("#tab-compose")
        assert [value(page, f"#{name}") for name in ("compose-seed", "compose-num", "tiny-bright-strength")] == [
            "5",
            "2",
            "-0.6",
        ]
        press(page, "#compose")
        page.wait_for_selector("#history .shelf-open img")
        with page.expect_download() as download:
            page.click("#compose-download-csv")
        assert download.value.path().read_text().startswith("step,chain_00,chain_01,mean ")

        page.fill("#compose-name textarea, #compose-name input", "Dark ones")
        press(page, "#compose-keep")
        page.wait_for_selector("#compose-named >> text=Dark ones")
        page.goto(address)
        page.wait_for_selector(f"#history >> text={WORDS}, seed 5")
        assert page.is_visible("#tab-sample")
        page.click("#history .shelf-open")
        page.wait_for_selector(f"#words >> text={WORDS}")
        page.wait_for_function("() => document.activeElement.id === 'compose'")
        assert value(page, "#compose-seed") == "5"

        press(page, "#compose-link")
        page.wait_for_function("link => location.pathname + location.search === link", arg=LINK)
        page.set_viewport_size({"width": 390, "height": 844})
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        page.set_viewport_size({"width": 1280, "height": 900})
        names = page.locator("[role=tab]").all_inner_texts()
        assert list(dict.fromkeys(names)) == ["Sample", "Compose", "Edit", "Score", "Understand"]
        page.click("#compose-named .shelf-forget")
        page.wait_for_selector("#compose-named .shelf", state="detached")

        # On the tab that is not open: it has its settings when it is.
        page.goto(f"{address}/?tab=sample&model=tiny&seed=7&rounds=0&num=99")
        page.wait_for_selector("text=This link cannot be used: 'Chains' must be a whole number from 1 to 64, got 99")
        assert value(page, "#seed") == "0"
        assert not problems
