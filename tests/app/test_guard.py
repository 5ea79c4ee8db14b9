"""Whose requests are answered, what the answers carry, and how much may be uploaded."""

import asyncio

import pytest

from app import guard
from app.guard import Guard


async def application(scope, receive, send):
    size = 0
    while (message := await receive()).get("more_body") or message.get("body"):
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


class Client:
    """One request after the other, as a server hands them on."""

    def __init__(self, **options):
        self.guard = Guard(application, **options)

    def __call__(self, path="/", headers=None, parts=(b"",), visitor="1.2.3.4", kind="http"):
        sent = []
        waiting = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
        waiting[-1]["more_body"] = False

        async def receive():
            return waiting.pop(0)

        async def send(message):
            sent.append(message)

        raw = [(k.encode(), v.encode()) for k, v in ({"host": "localhost:7860"} | (headers or {})).items()]
        scope = {"type": kind, "path": path, "headers": raw, "client": (visitor, 5)}
        asyncio.run(self.guard(scope, receive, send))
        if kind == "websocket":
            return sent[0]
        return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


@pytest.mark.parametrize("host", ["localhost:7860", "127.0.0.1:7860", "[::1]:7860", "192.168.0.7", "studio.example"])
def test_own_names_are_answered(host):
    assert Client(hosts=["studio.example"])(headers={"host": host})[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "localhost.evil.example", "", "1.2.3"])
def test_other_names_are_not(host):
    status, _, body = Client()(headers={"host": host})
    assert status == 421
    assert b"--allow-host" in body


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:7860", 200),
        ("http://localhost:7861", 403),
        ("https://evil.example", 403),
        ("null", 403),
        ("http://[", 403),
    ],
)
def test_only_the_page_itself_may_ask(origin, status):
    assert Client()(headers={"origin": origin})[0] == status


def test_a_proxy_may_end_the_encryption_and_change_the_port():
    client = Client(hosts=["studio.example"])
    assert client(headers={"host": "studio.example", "origin": "https://studio.example:8443"})[0] == 200
    assert client(headers={"host": "studio.example", "origin": "https://evil.example"})[0] == 403


def test_answers_forbid_frames_and_strangers_contents():
    _, headers, _ = Client()()
    names = {name.decode(): value.decode() for name, value in headers.items()}
    assert names["x-content-type-options"] == "nosniff"
    assert names["x-frame-options"] == "SAMEORIGIN"
    assert "img-src 'self' data: blob:" in names["content-security-policy"]
    assert "frame-ancestors 'self'" in names["content-security-policy"]
    framed = {name.decode() for name in Client(framed=True)()[1]}
    assert "x-frame-options" not in framed


def test_an_endless_answer_is_closed():
    assert Client()("/gradio_api/dev/reload")[0] == 404


def test_a_foreign_websocket_is_closed():
    assert Client()(headers={"origin": "https://evil.example"}, kind="websocket")["type"] == "websocket.close"


def test_uploads_are_counted_by_visitor_and_in_all_and_forgotten_after_an_hour(monkeypatch):
    monkeypatch.setattr(guard, "VISITOR_BYTES", 10)
    monkeypatch.setattr(guard, "ALL_BYTES", 16)
    now = [0.0]
    client = Client(clock=lambda: now[0])

    def upload(*parts, visitor="a", **headers):
        return client("/gradio_api/upload", headers, parts, visitor)[0]

    assert client("/gradio_api/upload", parts=(b"1234", b"56"))[2] == b"6"
    assert upload(b"123456") == 200
    assert upload(b"123", b"45") == 429  # its own share
    assert upload(b"123456", visitor="b") == 429  # that of all
    assert client("/elsewhere", parts=(b"123456",))[0] == 200
    now[0] = 3601.0
    assert upload(b"123456", visitor="b") == 200
    assert upload(b"", visitor="c", **{"content-length": "11"}) == 413


def test_nothing_is_taken_where_the_disk_is_full(monkeypatch):
    monkeypatch.setattr(guard, "FREE_BYTES", 2**60)
    assert Client()("/gradio_api/upload", parts=(b"1",))[0] == 507
