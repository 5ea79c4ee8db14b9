"""Those who come: programs that ask the endpoints, and people with tabs of the page."""

import base64
import io
import random
import re
import time
from collections import Counter
from collections.abc import Callable

from gradio_client import Client
from PIL import Image

from tests.load.page import PICTURE, PLACE, Page, Tab

SEEDS = range(4)
FULL = "walks wait already"  # of the sentence that refuses those for whom there is no room
PATIENCE = 2.0  # seconds within which somebody who waits is told their place
FILE = re.compile(r'"path":\s*"([^"]+-\d\d\.png)"')


class Books:
    """What happened, how long it took, and what should not have."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.done: Counter[str] = Counter()
        self.seconds: dict[str, list[float]] = {}
        self.faults: list[str] = []

    def note(self, what: str, seconds: float | None = None) -> None:
        self.done[what] += 1
        if seconds is not None:
            self.seconds.setdefault(what, []).append(seconds)

    def attempt(self, action: Callable[[], None]) -> None:
        """Do it; an error of any class is what is looked for, but for the one that there is no room."""
        try:
            action()
        except Exception as error:
            if FULL in str(error):
                self.note("refused: no room in the line")
                time.sleep(1)
            else:
                self.faults.append(f"{type(error).__name__}: {error}"[:300])


class Programs:
    """They know the endpoints and no page."""

    names = ("sample", "compose", "score")

    def __init__(self, address: str, books: Books, model: str, family: str, attribute: str) -> None:
        self.address, self.books = address, books
        picture = io.BytesIO()
        Image.new("RGB", (64, 64), "teal").save(picture, "PNG")
        wishes = [{"attribute": attribute, "value": [1.0]}]
        self.arguments = {
            "sample": {"model": model, "num": 2},
            "compose": {"family": family, "wishes": wishes, "num": 2},
            "score": {"picture": base64.b64encode(picture.getvalue()).decode(), "model": model},
        }
        client = Client(self.address, verbose=False)
        self.alone = {(name, seed): self.submit(client, name, seed).result() for name in self.names for seed in SEEDS}

    def submit(self, client: Client, name: str, seed: int):
        seeded = {} if name == "score" else {"seed": seed}
        return client.submit(**self.arguments[name], **seeded, api_name=f"/{name}")

    def visit(self, rng: random.Random, until: float) -> None:
        """One client after the other."""
        while time.monotonic() < until:
            self.books.attempt(lambda: self.ask_some(rng))

    def ask_some(self, rng: random.Random) -> None:
        client = Client(self.address, verbose=False)
        for _ in range(rng.randint(1, 4)):
            name, seed = rng.choice(self.names), rng.choice(SEEDS)
            job, started = self.submit(client, name, seed), time.monotonic()
            if rng.random() < 0.15:  # and vanishes without a word
                time.sleep(rng.random())
                self.books.note("program: left in the midst")
                return
            if job.result() != self.alone[name, seed]:
                self.books.faults.append(f"{name} with seed {seed} differs from that of a lone run")
            self.books.note(f"program: {name}", time.monotonic() - started)


class People:
    """They have tabs of the page open, whose first model they sample."""

    def __init__(self, address: str, books: Books, slider: str) -> None:
        self.page, self.books, self.slider = Page(address), books, slider
        self.alone: dict[int, bytes] = {}
        for seed in SEEDS:
            tab = Tab(self.page)
            self.watch(tab, seed)
            tab.close()

    def visit(self, rng: random.Random, until: float) -> None:
        """One tab after the other."""
        actions = (self.watch, self.watch, self.stop, self.steer, self.leave)
        while time.monotonic() < until:
            tab = Tab(self.page)
            self.books.attempt(lambda tab=tab: rng.choice(actions)(tab, rng.choice(SEEDS)))
            tab.close()

    def watch(self, tab: Tab, seed: int) -> None:
        """Until the pictures are there; the first of them is that of a lone run."""
        path = ""
        for _, words in self.first_picture(tab, seed):
            if found := FILE.search(words):
                path = path or found[1]
        picture = tab.fetch(path)
        if self.alone.setdefault(seed, picture) != picture:
            self.books.faults.append(f"the page's picture with seed {seed} differs from that of a lone run")
        self.books.note("tab: watched to the end")

    def stop(self, tab: Tab, seed: int) -> None:
        """As soon as there is a picture."""
        pressed = 0.0
        for seconds, words in self.first_picture(tab, seed):
            if not pressed and PICTURE in words:
                tab.begin("stop")
                pressed = seconds
            elif pressed and "Stopped" in words:
                self.books.note("tab: stopped", seconds - pressed)
                return

    def steer(self, tab: Tab, seed: int) -> None:
        """Compose, and move a slider while it walks."""
        name = self.slider.replace("-", "_")
        moved = False
        for _, words in tab.run("compose", **{name: 0.5, "compose_num": 2, "compose_seed": seed}):
            if not moved and PICTURE in words:
                tab.begin(self.slider, "input", **{name: 0.9})
                moved = True
        self.books.note("tab: composed, a slider moved")

    def leave(self, tab: Tab, seed: int) -> None:
        """Press and vanish, the stream cut with the tab or never opened."""
        if seed % 2:
            tab.begin("sample", num=2, seed=seed)
        else:
            for _ in tab.run("sample", num=2, seed=seed):
                break
        self.books.note("tab: left in the midst")

    def first_picture(self, tab: Tab, seed: int):
        """What a tab is told that samples; notes when the first picture came, and whether it was told to wait."""
        told, came = False, False
        for seconds, words in tab.run("sample", num=2, seed=seed):
            told = told or PLACE in words
            if not came and PICTURE in words:
                came = True
                self.books.note(
                    "tab: first picture after a wait" if told else "tab: first picture of a free slot", seconds
                )
            elif not came and not told and seconds > PATIENCE:
                self.books.faults.append("a tab waited without being told its place")
                told = True
            yield seconds, words
