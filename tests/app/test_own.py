"""A visitor's own detector: learned, watched, stopped, asked, and forgotten."""

import csv
import io

import pytest

from app import own, own_view
from app.catalog import Catalog
from app.session import Session
from app.ui import build_ui
from ebm_core.detector import fit as fitting
from ebm_core.detector import model as models
from ebm_core.detector.fit import Fit, Progress
from ebm_core.detector.methods import METHODS
from ebm_core.detector.model import load_detector
from tests.app.conftest import save_tiny
from tests.app.paging import event
from tests.detectors import OPTIONS, Colours, normal, picture, png, write_zip


@pytest.fixture(autouse=True)
def colours(monkeypatch):
    """Mean colours are the features, fits are quick, and every step is shown."""
    monkeypatch.setattr("ebm_core.detector.points.Activations", Colours)
    monkeypatch.setattr(
        own, "FitOptions", lambda limits: fitting.FitOptions(64, 0, limits, OPTIONS.whole, OPTIONS.places)
    )
    monkeypatch.setattr(own, "SHOW_EVERY", 0.0)
    models.shared_extractor.cache_clear()
    yield
    models.shared_extractor.cache_clear()


@pytest.fixture
def mine():
    mine = own.Own()
    yield mine
    mine.close()


def write(folder, files):
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [str(folder / name) for name in files]


@pytest.fixture
def learned(mine, tmp_path):
    own.take_normal(mine, [str(write_zip(tmp_path / "normal.zip", normal(30)))])
    *_, result = own.learn(mine)
    assert isinstance(result, Fit)
    return mine


def test_pictures_and_a_zip_of_them_make_the_same_detector(learned, tmp_path):
    other = own.Own()
    assert own.take_normal(other, write(tmp_path / "loose", normal(30))) == "**30 pictures** to learn from"
    *steps, result = own.learn(other)
    assert all(isinstance(step, Progress) for step in steps)
    assert "value=" in own_view.progress_bar(steps[3])
    assert result.detector.info.calibration == learned.detector.info.calibration


def test_pictures_are_judged_shown_and_written_down(learned, tmp_path):
    files = {"usual.png": png(picture(3)), "=odd.png": png(picture(61, mean=230.0)), "broken.png": b"nothing"}
    own.take(learned, write(tmp_path / "asked", files))
    *_, last = own.judge(learned)
    assert last == ""
    usual, odd, broken = learned.entries
    assert (own_view._verdict(learned, usual.judgement), own_view._verdict(learned, odd.judgement)) == (
        "not unusual",
        "unusual",
    )
    assert broken.problem.startswith("this is not an image")
    assert own_view.status(learned).startswith("**2 judged** · **1 unusual**")
    cards = own_view.cards(learned)
    assert (cards.count("<img"), cards.count("not judged")) == (4, 1)
    rows = own_view.table(learned)["data"]
    assert [row[2] for row in rows] == ["not unusual", "unusual", "not judged"]
    lines = list(csv.DictReader(io.StringIO(own_view.csv_text(learned))))
    assert [line["file"] for line in lines] == ["usual.png", "'=odd.png", "broken.png"]
    assert float(lines[1][METHODS[0]]) == pytest.approx(odd.judgement.scores[METHODS[0]])
    assert len(own_view.plot(learned).data) >= 3
    own.set_rate(learned, 49)
    assert own_view.threshold(learned) < learned.detector.calibration.threshold(learned.detector.info.method, 0.05)
    with pytest.raises(ValueError, match="'False alarms in percent' must be a number between 0 and 100"):
        own.set_rate(learned, 100)


def test_the_detector_can_be_taken_away_and_is_gone_when_the_page_is_closed(learned):
    file = own.file_of(learned)
    assert load_detector(own.Path(file)).info == learned.detector.info
    assert "Judged by" in own_view.about(learned)
    folder = learned.folder.name
    learned.close()
    assert (learned.detector, learned.folder) == (None, None)
    assert not own.Path(folder).exists()
    assert own_view.about(learned) == ""


def test_stop_ends_a_fit_and_keeps_the_detector_before(learned):
    before = learned.detector
    steps = own.learn(learned)
    next(steps)
    own.stop(learned)
    assert list(steps) == []
    assert learned.detector is before


def test_bad_input_is_a_sentence(mine, tmp_path):
    with pytest.raises(ValueError, match="no pictures to learn from yet"):
        next(own.learn(mine))
    with pytest.raises(ValueError, match="There is no detector yet"):
        next(own.judge(mine))
    with pytest.raises(ValueError, match="There is no detector yet"):
        own.file_of(mine)
    broken = tmp_path / "a" / "broken.zip"
    broken.parent.mkdir()
    broken.write_bytes(b"no zip")
    own.take_normal(mine, [str(broken)])
    with pytest.raises(ValueError, match=r"broken\.zip is not a zip file") as caught:
        list(own.learn(mine))
    assert str(tmp_path) not in str(caught.value)
    own.take_normal(mine, write(tmp_path / "loose", normal(2)))
    with pytest.raises(ValueError, match="Drop one zip alone"):
        list(own.learn(mine))


def test_a_stopped_judging_says_what_is_left_and_the_next_drop_goes_on(learned, tmp_path, monkeypatch):
    monkeypatch.setattr(own, "BATCH", 2)
    own.take(learned, write(tmp_path / "asked", {f"{n}.png": png(picture(n)) for n in range(5)}))
    steps = own.judge(learned)
    assert [next(steps), next(steps)] == ["**Judging** 0 of 5", "**Judging** 2 of 5"]
    own.stop(learned)
    assert list(steps) == [""]
    assert own_view.status(learned).startswith("**2 judged**")
    assert "3 still to be judged: drop another picture and they are too" in own_view.status(learned)
    assert "still" not in own_view.status(learned, "**Judging** 2 of 5")
    steps = own.judge(learned)
    next(steps)
    own.take(learned, write(tmp_path / "more", {"5.png": png(picture(5))}))
    assert list(steps) == [], "the page is that of the newer one"
    assert list(own.judge(learned))[-1] == ""
    assert own_view.status(learned).startswith("**6 judged**")
    assert "still" not in own_view.status(learned)


def test_forgetting_leaves_nothing_of_what_was_left_out(mine, monkeypatch):
    monkeypatch.setattr(own, "MAX_PICTURES", 1)
    own.take(mine, ["a.png", "b.png"])
    assert mine.left_out == 1
    mine.close()
    own.take(mine, None)  # an upload that was cleared while it came
    assert (mine.entries, mine.left_out) == ([], 0)


@pytest.fixture
def page(tmp_path):
    save_tiny(tmp_path / "weights", "tiny")
    return build_ui(Catalog(tmp_path / "weights"))


@pytest.fixture
def visitor():
    visitor = Session()
    yield visitor
    visitor.close()


def handlers(page, *names):
    return [event(page, name).fn for name in names]


def said(updates, elem_id):
    return [value for update in updates for one, value in update.items() if one.elem_id == elem_id]


def test_pictures_are_judged_again_by_what_is_learned_anew(page, visitor, tmp_path):
    press, learn, learned = handlers(page, "on_press", "on_learn", "on_learned")
    own.take_normal(visitor.own, write(tmp_path / "loose", normal(30)))
    press(visitor)
    list(learn(visitor))
    assert said(learned(visitor), "own-status") == [""], "there is nothing to judge"
    own.take(visitor.own, write(tmp_path / "asked", {"odd.png": png(picture(61, mean=230.0))}))
    list(own.judge(visitor.own))
    press(visitor)
    list(learn(visitor))
    assert visitor.own.entries[0].judgement is None
    assert said(learned(visitor), "own-status")[-1].startswith("**1 judged** · **1 unusual**")
    press(visitor)
    fit = learn(visitor)
    next(fit)
    next(fit)
    own.stop(visitor.own)
    assert said(fit, "own-progress") == ["<p>Stopped.</p>"]
    visitor.own.entries[0].judgement = None
    assert "1 still to be judged" in said(learned(visitor), "own-status")[-1], "a stop does not hold"
    follows = event(page, "on_learned")
    assert page.fns[follows.trigger_after].name == "on_learn"
    assert follows.trigger_only_on_success


def test_a_fit_that_cannot_be_leaves_no_progress_behind(page, visitor):
    press, learn = handlers(page, "on_press", "on_learn")
    press(visitor)
    steps = learn(visitor)
    assert said([next(steps), next(steps)], "own-progress") == ["<p>Getting ready</p>", ""]
    with pytest.raises(ValueError, match="no pictures to learn from"):
        next(steps)


def test_who_waits_behind_another_s_fit_is_told_and_can_leave(page, visitor, tmp_path):
    press, learn, stop, forget = handlers(page, "on_press", "on_learn", "on_stop", "on_forget")
    own.take_normal(visitor.own, write(tmp_path / "loose", normal(30)))
    assert "yours begins by itself" in said([press(visitor)], "own-progress")[0]
    assert event(page, "on_press").concurrency_limit is None
    assert said([stop(visitor)], "own-progress") == ["<p>Stopped.</p>"]
    assert list(learn(visitor)) == [], "it began all the same when its turn came"
    press(visitor)
    forget(visitor)
    assert list(learn(visitor)) == []
    own.take_normal(visitor.own, write(tmp_path / "loose", normal(30)))
    press(visitor)
    steps = learn(visitor)
    next(steps)
    next(steps)
    press(visitor)
    assert "yours begins by itself" in said(steps, "own-progress")[-1]
    assert len(list(learn(visitor))) > 1


def test_the_page_says_when_dropped_files_go(page):
    """Not with the page: Gradio keeps equal files of all visitors once."""
    words = next(
        b.value for b in page.blocks.values() if "Which pictures do not belong" in str(getattr(b, "value", ""))
    )
    assert "the pictures about an hour after they\ncame" in words
