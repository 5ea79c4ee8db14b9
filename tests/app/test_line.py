"""Who waits knows their place, and can leave."""

import pytest

from app import line, walk
from app.catalog import Catalog
from app.line import Line, LineError, in_words
from app.sampling import start
from app.session import Session, resume, stop
from app.settings import controls_of
from tests.app.conftest import save_tiny


def test_everybody_moves_up_in_the_order_in_which_they_came():
    line = Line(places=2, length=2)
    a, b, c, d = (line.join() for _ in range(4))
    assert [line.place(ticket) for ticket in (a, b, c, d)] == [0, 0, 1, 2]
    with pytest.raises(LineError, match="2 walks wait already: try again in a minute"):
        line.join()
    assert not line.wait(c, 0)
    line.leave(a)
    assert line.wait(c, 0)
    assert line.place(d) == 1
    line.leave(b)
    assert line.place(d) == 0


def test_places_in_words():
    assert [in_words(n) for n in (1, 3, 10, 11, 12, 21, 22, 23, 111)] == [
        "first", "third", "tenth", "11th", "12th", "21st", "22nd", "23rd", "111th"
    ]  # fmt: skip


@pytest.fixture
def one_place(monkeypatch):
    short = Line(places=1, length=2)
    monkeypatch.setattr(walk, "LINE", short)
    return short


def begin(catalog, session):
    return start(session, catalog, "tiny", controls_of(catalog.get("tiny")), 2, 0)


def test_the_second_walk_says_that_it_waits_and_begins_by_itself(tmp_path, gate, one_place):
    save_tiny(tmp_path / "tiny", "tiny")
    catalog, first, second = Catalog(tmp_path / "tiny"), Session(), Session()
    try:
        ahead = begin(catalog, first)
        gate.let(1)
        assert next(ahead).phase == "running"
        views = begin(catalog, second)
        view = next(views)
        assert (view.phase, view.status) == ("waiting", "**First in line** · others walk, yours comes next")
        assert "<b>first in line</b>" in view.note
        stop(first)
        gate.let(10_000)
        last = list(views)[-1]
        assert last.phase == "finished"
    finally:
        first.close()
        second.close()
    assert not one_place._members


def test_who_waits_can_leave_and_join_again(tmp_path, gate, one_place):
    save_tiny(tmp_path / "tiny", "tiny")
    catalog, first, second = Catalog(tmp_path / "tiny"), Session(), Session()
    try:
        next(begin_with_a_step(catalog, first, gate))
        views = begin(catalog, second)
        assert next(views).phase == "waiting"
        stop(second)
        last = list(views)[-1]
        assert (last.phase, last.status) == ("stopped", "**Stopped** before it began")
        stop(first)
        gate.let(10_000)
        assert list(resume(second))[-1].phase == "finished"
    finally:
        first.close()
        second.close()


def begin_with_a_step(catalog, session, gate):
    views = begin(catalog, session)
    gate.let(1)
    return views


def test_a_line_that_is_full_is_a_sentence(tmp_path, gate, one_place):
    save_tiny(tmp_path / "tiny", "tiny")
    catalog, sessions = Catalog(tmp_path / "tiny"), [Session() for _ in range(4)]
    try:
        next(begin_with_a_step(catalog, sessions[0], gate))
        for session in sessions[1:3]:
            assert next(begin(catalog, session)).phase == "waiting"
        with pytest.raises(ValueError, match="2 walks wait already"):
            next(begin(catalog, sessions[3]))
    finally:
        for session in sessions:
            session.close()


def test_the_page_has_as_many_threads_as_can_walk_and_wait():
    assert line.LINE.places + line.LINE.length < 40  # Gradio's threads: one for each who watches
