"""``python -m train evaluate arms NAME=RUN,RUN,RUN ...``: runs that differ in one thing, over several seeds.

Each run is the folder of a `fit`, into which `evaluate ood` and `evaluate frechet` of its exported model were written
(``--out RUN/ood``, ``--out RUN/frechet``). The first arm is compared with each other one, figure by figure.
"""

import argparse
import json
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from ebm_core.files import write_atomically
from train.history import HISTORY
from train.markdown import table
from train.provenance import add_allow_dirty, command_of, provenance
from train.reproduce.verdicts import ALIKE, SEEDS, verdict

ENERGY = "energy"
MEAN = "mean over sets from files"
FRECHET = "Fréchet distance"
INTRODUCTION = """# {title}

Arms are runs from the same weights that differ in one thing; figures are means over seeds, in brackets those of each.
Of an arm the AUROC is that of the raw energy (above .5: it is higher on the other pictures), the distance that of
{samples}. That the first arm is better is *shown* where the 95 % interval of the margin, over three
seeds or more, is above 0 and the arms took equal compute; an interval below 0 says that it is worse. Each figure has an
interval of its own: of forty figures that no arm is better at, one would be shown by chance.

"""


class Run(NamedTuple):
    """Figures of one run by their names, and what it took."""

    figures: dict[str, float]
    iterations: int
    core_hours: float
    made_by: str
    samples: str  # how many, and what the distance is to


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("arms", nargs="+", metavar="NAME=RUN,RUN", help="an arm's name and its runs, one a seed")
    parser.add_argument("--title", required=True, help="of the page")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    add_allow_dirty(parser)


def run(a: argparse.Namespace) -> None:
    """The command itself. Raises ValueError, in a sentence, for runs that cannot be compared."""
    arms = dict(map(parse, a.arms))
    if len(arms) < 2 or len({len(runs) for runs in arms.values()}) > 1:
        raise ValueError("two arms or more with different names are compared, each with as many runs as the others")
    if len({frozenset(one.figures) for runs in arms.values() for one in runs}) > 1:
        raise ValueError("runs are compared that were put to the same sets; evaluate ood anew where some are missing")
    report = {"title": a.title, "arms": {}, "margins": margins(arms)}
    for name, runs in arms.items():
        report["arms"][name] = [one._asdict() for one in runs]
    options = {"title": a.title, "out": a.out}
    report["provenance"] = provenance(command_of(["evaluate", "arms", *a.arms], options, "cpu"))
    write_atomically(a.out / "arms.json", (json.dumps(report, indent=1) + "\n").encode())
    write_atomically(a.out / "README.md", markdown(a.title, arms, report["margins"]).encode())
    print(a.out / "README.md")


def parse(text: str) -> tuple[str, list[Run]]:
    """An arm as it is given. Raises ValueError for another form, or for a run without its reports."""
    name, equals, folders = text.partition("=")
    if not equals or not name or not folders:
        raise ValueError(f"an arm is NAME=RUN,RUN, got '{text}'")
    return name, [read(Path(folder)) for folder in folders.split(",")]


def read(folder: Path) -> Run:
    """A run's figures. Raises ValueError, in a sentence, where a report is missing or no report."""
    try:
        ood, frechet = (json.loads((folder / n / f"{n}.json").read_text()) for n in ("ood", "frechet"))
        part = json.loads((folder / HISTORY).read_text())[-1]
        aurocs = {row["title"]: row["detection"][ENERGY]["auroc"] for row in ood["sets"] if "detection" in row}
        figures = {**aurocs, MEAN: ood["mean_auroc"]["sets from files"][ENERGY], FRECHET: frechet["distance"]}
        made_by = f"{part['commit']}, {part['machine']}, {part['date']}"
        samples = f"{frechet['num_samples']} samples to `{frechet['read_on']['file']}`"
        return Run(figures, part["iterations"], part["core_hours"], made_by, samples)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ValueError(f"{folder} is no run with reports in its folders ood and frechet ({error})") from error


def margins(arms: dict[str, list[Run]]) -> dict[str, dict[str, str]]:
    """For each arm but the first, and each figure, what may be said of the first one's being better."""
    (first, ours), *others = arms.items()
    words = {}
    for name, theirs in others:
        compute = [*_compute(ours), *_compute(theirs)]
        words[f"{first} against {name}"] = {
            figure: verdict(
                [
                    (b.figures[figure] - a.figures[figure]) * (1 if figure == FRECHET else -1)
                    for a, b in zip(ours, theirs, strict=True)
                ],
                compute,
            ).words
            for figure in ours[0].figures
        }
    return words


def _compute(runs: list[Run]) -> list[float]:
    """Core-hours of an arm: of the first run alone where all have about as many iterations, for beside other work the
    same iterations take more time."""
    iterations = [one.iterations for one in runs]
    return [one.core_hours for one in (runs[:1] if max(iterations) <= ALIKE * min(iterations) else runs)]


def markdown(title: str, arms: dict[str, list[Run]], words: dict[str, dict[str, str]]) -> str:
    """The report as a page."""
    first, *_ = next(iter(arms.values()))
    page = INTRODUCTION.format(title=title, samples=first.samples)
    rows = [
        (
            figure,
            *(_cell([one.figures[figure] for one in runs], figure) for runs in arms.values()),
            *(of_figure[figure] for of_figure in words.values()),
        )
        for figure in first.figures
    ]
    blanks = [""] * len(words)
    rows.append(("iterations", *(_joined(str(one.iterations) for one in runs) for runs in arms.values()), *blanks))
    rows.append(("core-hours", *(_joined(f"{one.core_hours:.3f}" for one in runs) for runs in arms.values()), *blanks))
    page += table(("figure", *arms, *words), rows) + "\n\n"
    makers = sorted({one.made_by for runs in arms.values() for one in runs})
    few = "" if len(next(iter(arms.values()))) >= SEEDS else " Fewer seeds than three show nothing."
    return f"{page}Runs by {'; '.join(makers)}.{few}\n"


def _cell(values: list[float], figure: str) -> str:
    form = "{:.0f}" if figure == FRECHET else "{:.3f}"
    return f"{form.format(mean(values))} ({_joined(map(form.format, values))})"


def _joined(values: Any) -> str:
    return ", ".join(values)
