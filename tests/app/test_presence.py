"""Nobody computes for those who are gone, and nobody who listens is disturbed."""

import http.client
import json
import time
import urllib.request
from types import SimpleNamespace
from urllib.parse import urlsplit

import gradio as gr
import pytest

from app import server
from app.catalog import Catalog
from app.presence import FORGET, LEAVE, REMEMBERED, Presence, _listener
from app.session import Session
from app.ui import build_ui
from tests.app.conftest import save_tiny

pytestmark = pytest.mark.filterwarnings("ignore:.*no_silent_downcasting")


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Counted(Session):
    """A session that counts how often it was told to rest and to close."""

    def __init__(self):
        super().__init__()
        self.rests = self.closings = 0

    def rest(self):
        self.rests += 1

    def close(self):
        self.closings += 1


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def forgotten():
    return []


@pytest.fixture
def presence(clock, forgotten):
    return Presence(forgotten.append, clock)


def test_work_of_those_who_do_not_listen_ends_and_they_are_forgotten(presence, clock, forgotten):
    session = Counted()
    presence.ask("one", [session])
    clock.now = LEAVE
    presence.sweep()
    assert (session.rests, session.closings) == (0, 0)
    clock.now = LEAVE + 1
    presence.sweep()
    assert (session.rests, session.closings) == (1, 0)
    clock.now = FORGET + 1
    presence.sweep()
    assert (session.rests, session.closings, forgotten) == (1, 1, ["one"])
    presence.sweep()
    assert session.closings == 1


def test_those_who_listen_are_left_alone_however_long(presence, clock, forgotten):
    session = Counted()
    presence.ask("one", [session])
    presence.open_stream("one")
    presence.open_stream("one")
    presence.close_stream("one")
    clock.now = 10 * FORGET
    presence.sweep()
    assert (session.rests, session.closings, forgotten) == (0, 0, [])
    presence.close_stream("one")
    clock.now += LEAVE
    presence.sweep()
    assert session.rests == 0
    clock.now += 1
    presence.sweep()
    assert session.rests == 1


def test_of_many_who_left_the_first_are_forgotten(presence, clock, forgotten):
    sessions = [Counted() for _ in range(REMEMBERED + 3)]
    for clock.now, session in enumerate(sessions):
        presence.ask(f"visitor {clock.now}", [session])
    presence.open_stream("visitor 0")  # it listens
    clock.now += LEAVE + 1
    presence.sweep()
    assert forgotten == ["visitor 1", "visitor 2"]
    assert [session.closings for session in sessions[:4]] == [0, 1, 1, 0]
    assert sum(session.closings for session in sessions) == 2


def test_who_asks_again_is_there_again(presence, clock):
    session = Counted()
    for clock.now in (0.0, LEAVE - 1, 2 * LEAVE - 2):
        presence.sweep()
        presence.ask("one", [session])
    assert session.rests == 0


def test_a_closed_tab_stops_at_once(presence):
    session, other = Counted(), Counted()
    presence.ask("one", [session])
    presence.ask("two", [other])
    presence.close("one")
    presence.close("unknown")
    assert (session.closings, other.closings) == (1, 0)


@pytest.mark.parametrize(
    ("path", "query", "visitor"),
    [
        ("/gradio_api/heartbeat/abc", b"", "abc"),
        ("/gradio_api/queue/data", b"session_hash=abc", "abc"),
        ("/gradio_api/queue/data", b"", None),
        ("/gradio_api/queue/join", b"session_hash=abc", None),
        ("/", b"", None),
    ],
)
def test_streams_are_told_by_their_addresses(path, query, visitor):
    assert _listener({"path": path, "query_string": query}) == visitor


def test_resting_keeps_what_there_is(catalog, session):
    walk = SimpleNamespace(stopped=False)
    walk.stop = lambda: setattr(walk, "stopped", True)
    session.walk, session.viewer = walk, "its generator"
    session.matrix, session.asking, session.board.runner, session.own.runner = (object() for _ in range(4))
    session.rest()
    assert walk.stopped
    assert session.walk is walk
    assert session.viewer == "its generator"
    assert session.matrix is session.asking is session.board.runner is session.own.runner is None


def test_a_program_that_presses_sample_and_goes_away_stops_nothing_but_its_own_walk(tmp_path):
    save_tiny(tmp_path, "tiny")
    page = build_ui(Catalog(tmp_path))
    page.presence.clock = clock = Clock()
    server.serve(page, "127.0.0.1", 0, prevent_thread_lock=True)
    try:
        address = page.local_url.rstrip("/")
        press = next(n for n, one in page.fns.items() if ("sample", "click") in names_of(page, one))
        most = {"rounds": 16, "steps": 300}  # minutes, where nobody stops it
        values = [
            None if isinstance(block, gr.State) else most.get(block.elem_id, block.value)
            for block in page.fns[press].inputs
        ]
        listening = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
        listening.request("GET", "/gradio_api/heartbeat/listener")
        listening.getresponse()
        for visitor in ("leaver", "listener"):
            join(address, press, values, visitor)
        walks = [walk_of(page, visitor) for visitor in ("leaver", "listener")]
        clock.now = LEAVE + 1
        page.presence.sweep()
        assert not walks[0].wait(20)
        assert not walks[0].finished
        assert not walks[1].finished
        assert not walks[1]._stop_requested.is_set()
        clock.now = FORGET + 1
        page.presence.sweep()
        assert "leaver" not in page.state_holder
        assert "listener" in page.state_holder
    finally:
        page.close()


def names_of(page, function):
    """What begins a function of the page: ids of components and their events."""
    return [(getattr(page.blocks.get(block), "elem_id", None), event) for block, event in function.targets]


def join(address, press, values, visitor):
    """Queue an event as the page's script does, without listening for its results."""
    body = {"data": values, "fn_index": press, "session_hash": visitor, "event_data": None, "trigger_id": 1}
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/gradio_api/queue/join", json.dumps(body).encode(), headers)
    assert "event_id" in json.load(urllib.request.urlopen(request, timeout=20))


def walk_of(page, visitor):
    """The visitor's walk, once it has begun."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        visitors = page.presence._visitors
        for session in visitors[visitor].sessions if visitor in visitors else ():
            if session.walk is not None:
                return session.walk
        time.sleep(0.02)
    raise AssertionError("no walk began")
