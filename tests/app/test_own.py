"""A visitor's own detector: learned, watched, stopped, asked, and forgotten."""

import csv
import io

import pytest

from app import own, own_view
from ebm_core.detector import fit as fitting
from ebm_core.detector import model as models
from ebm_core.detector.fit import Fit, Progress
from ebm_core.detector.methods import METHODS
from ebm_core.detector.model import load_detector
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
