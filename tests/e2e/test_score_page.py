"""A person scores pictures of their own, in a real Chromium on the real app."""

import base64
import csv
from dataclasses import replace

import pytest
import torch

from app.limits import PICTURES
from ebm_core.checkpoint import load_model
from ebm_core.hub import WEIGHTS, find_model
from ebm_core.images import encode, to_pil
from ebm_core.sampling import sample
from ebm_core.space import pixels
from tests.app.conftest import png, save_calibrated, save_tiny
from tests.e2e.browser import CHROMIUM, chromium_page, running_app
from tests.e2e.test_compose_page import drag

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: `make browser` installs it"),
]

PASTE = """data => {
  const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0)), pasted = new DataTransfer();
  pasted.items.add(new File([bytes], 'image.png', {type: 'image/png'}));
  document.body.dispatchEvent(new ClipboardEvent('paste', {clipboardData: pasted, bubbles: true}));
}"""


def wait_for_text(page, selector, text):
    page.wait_for_function("([s, t]) => document.querySelector(s)?.innerText.includes(t)", arg=[selector, text])


def verdict(page, name):
    return page.locator(f".score-card:has(h2:text-is('{name}')) .score-verdict").inner_text()


def frame(page):
    return page.get_attribute("#score-chain-picture img.chain-view", "src")


def test_drop_read_judge_and_pull_back(tmp_path):
    save_calibrated(tmp_path / "weights", "tiny")
    save_tiny(tmp_path / "weights", "raw")
    white = torch.full((3, 8, 8), 255, dtype=torch.uint8)
    files = {"good.png": png(), "broken.png": png()[:90], "white.png": png(white)}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with running_app(tmp_path / "weights") as address, chromium_page(address, height=1600) as page:
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.get_by_role("tab", name="Score").click()
        page.locator("#score-model input").click()
        page.get_by_role("option", name="tiny", exact=True).click()
        wait_for_text(page, "#score-about", "Compared with 300 held-out pictures (made up)")

        page.set_input_files("#score-files input[type=file]", [tmp_path / name for name in files])
        wait_for_text(page, "#score-status", "2 pictures scored")
        wait_for_text(page, "#score-status", "1 could not be scored")
        assert verdict(page, "1 · good.png") == "not unusual: 90.0 % of held-out pictures have a lower energy"
        assert verdict(page, "2 · broken.png").startswith("not scored: the image is damaged or cut off")
        assert "held-out pictures have a lower energy" in verdict(page, "3 · white.png")
        assert page.locator(".score-card img").count() == 4
        wait_for_text(page, "#score-table", "broken.png")

        drag(page, "#score-rate", 1.0)
        page.wait_for_selector(".score-card.score-unusual h2:text-is('1 · good.png')")
        assert verdict(page, "1 · good.png") == "unusual: 90.0 % of held-out pictures have a lower energy"

        page.evaluate(PASTE, base64.b64encode(png()).decode())
        wait_for_text(page, "#score-cards", "4 · image.png")
        wait_for_text(page, "#score-status", "3 pictures scored")
        assert verdict(page, "4 · image.png") == verdict(page, "1 · good.png")

        # A file above the limit stays in the browser and has its row; the one beside it is scored.
        with (tmp_path / "heavy.png").open("wb") as heavy:
            heavy.truncate(PICTURES.max_bytes + 2**20)
        page.set_input_files("#score-files input[type=file]", [tmp_path / "heavy.png", tmp_path / "good.png"])
        wait_for_text(page, "#score-status", "2 could not be scored")
        wait_for_text(page, "#score-status", "3 pictures scored")  # good.png is there already
        card = page.locator(".score-card:has(h2:has-text('heavy.png')) .score-verdict")
        assert card.inner_text() == "not scored: the file has 21.0 MiB; the limit is 20: make it smaller"

        with page.expect_download() as download:
            page.click("#score-csv a")
        download.value.save_as(tmp_path / "scores.csv")
        rows = list(csv.DictReader((tmp_path / "scores.csv").read_text().splitlines()))
        assert [row["file"] for row in rows[:4]] == [*files, "image.png"]
        assert rows[0]["verdict"] == "unusual"
        assert float(rows[0]["false_alarm_rate"]) == pytest.approx(0.5)

        page.locator(".score-card:has(h2:text-is('1 · good.png')) .score-pull").click()
        page.wait_for_selector("#score-chain-status >> text=Finished")
        page.wait_for_selector("#score-download-png:not([disabled])")
        wait_for_text(page, "#score-chain-status", "step 200 of 200")
        assert page.input_value("#score-picture input") == "1 · good.png"
        end = frame(page)
        drag(page, "#score-scrubber", 0.0)
        wait_for_text(page, "#score-chain-status", "step 0 of 200")
        assert frame(page) != end, "the picture does not move"
        page.click("#score-pull")
        page.wait_for_function("() => /Walking|Finished/.test(document.querySelector('#score-chain-status').innerText)")

        page.locator("#score-model input").click()
        page.get_by_role("option", name="raw", exact=True).click()
        wait_for_text(page, "#score-about", "no calibration")
        page.wait_for_selector("#score-csv a[download='scores-raw.csv']")  # it comes when all are scored, by this model
        wait_for_text(page, "#score-status", "3 pictures scored")
        assert page.locator(".score-card.score-raw").count() == 3
        assert verdict(page, "1 · good.png").startswith("no verdict")
        page.click("#score-clear")
        wait_for_text(page, "#score-status", "No pictures yet")
        assert page.locator(".score-card").count() == 0
        assert not problems


def test_the_shipped_model_gives_three_pictures_their_verdicts(tmp_path):
    """Noise, a picture like CIFAR-10's and a face; the latter two are samples of the shipped models."""
    rng = torch.Generator().manual_seed(1)
    made = {"noise": torch.rand(1, 3, 32, 32, generator=rng)}
    for name, model in {"like-cifar": "cifar10", "face": "faces"}.items():
        net, info = load_model(find_model(model))
        space = pixels(3, 32)
        for state in sample(net, space.noise(1, rng), replace(info.plan, rounds=1), rng, space):
            made[name] = state.x
    for name, x in made.items():
        (tmp_path / f"{name}.png").write_bytes(encode(to_pil(x[0]), "PNG"))
    with running_app(WEIGHTS) as address, chromium_page(address, height=1600) as page:
        page.get_by_role("tab", name="Score").click()
        page.locator("#score-model input").click()
        page.get_by_role("option", name="cifar10", exact=True).click()
        wait_for_text(page, "#score-about", "cifar10-test.zip, pictures 1 to 5")
        page.set_input_files("#score-files input[type=file]", [tmp_path / f"{name}.png" for name in made])
        wait_for_text(page, "#score-status", "3 pictures scored")
        assert verdict(page, "1 · noise.png").startswith("unusual")
        for card in ("2 · like-cifar.png", "3 · face.png"):
            assert "held-out pictures are more usual in all of it together" in verdict(page, card)
