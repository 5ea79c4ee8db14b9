"""``python -m benchmarks.crowd``: a Langevin step beside a busy process, by how long threads spin before they sleep.

Wants an idle machine of two cores or more; writes ``crowd.json`` and ``crowd.md``, takes two minutes.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import torch

from ebm_core.arguments import COUNT, Parser
from ebm_core.checkpoint import load_model
from ebm_core.energy import energy_and_grad
from ebm_core.files import write_atomically
from ebm_core.hub import find_model, open_space
from ebm_core.precision import for_sampling
from train.markdown import table
from train.provenance import add_allow_dirty, command_of, parse_publishing, provenance

TURN = 4.0  # seconds
# What the variables say that GNU OpenMP reads; 300,000 is its own default.
WAITS = {
    "300,000 times": {"GOMP_SPINCOUNT": "300000"},
    "5,000 times (ours)": {},
    "not at all": {"OMP_WAIT_POLICY": "passive"},
}
CROWDS = {"nothing": 0, "one busy process": 1}
PAGE = """# A Langevin step beside a busy process

```sh
{command}      # wants an idle machine; writes this page and crowd.json
```

{machine}, {date}, commit {commit}.

Milliseconds of a gradient of {chains} chains of `{model}` on {threads} threads, the median of {repeats} turns of
{turn:.0f} seconds, by how often a thread that waits for the others looks again before it sleeps, and by what else runs.

"""


def main() -> None:
    parser = Parser(prog="python -m benchmarks.crowd", description=__doc__)
    parser.add_argument("--model", default="cats128")
    parser.add_argument("--chains", type=COUNT, default=24)
    parser.add_argument("--repeats", type=COUNT, default=3)
    parser.add_argument("--out", type=Path, default=Path("benchmarks"), help="folder of both files")
    add_allow_dirty(parser)
    a = parse_publishing(parser)
    options = {"model": a.model, "chains": a.chains, "repeats": a.repeats}
    origin = provenance(command_of([], options, module="benchmarks.crowd"))
    # The core comes first, as in the app: what it says of waiting is read when torch is imported.
    child = f"import ebm_core; from benchmarks.crowd import turn; print(turn({a.model!r}, {a.chains}))"
    unset = {name: value for name, value in os.environ.items() if name not in {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}}
    steps: dict[tuple[str, str], list[float]] = {(wait, crowd): [] for wait in WAITS for crowd in CROWDS}
    for _ in range(a.repeats):
        for (wait, crowd), seconds in steps.items():
            with busy(CROWDS[crowd]):
                said = subprocess.check_output([sys.executable, "-c", child], text=True, env=unset | WAITS[wait])
            seconds.append(float(said))
    rows = [{"spins": w, "beside": c, "ms": [1e3 * s for s in seconds]} for (w, c), seconds in steps.items()]
    report = {**origin, **options, "threads": torch.get_num_threads(), "rows": rows}
    write_atomically(a.out / "crowd.json", (json.dumps(report, indent=1) + "\n").encode())
    write_atomically(a.out / "crowd.md", markdown(report).encode())
    print(a.out / "crowd.md")


def markdown(report: dict[str, Any]) -> str:
    """The report as a page; speeds are ratios to threads that never spin, beside the same."""
    middle = {(row["spins"], row["beside"]): median(row["ms"]) for row in report["rows"]}
    rows = [(w, c, f"{ms:.0f}", f"{middle['not at all', c] / ms:.2f}") for (w, c), ms in middle.items()]
    head = ("a waiting thread looks again", "beside", "ms a step", "speed, of that without spinning")
    return PAGE.format(**report, turn=TURN) + table(head, rows) + "\n"


def turn(model: str, chains: int) -> float:
    """Seconds of a step's gradient on a shipped model, over one turn, in this process."""
    path = find_model(model)
    net, info = load_model(path, "cpu")
    space = open_space(info.space, info.net, "cpu", path)
    energy, x = for_sampling(net), space.noise(chains, torch.Generator().manual_seed(0))
    energy_and_grad(energy, x)
    number, begin = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - begin) < TURN:
        energy_and_grad(energy, x)
        number += 1
    return elapsed / number


@contextmanager
def busy(number: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many processes that do nothing, as fast as they can.

    Each in a session of its own, as another program is: Linux shares its cores among sessions first.
    """
    others = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True) for _ in range(number)
    ]
    try:
        yield others
    finally:
        for other in others:
            other.kill()
            other.wait()


if __name__ == "__main__":
    main()
