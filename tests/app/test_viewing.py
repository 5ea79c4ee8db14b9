"""Looking at a walk: recorded frames, slow viewers, and what drawing may take."""

import io
import threading

import gradio as gr
import pytest

from app import session as sessions
from app import walk
from app.chain_view import build_chain_view
from app.session import resume, scrub, stop
from ebm_core.recipe import MAX_SEED
from tests.app.test_sampling import begin

pytestmark = pytest.mark.usefixtures("every_frame")


def test_scrubbing_shows_recorded_frames(session, catalog):
    with pytest.raises(ValueError, match="press Sample first"):
        scrub(session, 0)
    with pytest.raises(ValueError, match="press Sample first"):
        next(resume(session))
    stop(session)  # nothing to stop: no harm
    last = list(begin(session, catalog))[-1]
    assert last.num_frames == 11
    first = scrub(session, 0)
    assert first.status == "**Looking back** · step 0 of 10"
    assert scrub(session, 10).status.endswith("step 10 of 10")
    assert scrub(session, 10**6).status.endswith("step 10 of 10")
    assert first.frame != scrub(session, 10).frame


def test_recorded_frames_are_bounded_and_even(session, catalog, monkeypatch):
    monkeypatch.setattr(walk, "MAX_FRAMES", 8)
    list(begin(session, catalog, rounds=0, refinement_steps=75))
    steps = [step for step, _ in session.walk.frames()]
    assert len(steps) <= 9
    assert steps == [0, 16, 32, 48, 64, 75]


def test_dice_stays_in_range():
    seeds = {sessions.new_seed() for _ in range(50)}
    assert len(seeds) > 45
    assert all(0 <= s <= MAX_SEED for s in seeds)


def test_a_slow_viewer_does_not_hold_the_chain_up_and_late_frames_are_dropped(session, catalog):
    views = begin(session, catalog)
    first = next(views)
    assert not session.walk.wait(60)  # the walk ends while nobody asks for a frame
    rest = list(views)
    assert [view.phase for view in rest] == ["finished"] * 3
    # The end is told before the files are written, and the pictures are there before the film.
    assert [view.result and bool(view.result.film) for view in rest] == [None, False, True]
    assert all(view.plot is not None for view in rest)
    assert len(session.walk.energies) == 11
    assert io.BytesIO(first.frame).read(2) == b"\xff\xd8"


def test_the_film_that_comes_late_leaves_alone_what_a_person_looks_back_at(session, catalog):
    with gr.Blocks():
        view = build_chain_view(gr.State())
    *_, pictures, film = begin(session, catalog)
    assert {view.scrubber, view.status, view.picture} < set(view.updates(pictures))
    assert list(view.updates(film)) == [view.film]


def test_drawing_takes_its_share_at_most(session, catalog, gate, monkeypatch):
    clock = iter(x / 100 for x in range(10**6))  # every look at the clock is 10 ms later
    pauses = []
    mine = threading.get_ident()  # the walk's own thread looks at the clock too, when it likes
    monkeypatch.setattr(sessions.time, "monotonic", lambda: next(clock) if threading.get_ident() == mine else 0.0)
    monkeypatch.setattr(sessions, "DRAWING_SHARE", 0.05)
    monkeypatch.setattr(sessions, "FRAME_INTERVAL", 0.1)
    views = begin(session, catalog)
    gate.let(1)
    next(views)
    monkeypatch.setattr(session.walk, "wait", lambda pause: pauses.append(pause) or len(pauses) < 3)
    next(views)
    assert pauses == [pytest.approx(0.2)]  # 10 ms of drawing, one twentieth
    gate.let(20)
