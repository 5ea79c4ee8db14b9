"""``python -m tests.load``: many clients of one server at once, which come, go and vanish. Not a part of ``make test``.

Half of them are programs that ask for samples, compositions and scores, half are tabs of the page, which watch, stop,
move sliders and look away. Each draws what it does by a seed of its own. Every picture is compared with that of a lone
run. Ends with exit code 1 where one differs, a request fails other than by the line being full, somebody waits without
being told their place, or the server's memory grows.
"""

import argparse
import random
import re
import statistics
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from tests.e2e.browser import running_app
from tests.load.people import Books, People, Programs

GROWTH = 1.25  # of the server's memory, from the second quarter of the time to the last


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
    parser.add_argument("--model", default="objects", help="that programs ask")
    parser.add_argument("--family", default="objects128")
    parser.add_argument("--attribute", default="size")
    parser.add_argument("--slider", default="faces128-smiling-strength", help="that tabs move")
    a = parser.parse_args()
    with running_app(a.weights) as address:
        books, port = Books(), address.rpartition(":")[2]
        kinds = [Programs(address, books, a.model, a.family, a.attribute), People(address, books, a.slider)]
        books.clear()  # what a lone run took
        until = time.monotonic() + 60 * a.minutes
        clients = [
            threading.Thread(target=kinds[n % 2].visit, args=(random.Random(n), until), daemon=True)
            for n in range(a.clients)
        ]
        for client in clients:
            client.start()
        memory = []
        while time.monotonic() < until:
            memory.append(memory_of(port))
            time.sleep(max(0.5, a.minutes / 5))
        for client in clients:
            client.join(120)
    for what, num in sorted(books.done.items()):
        seconds = books.seconds.get(what)
        times = f", median {statistics.median(seconds):.1f} s, longest {max(seconds):.1f} s" if seconds else ""
        print(f"{what}: {num}{times}")
    quarter = max(1, len(memory) // 4)
    early, late = statistics.median(memory[quarter : 2 * quarter] or memory), statistics.median(memory[-quarter:])
    print(f"memory of the server: {early:.0f} MiB in the second quarter, {late:.0f} in the last")
    for fault, num in Counter(books.faults).most_common(10):
        print(f"fault ({num}): {fault}", file=sys.stderr)
    return int(bool(books.faults) or late > GROWTH * early)


if __name__ == "__main__":
    sys.exit(main())
