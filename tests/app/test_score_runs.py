"""Runs over many pictures: limits, results as they come, newer runs, closed tabs, files that are gone."""

import re

import torch
from gradio.state_holder import SessionState

from app import score_view, scoring
from app.board import Board, Entry
from app.limits import MAX_CARDS, MAX_PICTURES
from app.ui import build_ui
from ebm_core.ood import measure
from tests.app.conftest import png
from tests.app.paging import component, event, run, session_of
from tests.app.test_scoring import rows_of


def test_five_hundred_at_once_are_taken_and_what_is_above_is_told(session, calibrated, drop, monkeypatch):
    sizes = []
    monkeypatch.setattr(scoring, "measure", lambda net, u8, *rest: sizes.append(len(u8)) or measure(net, u8, *rest))
    monkeypatch.setattr(scoring, "SHOW_EVERY", float("inf"))
    files = {f"{number:03d}.png": png() for number in range(MAX_PICTURES + 7)} | {"013.png": b"unlucky"}
    first, *_, last = drop(files)
    assert "**Scoring** 0 of 500" in first.status
    assert "**499 pictures scored**" in last.status
    assert "1 could not be scored" in last.status
    assert "500 pictures are the most at once: 7 more were left out" in last.status
    assert max(sizes) <= scoring.BATCH
    assert sum(sizes) == 499
    rows = rows_of(last)
    assert len(rows) == MAX_PICTURES
    assert {row["% lower"] for row in rows} == {90.0, None}
    assert last.cards.count('class="score-card') - 1 == MAX_CARDS  # one of them is the grid's
    assert f"The other {MAX_PICTURES - MAX_CARDS} pictures are in the table" in last.cards
    assert session.board.entries[MAX_CARDS].scored.shown == {}
    session.board.clear()
    assert (session.board.entries, session.board.left_out) == ([], 0)


def test_a_file_that_comes_again_before_the_drop_zone_is_empty_is_scored_once(session, drop, tmp_path):
    drop({"a.png": png()})
    again = [str(tmp_path / "a.png"), str(tmp_path / "b.png"), str(tmp_path / "b.png")]
    (tmp_path / "b.png").write_bytes(png())
    scoring.take_files(session.board, again)
    scoring.take_files(session.board, None)  # an upload that was cleared while it came
    assert [entry.name for entry in session.board.entries] == ["a.png", "b.png"]


def test_the_csv_of_an_earlier_model_goes_when_another_scores(session, calibrated, drop):
    assert drop({"a.png": png()})[-1].csv
    scoring.choose(session.board, calibrated, "other")
    assert next(scoring.score(session)).csv == ""


def test_results_appear_as_they_come(drop, monkeypatch):
    monkeypatch.setattr(scoring, "SHOW_EVERY", 0.0)
    monkeypatch.setattr(scoring, "BATCH", 2)
    views = drop({f"{number}.png": png() for number in range(5)})
    assert [re.search(r"\*\*(\d+) pictures? scored", view.status)[1] for view in views] == ["0", "2", "4", "5"]
    assert "waiting" in views[1].cards
    assert [bool(view.csv) for view in views] == [False, False, False, True]
    assert [view.cards.count("score-pull") for view in views] == [len(view.choices) for view in views] == [0, 2, 4, 5]
    assert "left" in views[1].status


def test_a_newer_run_ends_an_older_one_and_does_the_rest(session, calibrated, drop, tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "BATCH", 1)
    monkeypatch.setattr(scoring, "SHOW_EVERY", 0.0)
    scoring.choose(session.board, calibrated, "tiny")
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path in paths:
        path.write_bytes(png())
    scoring.take_files(session.board, [str(path) for path in paths[:3]])
    older = scoring.score(session)
    next(older)
    next(older)
    scoring.take_files(session.board, [str(paths[3])])
    newer = scoring.score(session)
    assert "Scoring** 0 of 3" in next(newer).status
    assert list(older) == []
    *_, last = newer
    assert "**4 pictures scored**" in last.status


def test_a_closed_tab_ends_the_run(session, drop, monkeypatch):
    monkeypatch.setattr(scoring, "BATCH", 1)
    drop({"a.png": png()})
    session.board.add([Entry("a", session.board.entries[0].source) for _ in range(3)])
    run = scoring.score(session)
    next(run)
    session.close()
    assert list(run) == []
    assert session.board.entries == []


def test_results_of_an_ended_run_are_not_written_down():
    board, entry = Board(), Entry("a", "x")
    board.runner = runner = object()
    assert board.record(runner, [(entry, "bad")])
    board.add([])
    assert not board.record(runner, [(entry, "worse")])
    assert entry.problem == "bad"


def test_a_picture_without_a_finite_energy_does_not_stop_the_others(drop, monkeypatch):
    def picky(net, u8, *rest):
        if (u8 == 255).all(dim=(1, 2, 3)).any():
            raise ValueError("the energy is not finite")
        return measure(net, u8, *rest)

    monkeypatch.setattr(scoring, "measure", picky)
    white = png(torch.full((3, 8, 8), 255, dtype=torch.uint8))
    *_, last = drop({"a.png": png(), "white.png": white, "b.png": png()})
    assert [row["verdict"] for row in rows_of(last)] == ["not unusual", "not scored", "not unusual"]
    assert rows_of(last)[1]["notes"] == "the energy is not finite"


def test_a_file_that_is_gone_has_a_sentence(session, calibrated, drop, tmp_path):
    drop({"a.png": png()})
    (tmp_path / "a.png").unlink()
    scoring.choose(session.board, calibrated, "other")
    *_, last = scoring.score(session)
    assert rows_of(last)[0]["notes"] == "the file is no longer here; drop it again"


def test_a_card_can_be_pulled_back_while_others_are_scored(calibrated, monkeypatch):
    monkeypatch.setattr(scoring, "SHOW_EVERY", 0.0)
    monkeypatch.setattr(scoring, "BATCH", 1)
    page = build_ui(calibrated)
    state, picture, on_score = SessionState(page), component(page, "score-picture")._id, event(page, "on_score")
    board = session_of(state, on_score).board
    scoring.choose(board, calibrated, "tiny")
    scoring.take_examples(board)
    scored = run(page, state, on_score, {})
    assert next(scored)[-1]["value"] is None
    update = next(scored)[-1]
    assert state[picture].preprocess(1) == 1
    assert "value" not in update, "what a person has chosen would be chosen no more"
    *_, last, _ = scored
    assert last[-1]["value"] == score_view.choices(board)[0][1]
    scoring.choose(board, calibrated, "other")
    update = next(run(page, state, on_score, {}))[-1]
    assert (update["choices"], update["value"]) == ([], None), "a picture of the model before stays chosen"
