"""The Edit page: a picture is taken, a part of it painted on, and chains repaint that part alone."""

import base64
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from app import composing, editing, painting
from app.asks import read_ask
from app.catalog import Catalog
from app.editing import PAINTED, WHOLE
from app.painting import SIDE, mask_of
from app.ui import build_ui
from ebm_core import images
from ebm_core.pictures import read_picture
from ebm_core.recipe import from_png
from tests.app.asking import BRIGHT, ask
from tests.app.conftest import CENTRE, png, save_tiny
from tests.app.test_sampling import begin

LEFT = np.zeros((SIDE, SIDE, 4), np.uint8)
LEFT[:, : SIDE // 2] = 255


def painted(array=LEFT):
    return "data:image/png;base64," + base64.b64encode(images.encode(Image.fromarray(array), "PNG")).decode()


def repaint(session, catalog, asks=(), *, mask=None, where=PAINTED, strength=0.8, num=2, seed=3, name="tiny"):
    edit = editing.make_edit(catalog, name, asks, where, strength, num, seed)
    return list(editing.start(session, catalog, edit, painted() if mask is None else mask))


def pictures(view):
    return [read_picture(Path(path).read_bytes(), 8).u8 for path, _ in view.result.gallery]


@pytest.fixture
def editor(session, family_catalog):
    assert editing.take(session, family_catalog, png()) is None
    return session, family_catalog


def test_the_rest_is_held_bit_for_bit_and_the_painted_part_is_not(editor):
    *_, last = repaint(*editor)
    results = pictures(last)
    assert len(results) == 2
    for u8 in results:
        assert torch.equal(u8[:, :, 4:], CENTRE[:, :, 4:])
        assert not torch.equal(u8[:, :, :4], CENTRE[:, :, :4])
    assert not torch.equal(*results)
    recipe = from_png(Path(last.result.grid).read_bytes())
    assert (recipe.from_picture, recipe.plan.rounds, recipe.plan.num_steps) == (True, 0, round(0.8 * 3) + 4)


def test_the_same_seed_makes_the_same_bytes_and_attributes_count(editor):
    def bytes_of(**changes):
        *_, last = repaint(*editor, **changes)
        return [Path(path).read_bytes() for path, _ in last.result.gallery]

    family = editor[1].families()["tiny"]
    ask = read_ask("tiny-bright", family.attributes["tiny-bright"], [0.6, "and"])
    plain = bytes_of()
    assert bytes_of() == plain
    assert bytes_of(seed=4) != plain
    assert bytes_of(strength=0.5) != plain
    asked = bytes_of(asks=[ask])
    assert asked != plain
    for data in asked:
        assert torch.equal(read_picture(data, 8).u8[:, :, 4:], CENTRE[:, :, 4:])
        assert from_png(data).composition is not None


def test_the_whole_picture_needs_no_paint_and_stays_near_at_little_strength(editor):
    far = []
    for strength in (0.0, 1.0):
        *_, last = repaint(*editor, mask="", where=WHOLE, strength=strength)
        far.append((torch.stack(pictures(last)).float() - CENTRE.float()).abs().mean().item())
    assert 0 < far[0] < far[1] / 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask": ""}, "Nothing is painted: paint over what is to change, or choose 'The whole picture'"),
        ({"mask": painted(np.full((SIDE, SIDE, 4), 255, np.uint8))}, "All of the picture is painted"),
        ({"mask": painted(np.zeros((9, 9, 4), np.uint8))}, "it has 9x9 pixels instead of 512x512"),
        ({"mask": "data:image/png;base64,AAAA"}, "what is painted cannot be read .*: reload the page"),
        ({"mask": "x" * (painting.MAX_CHARACTERS + 1)}, "far too large a file"),
        ({"where": "Nowhere"}, "What walks is one of What I paint, The whole picture, got 'Nowhere'"),
        ({"strength": 1.5}, "'Strength' must be"),
        ({"strength": float("nan")}, "'Strength' must be"),
        ({"num": 0}, "'Chains' must be"),
        ({"seed": -1}, "'Seed' must be"),
        ({"asks": [ask("bright", 1.0, "or")]}, "'bright' or what"),
        ({"name": "gone"}, "no model 'gone' here"),
    ],
)
def test_what_cannot_be_repainted_is_a_sentence(editor, changes, message):
    with pytest.raises(ValueError, match=message):
        repaint(*editor, **changes)


def test_a_picture_must_be_there_and_readable(session, family_catalog):
    with pytest.raises(ValueError, match="There is no picture yet: open, drop or paste one, or take an example"):
        repaint(session, family_catalog)
    with pytest.raises(ValueError, match="the file is empty"):
        editing.take(session, family_catalog, b"")
    with pytest.raises(ValueError, match="not an image that can be read"):
        editing.take(session, family_catalog, b"no picture at all, only words")
    with pytest.raises(ValueError, match="There is no result yet"):
        editing.take_result(session)
    assert session.picture is None


def test_any_size_and_alpha_are_read_as_everywhere_on_the_page(session, family_catalog):
    image = Image.new("RGBA", (300, 20), (0, 0, 0, 0))
    editing.take(session, family_catalog, images.encode(image, "PNG"))
    picture = editing.picture_for(session, family_catalog.get("tiny"))
    assert torch.equal(picture.u8, torch.full((3, 8, 8), 255, dtype=torch.uint8))
    assert any("only the centre square" in note for note in picture.notes)


def test_examples_and_results_become_the_picture(editor):
    session, catalog = editor
    assert editing.take_example(session, catalog.get("tiny"))
    example = editing.picture_for(session, catalog.get("tiny")).u8
    assert not torch.equal(example, CENTRE)
    *_, last = repaint(session, catalog)
    editing.take_result(session)
    assert torch.equal(editing.picture_for(session, catalog.get("tiny")).u8, pictures(last)[0])
    session.close()
    assert session.picture is None


def test_an_example_that_comes_after_the_visitors_own_picture_is_not_taken(editor, monkeypatch):
    session, catalog = editor
    for other in (lambda: editing.take(session, catalog, png(CENTRE)), lambda: editing.take_result(session)):
        repaint(session, catalog)

        def drawn(name, model, wanted, other=other):
            other()
            assert not wanted()
            return 255 - CENTRE

        monkeypatch.setattr(editing, "draw", drawn)
        assert not editing.take_example(session, catalog.get("tiny"))
        assert not torch.equal(editing.picture_for(session, catalog.get("tiny")).u8, 255 - CENTRE)


def test_the_model_of_a_picture_is_the_one_that_made_it(session, family_catalog, family):
    save_tiny(family_catalog.weights, "alpha")
    for model in ("alpha", "tiny"):
        *_, last = begin(session, family_catalog, 2, model=model)
        assert editing.take(session, family_catalog, Path(last.result.gallery[0][0]).read_bytes()) == model
    *_, last = composing.start(session, family_catalog, family, [BRIGHT], 2, 5)
    composed = Path(last.result.gallery[0][0]).read_bytes()
    assert editing.take(session, family_catalog, composed) == "tiny"
    *_, last = repaint(session, family_catalog, [BRIGHT])
    assert editing.take(session, family_catalog, Path(last.result.grid).read_bytes()) == "tiny"
    shutil.rmtree(family_catalog.weights / "tiny")  # composed of models that are here, but nothing here repaints it
    assert editing.take(session, Catalog(family_catalog.weights), composed) is None


def test_the_tab_follows_a_picture_that_is_opened(session, family_catalog, tmp_path):
    save_tiny(family_catalog.weights, "alpha")
    *_, last = begin(session, family_catalog, 2, model="tiny")
    (tmp_path / "own.png").write_bytes(png())
    page = build_ui(family_catalog)
    drop = next(f.fn for f in page.fns.values() if f.name == "on_drop" and f.inputs[-1].elem_id == "edit-model")
    for path, model in ((last.result.gallery[0][0], "tiny"), (tmp_path / "own.png", "alpha")):
        changes = {
            getattr(component, "elem_id", None): value for component, value in drop(session, path, "alpha").items()
        }
        assert changes["edit-model"] == model
        assert changes[None].visible == (model == "tiny")  # the family's attributes
        assert "data:image/png" in changes["edit-painter"]


def test_half_of_a_pixel_decides_whether_it_is_painted():
    array = np.zeros((SIDE, SIDE, 4), np.uint8)
    array[: SIDE // 8, : SIDE // 8, 3] = 255
    array[SIDE // 8 : SIDE // 4, : SIDE // 20, 3] = 255
    mask = mask_of(painted(array), 8)
    assert mask.nonzero().tolist() == [[0, 0]]
    assert not mask_of("", 8).any()


def test_a_sheet_shows_the_very_picture():
    page = painting.sheet(CENTRE, smooth=False, keep=True)
    data = base64.b64decode(page.split("base64,")[1].split('"')[0])
    with Image.open(io.BytesIO(data)) as image:
        assert torch.equal(images.from_pil(image, 8), CENTRE)
    assert 'data-keep="1"' in page
    assert 'data-keep=""' in painting.sheet(CENTRE, smooth=True, keep=False)
