"""A tab of the page without a browser: it presses, moves sliders, listens and vanishes as the page's script does."""

import json
import secrets
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

TIMEOUT = 300.0
PICTURE, PLACE, PNG = "data:image/", "in line", ".png"  # what is looked for in what the page is told


class Page:
    """The page's own configuration: which function belongs to a component's event, and what its inputs begin with."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        with urllib.request.urlopen(f"{self.address}/config", timeout=TIMEOUT) as answer:
            config = json.load(answer)
        self.components = {component["id"]: component for component in config["components"]}
        self.ids = {component["props"].get("elem_id"): id for id, component in self.components.items()}
        self.functions = config["dependencies"]

    def function(self, elem_id: str, event: str) -> dict[str, Any]:
        """The one that an event of a component begins."""
        target = [self.ids[elem_id], event]
        return next(one for one in self.functions if target in [list(pair) for pair in one["targets"]])

    def values(self, function: dict[str, Any], **changed: Any) -> list[Any]:
        """Its inputs as they are when the page is loaded, but those of ``changed``, by the components' ids."""
        values = []
        for number in function["inputs"]:
            component = self.components[number]
            name = component["props"].get("elem_id") or ""
            value = None if component["type"] == "state" else component["props"].get("value")
            values.append(changed.get(name.replace("-", "_"), value))
        return values


class Tab:
    """One visitor. ``run`` gives the seconds and the words of what the page is told."""

    def __init__(self, page: Page) -> None:
        self.page, self.name = page, secrets.token_hex(8)
        self.heart = self._open(f"heartbeat/{self.name}")

    def close(self) -> None:
        self.heart.close()

    def begin(self, elem_id: str, event: str = "click", **changed: Any) -> None:
        """Let an event happen, without listening for its results."""
        function = self.page.function(elem_id, event)
        values = self.page.values(function, **changed)
        body = {"data": values, "fn_index": function["id"], "session_hash": self.name, "trigger_id": None}
        path = "queue/join" if function["queue"] else "run/predict"
        self._open(path, json.dumps(body).encode()).close()

    def run(self, elem_id: str, event: str = "click", **changed: Any) -> Iterator[tuple[float, str]]:
        """Let an event happen and listen until it is over. Raises RuntimeError with the page's sentence of an error."""
        started = time.monotonic()
        self.begin(elem_id, event, **changed)
        with self._open(f"queue/data?session_hash={self.name}") as stream:
            for line in stream:
                if not line.startswith(b"data:"):
                    continue
                words = line.decode()
                message = json.loads(words[5:])
                if message["msg"] == "process_completed" and not message["success"]:
                    raise RuntimeError(message["output"].get("error") or words)
                yield time.monotonic() - started, words
                if message["msg"] == "close_stream":
                    return

    def fetch(self, path: str) -> bytes:
        """A file that the page was told of."""
        with self._open(f"file={path}") as answer:
            return answer.read()

    def _open(self, path: str, body: bytes | None = None):
        headers = {"Content-Type": "application/json"} if body else {}
        request = urllib.request.Request(f"{self.page.address}/gradio_api/{path}", body, headers)
        return urllib.request.urlopen(request, timeout=TIMEOUT)
