"""What stands between the page and the network: whose requests are answered, and what browsers may do with the answers.

A site that a visitor has open elsewhere must not use their page (a foreign Origin), nor reach it under a name of its
own (a foreign Host, as in DNS rebinding), nor show it in a frame; and nobody may fill the disk.
"""

import ipaddress
import json
import shutil
import socket
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CLOSED = ("/dev/reload", "/gradio_api/dev/reload")  # an endless answer for developers of Gradio
UPLOAD = "/gradio_api/upload"
HOUR = 3600.0  # after which uploads are removed (``app.ui``)
VISITOR_BYTES, ALL_BYTES, FREE_BYTES = 4 * 2**30, 16 * 2**30, 2 * 2**30  # within an hour; to be left on the disk
# Gradio's page has scripts and styles within it. Nothing is ever fetched from elsewhere, whatever text asks for it.
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
    )
)
HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}


class Refused(Exception):
    """A request that is not answered; ``status`` is HTTP's."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Guard:
    """ASGI middleware. ``hosts`` are names of this server beside numeric addresses, localhost and the machine's own.

    ``framed`` lets other sites show the page in a frame, as a Space of the Hub is.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Sequence[str] = (),
        framed: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.app = app
        name = socket.gethostname().lower()
        self.hosts = {"localhost", name, f"{name}.local", *(host.lower() for host in hosts)}
        self.framed, self.uploads = framed, Uploads(clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        try:
            self._check(scope, headers)
            if scope["type"] == "http" and scope["path"].rstrip("/") == UPLOAD:
                receive = self.uploads.counted(receive, (scope.get("client") or ("",))[0], headers)
            await self.app(scope, receive, self._sender(scope, send))
        except Refused as refusal:
            await _refuse(scope, send, refusal)

    def _check(self, scope: Scope, headers: Headers) -> None:
        """Raises Refused for a request that is not meant for this page or does not come from it."""
        host = headers.get("host", "")
        if not self._is_own(_name(host)):
            name = _name(host)[:100]
            raise Refused(421, f"'{name}' is no name of this server; start it with --allow-host {name} if it is")
        origin = headers.get("origin")
        if origin is not None and not self._is_same(origin, host):
            raise Refused(403, f"requests from {origin[:100]} are not answered: the page is on {host[:100]}")
        if scope["path"].rstrip("/") in CLOSED:
            raise Refused(404, "there is nothing here")

    def _is_own(self, name: str) -> bool:
        if name in self.hosts:
            return True
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True

    def _is_same(self, origin: str, host: str) -> bool:
        """The page's own origin, or behind a proxy, that may change the port, one of the names that were allowed."""
        try:
            netloc = urlsplit(origin).netloc.lower()
        except ValueError:
            return False
        return netloc == host.lower() or (_name(netloc) == _name(host) and _name(host) in self.hosts - {"localhost"})

    def _sender(self, scope: Scope, send: Send) -> Send:
        async def sender(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers["Content-Security-Policy"] = POLICY + ("" if self.framed else "; frame-ancestors 'self'")
                if not self.framed:
                    headers["X-Frame-Options"] = "SAMEORIGIN"
            await send(message)

        return sender


class Uploads:
    """Bytes of the last hour's uploads, by visitor's address and in all."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.parts: deque[tuple[float, str, int]] = deque()
        self.of: dict[str, int] = {}

    def add(self, visitor: str, num: int) -> None:
        """Raises Refused where the bytes would be too many."""
        now = self.clock()
        while self.parts and now - self.parts[0][0] > HOUR:
            _, other, old = self.parts.popleft()
            self.of[other] -= old
            if not self.of[other]:
                del self.of[other]
        if self.of.get(visitor, 0) + num > VISITOR_BYTES or sum(self.of.values()) + num > ALL_BYTES:
            raise Refused(
                429, "too much was uploaded within an hour; wait a while, or run EBM Studio on a machine of your own"
            )
        if num:
            self.of[visitor] = self.of.get(visitor, 0) + num
            self.parts.append((now, visitor, num))

    def counted(self, receive: Receive, visitor: str, headers: Headers) -> Receive:
        """``receive`` that counts what comes. Raises Refused at once for what is announced as too much."""
        if shutil.disk_usage(tempfile.gettempdir()).free < FREE_BYTES:
            raise Refused(507, "this server's disk is full; whoever runs it has to make room")
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > VISITOR_BYTES:
            raise Refused(413, f"an upload of more than {VISITOR_BYTES / 2**30:g} GiB is too large")
        self.add(visitor, 0)

        async def counting() -> Message:
            message = await receive()
            self.add(visitor, len(message.get("body", b"")))
            return message

        return counting


def _name(host: str) -> str:
    """A Host header's value without the port."""
    end = host.rfind(":")
    return (host[:end] if end > host.rfind("]") else host).lower()


async def _refuse(scope: Scope, send: Send, refusal: Refused) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": str(refusal)[:120]})
        return
    body = json.dumps({"error": str(refusal), "detail": str(refusal)}).encode()
    headers = [(b"content-type", b"application/json"), (b"x-content-type-options", b"nosniff")]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
