"""The scoring page's words, cards, tables and plots."""

import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from app import score_view, scoring
from app.board import Entry, Scored
from app.score_plots import COLOURS, Mark, heat_map, histogram, score_plot
from app.verdicts import judges_of, share_in_words, training_warning
from ebm_core.calibration import Calibration
from ebm_core.ood import measure
from ebm_core.pictures import Picture
from tests.app.conftest import CENTRE, png
from tests.app.test_scoring import csv_of


def test_hostile_file_names_are_text_everywhere(session, calibrated):
    scoring.choose(session.board, calibrated, "tiny")
    names = ["=cmd()|'/c calc'!A0", "<script>alert(1)</script>.png", "+1", "@a", "-2", '"><img src=x onerror=alert(1)>']
    calibration = session.board.calibration
    measured = measure(session.board.model.exact, CENTRE[None], session.board.model.space)
    scored = Scored(
        Picture(CENTRE, ("<b>note</b>", "=note")),
        dict.fromkeys(judges_of(session.board.model, calibration), 0.0),
        dict.fromkeys(calibration.quantiles, 0.5),
        {"a": b"a", "b": heat_map(measured.heat[0], 8)},
    )
    session.board.add([Entry(name, None, scored) for name in names])
    session.board.add([Entry("<i>", None, problem="<script>")])
    shown = score_view.show(session.board)
    tags = set(re.findall(r"<(\w+)", shown.cards))
    assert tags == {"p", "div", "h2", "img", "b", "table", "tr", "th", "td", "button"}
    assert shown.cards.count("<img") == 2 * len(names)
    assert "onerror" not in re.sub(r'"[^"]*"', "", re.sub(r">[^<]*<", "><", shown.cards))
    cells = csv_of(shown)
    assert [row["file"] for row in cells] == [f"'{names[0]}", names[1], "'+1", "'@a", "'-2", names[5], "<i>"]
    assert cells[0]["notes"] == "<b>note</b>; =note"
    assert shown.table["data"][1][1] == names[1], "a table's cells are text"
    labels = [text for trace in shown.plot.data for text in trace.hovertext or []]
    assert "<" not in "".join(labels)


def test_the_csv_has_every_figure_at_full_precision(session, drop):
    *_, last = drop({"centre.png": png(), "letter.png": b"x"})
    good, bad = csv_of(last)
    scored = session.board.entries[0].scored
    for name in ("energy", "scale_0", "scale_1", "grad_norm", "typicality"):
        assert float(good[name]) == scored.scores[name]
    assert float(good["energy_percentile"]) == scored.percentiles["energy"]
    assert good["scale_1_percentile"] == ""
    assert (good["model"], good["judge"], good["false_alarm_rate"], good["verdict"]) == (
        "tiny",
        "energy",
        "0.05",
        "not unusual",
    )
    assert good["fingerprint"] == session.board.model.fingerprint
    assert (bad["verdict"], bad["energy"], bad["energy_percentile"]) == ("not scored", "", "")
    assert bad["notes"].startswith("this is not an image")
    assert 'download="scores-tiny.csv"' in last.csv


def test_the_histogram_is_that_of_the_quantiles():
    calibration = Calibration("d", 100, 0.0, 0.0, {"energy": (0.0, 1.0, 1.5, 2.0, 10.0)})
    edges, shares = histogram(calibration, "energy")
    assert (edges[0], edges[-1]) == (0.0, 10.0)
    assert shares.sum() == pytest.approx(1)
    assert shares[:4] == pytest.approx(0.0625)  # a quarter of the pictures over four bins of 0.25
    assert shares[8:] == pytest.approx(0.25 / 32)


def test_marks_have_labels_colours_and_stay_on_the_plot():
    calibration = Calibration("d", 100, 0.0, 0.0, {"energy": (0.0, 1.0, 2.0)})
    marks = [Mark("near", 1.0, "usual"), Mark("far", 900.0, "unusual"), Mark("deep", -900.0, "usual")]
    figure = score_plot(calibration, "energy", "Energy", 1.8, marks)
    _, usual, unusual = figure.data
    assert usual.marker.color == COLOURS["usual"]
    assert unusual.marker.color == COLOURS["unusual"]
    assert list(usual.x) == [1.0, -2.0]
    assert list(unusual.x) == [4.0]
    assert unusual.text[0] == "far (900) ▶"
    assert usual.text[1] == "◀ (-900) deep"
    assert figure.layout.shapes[0].x0 == 1.8
    crowded = score_plot(calibration, "energy", "Energy", 1.8, marks * 10)
    assert {trace.mode for trace in crowded.data[1:]} == {"markers"}
    assert len(score_plot(None, "energy", "Energy", None, []).data) == 0


def test_a_heat_map_is_bright_where_the_gradient_is():
    heat = torch.zeros(8, 8)
    heat[2, 3] = 5.0
    with Image.open(io.BytesIO(heat_map(heat, 8))) as image:
        assert image.size == (8, 8)
        bright = np.asarray(image.convert("L"))
    assert np.unravel_index(bright.argmax(), bright.shape) == (2, 3)
    with Image.open(io.BytesIO(heat_map(torch.zeros(8, 8), 8))) as image:
        assert np.asarray(image).max() < 20


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.0, "none of the 1,000 held-out pictures"),
        (1.0, "all of the 1,000 held-out pictures"),
        (0.0001, "less than 0.1 % of held-out pictures"),
        (0.99996, "more than 99.9 % of held-out pictures"),
        (0.992, "99.2 % of held-out pictures"),
    ],
)
def test_shares_are_never_rounded_to_all_or_none(share, words):
    assert share_in_words(share, 1000) == words


@pytest.mark.parametrize(
    ("provenance", "words"),
    [
        ({"parts": [{"iterations": 4000, "contrastive": 0}]}, "none of its 4,000 training iterations"),
        (
            {"parts": [{"iterations": 900, "contrastive": 0}, {"iterations": 100, "contrastive": 100}]},
            "100 of its 1,000",
        ),
        ({"iteration": 4300, "warm_start_iterations": 4000}, "300 of its 4,300"),
    ],
)
def test_a_model_of_matching_is_warned_of(provenance, words):
    alone, joined = (training_warning(provenance, joint=joint) for joint in (False, True))
    assert words in alone
    assert words in joined
    assert "Do not rely on its verdicts" in alone
    assert "All together" in joined


@pytest.mark.parametrize(
    "provenance",
    [
        {"parts": [{"iterations": 10, "contrastive": 0}, {"iterations": 90, "contrastive": 90}]},
        {},
        {"parts": 3},
        {"parts": [{"iterations": "x", "contrastive": None}]},
        {"iteration": [], "warm_start_iterations": 3},
    ],
)
def test_what_a_file_does_not_say_is_no_warning(provenance):
    assert training_warning(provenance, joint=False) == ""
