"""Who is still there: work nobody waits for ends, and what a visitor left behind is forgotten.

A browser's tab keeps a stream open for as long as it is there, and another while it waits for results; a program that
asks and goes away keeps none. Gradio tells of a tab that closes, but not of a client that never opened a stream.
"""

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Receive, Scope, Send

from app.session import Session

LEAVE, FORGET = 30.0, 3600.0  # seconds without a stream after which work ends, and all that there is goes
REMEMBERED = 64  # of those who left: each costs a megabyte, its copy of Gradio's page, and what it made
SWEEP = 5.0  # seconds between two looks
STREAM = re.compile(r"/(?:gradio_api/)?heartbeat/([^/]+)/?$")
RESULTS = re.compile(r"/(?:gradio_api/)?queue/data/?$")


@dataclass
class _Visitor:
    """What is known by a session hash."""

    sessions: Sequence[Session]
    last: float  # when it last asked for something or a stream of its closed


class Presence:
    """Visitors by session hash. ``forget`` is called with each hash that is given up. Safe from several threads."""

    def __init__(
        self, forget: Callable[[str], None] = lambda _: None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.forget, self.clock = forget, clock
        self._visitors: dict[str, _Visitor] = {}
        self._streams: Counter[str] = Counter()
        self._lock = threading.Lock()

    def ask(self, visitor: str, sessions: Sequence[Session]) -> None:
        """A visitor asked for something; ``sessions`` are those of its tab."""
        with self._lock:
            self._visitors[visitor] = _Visitor(sessions, self.clock())

    def open_stream(self, visitor: str) -> None:
        """It listens."""
        with self._lock:
            self._streams[visitor] += 1

    def close_stream(self, visitor: str) -> None:
        """It listens to one stream less."""
        with self._lock:
            self._streams[visitor] -= 1
            if not self._streams[visitor]:
                del self._streams[visitor]
            if visitor in self._visitors:
                self._visitors[visitor].last = self.clock()

    def close(self, visitor: str) -> None:
        """Its tab was closed: its walks and files go now, Gradio's memory of it later, for it may come back."""
        with self._lock:
            sessions = self._visitors[visitor].sessions if visitor in self._visitors else ()
        for session in sessions:
            session.close()

    def sweep(self) -> None:
        """End the work of those who listen no longer, forget who is long gone, or left before many others."""
        with self._lock:
            now = self.clock()
            alone = [name for name in self._visitors if name not in self._streams]
            left = {name: one for name in alone if now - (one := self._visitors[name]).last > LEAVE}
            latest = sorted(left, key=lambda name: left[name].last)[-REMEMBERED:]
            gone = [name for name, one in left.items() if now - one.last > FORGET or name not in latest]
            for name in gone:
                del self._visitors[name]
        for name, one in left.items():
            for session in one.sessions:
                session.close() if name in gone else session.rest()
        for name in gone:
            self.forget(name)

    def watch(self) -> None:
        """Sweep now and then, in a thread of its own, for as long as the process lives."""

        def sweeping() -> None:
            while True:
                time.sleep(SWEEP)
                self.sweep()

        threading.Thread(target=sweeping, name="presence", daemon=True).start()


class Listening:
    """ASGI middleware that tells ``presence`` of streams."""

    def __init__(self, app: ASGIApp, *, presence: Presence) -> None:
        self.app, self.presence = app, presence

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        visitor = _listener(scope) if scope["type"] == "http" else None
        if visitor is None:
            return await self.app(scope, receive, send)
        self.presence.open_stream(visitor)
        try:
            await self.app(scope, receive, send)
        finally:
            self.presence.close_stream(visitor)


def _listener(scope: Scope) -> str | None:
    """The session hash of a request that is answered by a stream."""
    if beat := STREAM.search(scope["path"]):
        return beat[1]
    if RESULTS.search(scope["path"]):
        names = parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [])
        return names[0] if names else None
    return None
