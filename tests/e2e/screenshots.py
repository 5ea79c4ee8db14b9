"""``python -m tests.e2e.screenshots OUT [--weights weights]``: the pictures of the README, taken from the page itself.

Seed 0, the model's own plan, twelve chains: nothing is chosen. Also prints how long a person waits.
``--compose`` takes those of the Compose tab instead, ``--edit`` that of the Edit tab with a sample of the model's own,
``--score FILE ...`` those of the Score tab, with the page's examples and these files.
"""

import argparse
import time
from pathlib import Path
from typing import Any

from tests.e2e.browser import chromium_page, running_app

MOUTH = (0.4, 0.6, 0.74)  # of that face: from, to, and how far down


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", type=Path, default=Path("weights"))
    parser.add_argument("--score", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--compose", action="store_true")
    parser.add_argument("--edit", action="store_true")
    a = parser.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    with running_app(a.weights) as address:
        if a.score:
            score(address, a.out, a.score)
        elif a.compose:
            compose(address, a.out)
        elif a.edit:
            edit(address, a.out)
        else:
            sample(address, a.out)


def sample(address: str, out: Path) -> None:
    """The Sample tab while a walk runs, after it, and on a phone; and the walk as a film."""
    with chromium_page(address, 1280, 1000) as page:
        waits = {}

        def press(button: str, until: str, name: str) -> None:
            started = time.monotonic()
            page.click(button)
            page.wait_for_selector(until)
            waits[name] = time.monotonic() - started

        press("#sample", "#chain-picture img.chain-view", "Sample just after loading, first frame")
        page.wait_for_selector("#chain-status >> text=/step (2|3)\\d of/")
        page.screenshot(path=out / "page-running.png")
        press("#stop", "#chain-status >> text=Stopped", "Stop")
        press("#continue", "#chain-status >> text=Walking", "Continue, first frame")
        press("#chain-status", "#chain-status >> text=Finished", "the rest of the walk")
        page.wait_for_timeout(1500)
        page.screenshot(path=out / "page.png", full_page=True)
        with page.expect_download() as film:
            page.click("#download-film")
        film.value.save_as(out / "walk.gif")
        press("#sample", "#chain-status >> text=Walking", "Sample on a warm page, first frame")
        for name, seconds in waits.items():
            print(f"{name}: {seconds:.2f} s")
    with chromium_page(address, 390, 844) as page:
        page.screenshot(path=out / "page-phone.png", full_page=True)


def score(address: str, out: Path, files: list[Path]) -> None:
    """The Score tab with the examples and the files, the highest energy pulled back; and the same on a phone."""
    for width, name in ((1280, "score"), (390, "score-phone")):
        with chromium_page(address, width, 1000) as page:
            page.get_by_role("tab", name="Score").click()
            started = time.monotonic()
            page.set_input_files("#score-files input[type=file]", files)
            page.wait_for_selector("#score-status >> text=/scored/")
            page.wait_for_function("() => !document.querySelector('#score-status').innerText.includes('Scoring')")
            print(f"{len(files)} files, {width} pixels: {time.monotonic() - started:.2f} s")
            page.click("#score-examples")
            page.wait_for_selector("#score-cards >> text=a sample of the model")
            page.wait_for_function("() => !document.querySelector('#score-status').innerText.includes('Scoring')")
            page.click("#score-pull")
            page.wait_for_selector("#score-chain-status >> text=Finished")
            page.wait_for_timeout(1500)
            page.screenshot(path=out / f"{name}.png", full_page=True)


def edit(address: str, out: Path) -> None:
    """The sample of faces128 that has the lowest energy, with its mouth painted over and asked to smile."""
    with chromium_page(f"{address}/?tab=sample&model=faces128", 1280, 1000) as page:
        page.set_default_timeout(600_000)
        page.wait_for_function("() => document.querySelector('#model input').value === 'faces128'")
        page.click("#sample")
        page.wait_for_selector("#download-zip:not([disabled])")
        page.click("#tab-sample .send-to-edit")
        page.wait_for_selector("#edit-painter canvas")
        smiling = page.locator("#edit-faces128-smiling-strength input[type=number]")
        smiling.fill("0.6")
        smiling.press("Tab")
        page.evaluate("window.scrollTo(0, 0)")
        page.wait_for_timeout(1500)
        page.locator(".painter-size").fill("110")
        box = page.locator("#edit-painter canvas").bounding_box()
        x, y, side = box["x"], box["y"], box["width"]
        page.mouse.move(x + MOUTH[0] * side, y + MOUTH[2] * side)
        page.mouse.down()
        page.mouse.move(x + MOUTH[1] * side, y + MOUTH[2] * side, steps=8)
        page.mouse.up()
        page.click("#edit")
        page.wait_for_selector("#edit-chain-status >> text=Finished")
        page.wait_for_selector("#edit-gallery img")
        page.wait_for_timeout(1500)
        page.screenshot(path=out / "edit.png")


def compose(address: str, out: Path) -> None:
    """The composing page after a walk of a preset of each family, and the matrix of the first."""
    with chromium_page(address, 1280, 1000) as page:
        _compose(page, out)


def _compose(page: Any, out: Path) -> None:
    page.set_default_timeout(600_000)  # three models walk together, and the machine may be busy
    page.get_by_role("tab", name="Compose").click()
    for family, preset in {"faces128": "Young and smiling", "objects128": "A cube at the left"}.items():
        page.get_by_role("radio", name=family, exact=True).check()
        page.locator("#compose-preset input").click()
        page.get_by_role("option", name=preset).click()
        page.wait_for_selector("#formula >> text=+")
        page.click("#compose")
        page.wait_for_selector("#compose-chain-status >> text=Walking")
        page.wait_for_selector("#compose-chain-status >> text=Finished")
        page.wait_for_selector("#compose-gallery img")
        page.wait_for_timeout(1500)
        page.screenshot(path=out / f"compose-{family}.png", full_page=True)
    page.get_by_role("radio", name="faces128", exact=True).check()
    page.click("#matrix-section button")
    page.click("#compare")
    page.wait_for_selector("#matrix-status >> text=/\\d+ cells/")
    page.wait_for_timeout(500)
    page.locator("#matrix").screenshot(path=out / "compose-matrix.png")


if __name__ == "__main__":
    main()
