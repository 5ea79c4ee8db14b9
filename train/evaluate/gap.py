"""``python -m train evaluate gap RUN...``: whether contrastive divergence stayed in balance, drawn from a run's log.

The gap is the mean energy of samples less that of data. A run is in balance while the gap is small beside the spread of
the data's own energies. Runs that go on from one another are drawn as one.
"""

import argparse
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ebm_core.config import to_dict
from ebm_core.files import write_atomically
from train.run import LOG, load_config, read_log

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMOOTHED = 15  # logged iterations of a running median
SHARES = {"grad_norm_opt": "L_opt", "grad_norm_ent": "L_ent"}
LOSSES = {"opt_weight": "L_opt", "entropy_weight": "L_ent"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folders of `fit`, in the order of training")
    parser.add_argument("--beside", nargs="+", default=[], type=Path, metavar="RUN", help="another, without L_opt, say")
    parser.add_argument("--out", type=Path, required=True, metavar="PNG")


def run(a: argparse.Namespace) -> None:
    """The command itself. Raises ValueError, in a sentence, for runs without contrastive divergence."""
    lines = [line for path in a.runs for line in icd_lines(path)]
    iterations = steps(lines)
    beside = [line for path in a.beside for line in icd_lines(path)]
    page = io.BytesIO()
    draw(lines, iterations, beside, differences(a.runs[-1], a.beside[-1]) if beside else "").savefig(
        page, format="png", dpi=120
    )
    write_atomically(a.out, page.getvalue())
    gap, spread = np.median([abs(line["energy_gap"]) for line in lines]), np.median([spread_of(x) for x in lines])
    print(f"{a.out}: {iterations[-1]:,} iterations, median gap {gap:.2g}, spread of the data's energies {spread:.2g}")


def icd_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a run's log that have a gap. Raises ValueError where there is no log or no such line."""
    try:
        lines = [line for line in read_log(path) if "energy_gap" in line]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} has no {LOG} that can be read ({error}); give the folder of a run") from error
    if len(lines) < 2:
        raise ValueError(f"{path} has logged fewer than two iterations of contrastive divergence")
    return lines


def steps(lines: list[dict[str, Any]]) -> list[int]:
    """Iterations from the first on, over runs that each begin with their own count."""
    total, past = 0, 0
    numbers: list[int] = []
    for line, before in zip(lines, [lines[0], *lines], strict=False):
        if line["iteration"] < before["iteration"]:
            total, past = numbers[-1] + 1, line["iteration"]
        elif not numbers:
            past = line["iteration"]
        numbers.append(total + line["iteration"] - past)
    return numbers


def spread_of(line: dict[str, Any]) -> float:
    """The standard deviation of energies of data at a logged iteration, scales taken as independent."""
    return float(np.linalg.norm([value for name, value in line.items() if name.startswith("spread_scale")]))


def differences(run: Path, other: Path) -> str:
    """How the second run's losses differ: "without L_opt and L_ent", or "with opt_weight 3"."""
    own, others = (to_dict(load_config(path).icd) for path in (run, other))
    changed = {name: value for name, value in others.items() if name.endswith("_weight") and own[name] != value}
    without = " and ".join(LOSSES.get(name, name) for name, value in changed.items() if value == 0)
    instead = ", ".join(f"{name} {value:g}" for name, value in changed.items() if value)
    return " ".join(filter(None, [f"without {without}" if without else "", f"with {instead}" if instead else ""]))


def draw(
    lines: list[dict[str, Any]], iterations: list[int], beside: Sequence[dict[str, Any]] = (), name: str = ""
) -> "Figure":
    """Gap beside the data's spread, and that of another run; gradients of L_opt and L_ent as shares of L_CD's."""
    from train.reproduce.figures import figure, legend

    page, (left, right) = figure(2, ["energy of samples less that of data", "gradient, as a share of L_CD's"])
    spread = _smooth([spread_of(line) for line in lines])
    left.fill_between(iterations, -spread, spread, color="#d1fae5", label="one spread of the data's energies")
    gaps = [line["energy_gap"] for line in lines]
    left.plot(iterations, gaps, color="#99f6e4", linewidth=0.6)
    left.plot(iterations, _smooth(gaps), color="#0f766e", label="gap, running median")
    if beside:
        other = _smooth([line["energy_gap"] for line in beside])
        left.plot(steps(list(beside)), other, color="#b45309", label=f"gap {name}")
    left.set_ylim(-4 * float(np.median(spread)), 4 * float(np.median(spread)))
    for (name, label), colour in zip(SHARES.items(), ("#0f766e", "#b45309"), strict=True):
        there = [i for i, line in enumerate(lines) if name in line and line.get("grad_norm_cd")]
        if there:
            shares = [lines[i][name] / lines[i]["grad_norm_cd"] for i in there]
            right.plot([iterations[i] for i in there], _smooth(shares), color=colour, label=label)
    right.set_ylim(bottom=0)
    for axis in (left, right):
        axis.set_xlabel("iteration of contrastive divergence")
        legend(axis, 2)
    return page


def _smooth(values: list[float]) -> np.ndarray[Any, np.dtype[np.float64]]:
    half = SMOOTHED // 2
    return np.array([np.median(values[max(0, i - half) : i + half + 1]) for i in range(len(values))])
