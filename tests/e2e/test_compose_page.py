"""A person composes: two sliders dragged, while the chains walk, in a real Chromium on the real app."""

from dataclasses import replace

import pytest

from ebm_core.composition import And
from ebm_core.hub import WEIGHTS
from ebm_core.recipe import from_png
from tests.app.conftest import ATTRIBUTES, PLAN, save_attribute
from tests.e2e.browser import CHROMIUM, chromium_page, press, running_app

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: `make browser` installs it"),
]

LONG = replace(PLAN, refinement_steps=4990)  # nearly all that a recipe may have: a slow browser drags meanwhile


@pytest.fixture
def weights(tmp_path):
    folder = tmp_path / "weights"
    for seed, (name, attribute) in enumerate(ATTRIBUTES.items()):
        save_attribute(folder, f"tiny-{name}", attribute, plan=LONG, seed=seed)
    return folder


def drag(page, selector, share):
    """Drag a slider's handle from where it is to ``share`` of its length."""
    slider = page.locator(f"{selector} input[type=range]")
    slider.hover()  # which waits until nothing moves it any more
    box = slider.bounding_box()
    low, high = (float(slider.get_attribute(name)) for name in ("min", "max"))
    now = (float(slider.input_value()) - low) / (high - low)
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 8 + now * (box["width"] - 16), y)
    page.mouse.down()
    page.mouse.move(box["x"] + 8 + share * (box["width"] - 16), y, steps=6)
    page.mouse.up()


def choose(page, selector, name):
    """Choose from a dropdown, and wait until its list is gone: another's would have an option of the same name."""
    page.click(f"{selector} input")
    page.get_by_role("option", name=name, exact=True).click()
    page.wait_for_selector("[role=option]", state="detached")


def wait_for_words(page, text):
    page.wait_for_function("t => document.querySelector('#words').innerText.includes(t)", arg=text)


def step_of(page):
    status = page.inner_text("#compose-chain-status")
    return int(status.split("step ")[1].split(" ")[0]) if "step " in status else -1


def wait_past(page, step):
    page.wait_for_function(
        "s => { const m = document.querySelector('#compose-chain-status').innerText.match(/step (\\d+) of/);"
        " return m && Number(m[1]) > s }",
        arg=step,
    )


def frame(page):
    return page.get_attribute("#compose-chain-picture img.chain-view", "src")


def test_two_dragged_sliders_a_matrix_and_a_picture_that_remembers(weights, tmp_path):
    with running_app(weights) as address, chromium_page(address, height=1600, ready="#compose") as page:
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        assert page.locator("#sample").count() == 0, "there is no unconditional model to sample"
        assert "nothing is asked for" in page.inner_text("#words")

        drag(page, "#tiny-bright-strength", 1.0)
        wait_for_words(page, "tiny: bright")
        page.click("#compose")
        wait_past(page, 0)
        first, at = frame(page), step_of(page)
        wait_past(page, at)
        assert frame(page) != first, "the picture does not move"

        drag(page, "#tiny-kind-strength", 0.6)
        wait_for_words(page, "tiny: bright and dot (0.6)")
        assert page.inner_text("#formula").replace("\n", "").replace(" ", "") == "E=1Ebright+0.6Ekind(dot)"
        second, at = frame(page), step_of(page)
        wait_past(page, at + 20)
        assert at > 0, "the walk did not go on when the slider moved"
        assert frame(page) != second, "the picture does not move after the second slider"
        page.wait_for_function(
            "() => [...document.querySelectorAll('#compose-energy-plot .legendtext')].map(e => e.textContent)"
            ".sort().join() === 'bright,dot'"
        )

        press(page, "#compose-stop")
        page.wait_for_selector("#compose-chain-status >> text=Stopped")
        page.wait_for_selector("#compose-download-png:not([disabled])")
        with page.expect_download() as download:
            page.click("#compose-download-png")
        saved = tmp_path / "saved.png"
        download.value.save_as(saved)
        recipe = from_png(saved.read_bytes())
        assert recipe.steered
        assert isinstance(recipe.composition.root, And)
        assert recipe.composition.root.weights == pytest.approx((1.0, 0.6))

        drag(page, "#tiny-bright-strength", 0.0)
        wait_for_words(page, "tiny: dark")
        page.set_input_files("#compose-restore input[type=file]", saved)
        wait_for_words(page, "tiny: bright and dot (0.6)")

        choose(page, "#tiny-bright-operator", "or")
        wait_for_words(page, "'bright' or what?")
        choose(page, "#tiny-kind-operator", "or")
        wait_for_words(page, "bright or dot (0.6)")
        assert not problems


def test_the_matrix_fills(tmp_path):
    for seed, name in enumerate(["bright", "kind"]):
        save_attribute(tmp_path, f"tiny-{name}", ATTRIBUTES[name], seed=seed)
    save_attribute(tmp_path, "tiny-turn", ATTRIBUTES["turn"], seed=3)  # a matrix cell without the others needs one
    with running_app(tmp_path) as address, chromium_page(address, ready="#compose") as page:
        page.click("#matrix-section button")
        drag(page, "#tiny-turn-strength", 1.0)
        page.click("#compare")
        page.wait_for_selector("#matrix-status >> text=9 cells, seed 0")
        assert page.locator("#matrix img.matrix-cell").count() == 9
        assert page.locator("#matrix th").all_inner_texts()[:3] == ["dot", "bar", "ring"]


def test_a_link_to_another_family_is_in_words_what_it_asks_for():
    link = "/?tab=compose&model=objects128&num=4&size=0.5,1"
    with running_app(WEIGHTS) as address, chromium_page(address + link, ready="#compose") as page:
        wait_for_words(page, "objects128: size 0.50")
        page.wait_for_timeout(1000)  # in which what would be told too early comes
        assert page.inner_text("#words") == "objects128: size 0.50"
        page.click("#family label:has-text('cifar10')")
        wait_for_words(page, "cifar10: any (nothing is asked for)")
