"""``python -m benchmarks.race``: the trainer of an earlier commit against this one, by turns, at equal core time."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import matmul_peak
from ebm_core.arguments import POSITIVE, Parser
from ebm_core.device import has_bf16
from ebm_core.files import write_atomically
from train.markdown import table
from train.provenance import add_allow_dirty, command_of, parse_publishing, portable, provenance

ROOT = Path(__file__).resolve().parent.parent
CHILD = Path(__file__).with_name("race_child.py")
BEFORE = "948d32f"
TURN = 20.0  # seconds of the child's process


class Side:
    """A trainer of one work tree in a process of its own, with one thread."""

    def __init__(self, tree: Path, config: str, overrides: list[str], train: str, val: str) -> None:
        environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
        path = tree / "train" / "configs" / config
        command = [sys.executable, str(CHILD), str(path), json.dumps(overrides), train, val]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tree, env=environment
        )
        self.rate = self.answer()
        self.curve: list[dict[str, float]] = []

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"a trainer ended early with code {self.process.wait()}; its message stands above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, seconds: float) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()

    def turn(self) -> None:
        self.ask(TURN)
        self.curve.append(self.answer())

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


@contextmanager
def work_tree(commit: str) -> Iterator[Path]:
    """A checkout of a commit of this repository, removed afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / commit
        add = ["git", "worktree", "add", "--detach", str(tree), commit]
        subprocess.run(add, check=True, cwd=ROOT, capture_output=True)
        try:
            yield tree
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(tree)], check=True, cwd=ROOT)


def race(before: Side, after: Side, minutes: float) -> dict[str, Any]:
    """Train the earlier trainer for ``minutes`` of a core, this one for half of them, in turns of ``TURN`` seconds."""
    before.ask(60 * minutes)
    after.ask(30 * minutes)
    for number in range(round(60 * minutes / TURN)):
        before.turn()
        if number % 2:
            after.turn()
    for side in (before, after):
        side.end()
    return {"before": before.curve, "after": after.curve}


def main() -> None:
    parser = Parser(prog="python -m benchmarks.race", description=__doc__)
    parser.add_argument(
        "races",
        nargs="+",
        metavar="BEFORE,AFTER=TRAIN:HELDOUT[:SET]",
        help="two configs, two zips, overrides of the first",
    )
    parser.add_argument("--minutes", type=POSITIVE, default=12.0, help="of one core, for the earlier trainer")
    parser.add_argument("--out", type=Path, default=Path("benchmarks"), help="folder of race.json and race.md")
    add_allow_dirty(parser)
    a = parse_publishing(parser)
    dtypes = {"float32": torch.float32} | ({"bfloat16": torch.bfloat16} if has_bf16("cpu") else {})
    torch.set_num_threads(1)
    peaks = {name: matmul_peak("cpu", dtype, 2048) for name, dtype in dtypes.items()}
    words = [":".join(portable(part.split(":"))) for part in a.races]
    command = command_of(words, {"minutes": a.minutes, "out": a.out}, module="benchmarks.race")
    report: dict[str, Any] = {**provenance(command), "before": BEFORE, "rates": [], "races": []}
    with work_tree(BEFORE) as earlier:
        for argument in a.races:
            configs, files = argument.split("=", 1)
            train, val, *more = files.split(":")
            zips = [str(Path(p).resolve()) for p in (train, val)]
            first, second = configs.split(",")
            kinds = {"before": (earlier, first, more), "after": (ROOT, second, [])}
            for precision in dtypes:
                for name, (tree, config, changes) in kinds.items():
                    side = Side(tree, config, [*changes, f"bf16={str(precision == 'bfloat16').lower()}"], *zips)
                    side.ask(0)
                    side.end()
                    rate = side.rate["flops"] / side.rate["step_seconds"]
                    report["rates"].append(
                        {
                            "config": config,
                            "set": changes,
                            "precision": precision,
                            "trainer": name,
                            "pictures_per_core_second": side.rate["batch"] / side.rate["step_seconds"],
                            "gflop_per_picture": side.rate["flops"] / side.rate["batch"] / 1e9,
                            "share_of_peak": rate / peaks[precision],
                        }
                    )
            sides = [Side(tree, config, changes, *zips) for tree, config, changes in kinds.values()]
            title = f"{' '.join([first, *more])} before, {second} after, {Path(train).name}"
            report["races"].append({"title": title, **race(*sides, a.minutes)})
            write_atomically(a.out / "race.json", (json.dumps(report, indent=1) + "\n").encode())
            write_atomically(a.out / "race.md", markdown(report).encode())
    print(a.out / "race.md")


def markdown(report: dict[str, Any]) -> str:
    """The page of a race."""
    rates = table(
        ("config", "precision", "trainer", "pictures a core-second", "GFLOP a picture", "of the matrix-product peak"),
        (
            (
                " ".join([r["config"], *r["set"]]),
                r["precision"],
                r["trainer"],
                f"{r['pictures_per_core_second']:.0f}",
                f"{r['gflop_per_picture']:.2f}",
                f"{r['share_of_peak']:.0%}",
            )
            for r in report["rates"]
        ),
    )
    text = (
        f"# The trainer before and after\n\n```sh\n{report['command']}\n```\n\n{report['machine']}, {report['date']}; "
        f"before: commit {report['before']}, after: {report['commit']}. One thread each, time of the process.\n\n"
        f"{rates}\n"
    )
    for one in report["races"]:
        text += (
            f"\n## {one['title']}\n\nHeld-out matching loss from plain noise, the best of "
            "trained and averaged weights. Each schedule is laid out for its own length: the later trainer has half "
            "the time. What compiling takes before the first step is not counted.\n\n"
        )
        after = {round(p["seconds"] / TURN): p["held_out"] for p in one["after"]}
        rows = table(
            ("core-minutes", "before", "after"),
            (
                (f"{p['seconds'] / 60:.1f}", f"{p['held_out']:.4f}", f"{after[key]:.4f}" if key in after else "")
                for p in one["before"]
                for key in [round(p["seconds"] / TURN)]
                if key % 3 == 0 or key == len(one["after"])
            ),
        )
        text += f"{rows}\n"
    return text


if __name__ == "__main__":
    main()
