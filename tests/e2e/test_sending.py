"""A finished picture, or one of the history, is sent to another tab, which takes what belongs to it."""

import pytest

from tests.app.conftest import save_calibrated, save_tiny_family
from tests.e2e.browser import CHROMIUM, chromium_page, press, running_app

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: `make browser` installs it"),
]


def shows(page, tab):
    page.wait_for_selector(f"#tab-{tab}", state="visible")


def chosen(page, selector, value):
    page.wait_for_function("([at, value]) => document.querySelector(at)?.value === value", arg=[selector, value])


def send_run(page, target):
    page.locator("#history summary").click()
    press(page, f"#history .send-to-{target}")


def test_pictures_go_from_tab_to_tab_and_no_plot_is_needed(tmp_path):
    save_calibrated(tmp_path, "another")  # first in every list
    save_tiny_family(tmp_path)
    with running_app(tmp_path) as address, chromium_page(f"{address}/?tab=sample&model=tiny&seed=3&num=2") as page:
        page.route("**/PlotlyPlot*", lambda route: route.abort())  # a script of megabytes may come late, or never
        chosen(page, "#model input", "tiny")
        press(page, "#sample")
        page.wait_for_selector("#download-film:not([disabled])")  # which is seen: the record is there

        press(page, "#tab-sample .send-to-edit")
        shows(page, "edit")
        page.wait_for_selector("#edit-painter canvas")
        chosen(page, "#edit-model input", "tiny")
        page.wait_for_selector("#edit-tiny-bright-strength")

        page.get_by_role("tab", name="Sample").click()
        press(page, "#tab-sample .send-to-pull")
        shows(page, "score")
        page.wait_for_selector("#score-chain-status >> text=Finished")
        page.wait_for_selector("#score-status >> text=1 picture scored")

        page.get_by_role("tab", name="Sample").click()
        press(page, "#tab-sample .send-to-compose")
        shows(page, "compose")
        page.wait_for_selector("#words >> text=tiny: any")
        chosen(page, "#compose-seed input", "3")

        page.reload()
        chosen(page, "#model input", "tiny")
        send_run(page, "pull")
        page.wait_for_selector("#score-chain-status >> text=Finished")
        send_run(page, "edit")
        shows(page, "edit")
        page.wait_for_selector("#edit-painter canvas")
        chosen(page, "#edit-model input", "tiny")
        send_run(page, "compose")
        shows(page, "compose")
        chosen(page, "#compose-seed input", "3")
