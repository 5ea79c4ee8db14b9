"""``python -m tests.load``: many clients of one server at once, which come, go and vanish. Not a part of ``make test``.

Each client draws what it does by a seed of its own: samples, compositions, scores, and now and then it leaves in the
midst of one. Every picture is compared with that of a lone run. Ends with exit code 1 where one differs, a
request fails other than by the line being full, or the server's memory grows.
"""

import argparse
import base64
import io
import random
import re
import statistics
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from gradio_client import Client
from PIL import Image

from tests.e2e.browser import running_app

SEEDS = range(4)
FULL = "line"  # a word of the sentence that refuses those for whom there is no room
GROWTH = 1.25  # of the server's memory, from the second quarter of the time to the last


class Load:
    """What all clients share: the address, what a lone run gave, and what happened."""

    def __init__(self, address: str, model: str, family: str, attribute: str) -> None:
        self.address, self.model, self.family, self.attribute = address, model, family, attribute
        self.done: Counter[str] = Counter()
        self.seconds: dict[str, list[float]] = {}
        self.faults: list[str] = []
        picture = io.BytesIO()
        Image.new("RGB", (64, 64), "teal").save(picture, "PNG")
        self.picture = base64.b64encode(picture.getvalue()).decode()
        self.alone = {(name, seed): self.ask(self.client(), name, seed) for name in self.names for seed in SEEDS}

    names = ("sample", "compose", "score")

    def client(self) -> Client:
        return Client(self.address, verbose=False)

    def submit(self, client: Client, name: str, seed: int):
        wishes = [{"attribute": self.attribute, "value": [1.0]}]
        arguments = {
            "sample": {"model": self.model, "num": 2, "seed": seed},
            "compose": {"family": self.family, "wishes": wishes, "num": 2, "seed": seed},
            "score": {"picture": self.picture, "model": self.model},
        }[name]
        return client.submit(**arguments, api_name=f"/{name}")

    def ask(self, client: Client, name: str, seed: int):
        return self.submit(client, name, seed).result()

    def visit(self, number: int, until: float) -> None:
        """One client after the other, as a single person's tabs."""
        rng = random.Random(number)
        while time.monotonic() < until:
            try:
                client = self.client()
                for _ in range(rng.randint(1, 4)):
                    name, seed = rng.choice(self.names), rng.choice(SEEDS)
                    if rng.random() < 0.15:
                        self.submit(client, name, seed)  # and vanishes without a word
                        time.sleep(rng.random())
                        self.done["left in the midst"] += 1
                        break
                    started = time.monotonic()
                    reply = self.ask(client, name, seed)
                    self.seconds.setdefault(name, []).append(time.monotonic() - started)
                    self.done[name] += 1
                    if reply != self.alone[name, seed]:
                        self.faults.append(f"{name} with seed {seed} differs from that of a lone run")
            except Exception as error:  # of any class: it is what is looked for
                if FULL in str(error):
                    self.done["refused: no room in the line"] += 1
                    time.sleep(1)
                else:
                    self.faults.append(f"{type(error).__name__}: {error}")


def memory_of(port: str) -> float:
    """MiB of the server's process."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"--port\0{port}\0" in (process / "cmdline").read_text():
                return int(re.search(r"VmRSS:\s+(\d+)", (process / "status").read_text())[1]) / 1024
        except OSError:
            continue
    return 0.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--weights", type=Path, default=Path("weights"))
    parser.add_argument("--model", default="objects")
    parser.add_argument("--family", default="objects")
    parser.add_argument("--attribute", default="size")
    a = parser.parse_args()
    with running_app(a.weights) as address:
        load, port = Load(address, a.model, a.family, a.attribute), address.rpartition(":")[2]
        until = time.monotonic() + 60 * a.minutes
        people = [threading.Thread(target=load.visit, args=(n, until), daemon=True) for n in range(a.clients)]
        for person in people:
            person.start()
        memory = []
        while time.monotonic() < until:
            memory.append(memory_of(port))
            time.sleep(max(0.5, a.minutes / 5))
        for person in people:
            person.join(120)
    for what, num in sorted(load.done.items()):
        seconds = load.seconds.get(what)
        print(f"{what}: {num}" + (f", median {statistics.median(seconds):.1f} s" if seconds else ""))
    quarter = max(1, len(memory) // 4)
    early, late = statistics.median(memory[quarter : 2 * quarter] or memory), statistics.median(memory[-quarter:])
    print(f"memory of the server: {early:.0f} MiB in the second quarter, {late:.0f} in the last")
    for fault, num in Counter(load.faults).most_common(10):
        print(f"fault ({num}): {fault}", file=sys.stderr)
    return int(bool(load.faults) or late > GROWTH * early)


if __name__ == "__main__":
    sys.exit(main())
