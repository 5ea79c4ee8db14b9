"""Figures of reports, drawn by matplotlib without a display."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # after the choice of a backend that needs no display


def bars(path: Path, report: dict[str, Any]) -> None:
    """Of an ``evaluate compose`` report: for each composition what share was read as asked, beside the paper's."""
    rows = [row for row in report["rows"] if row["asked"] != "nothing"]
    nothing = next(row["read"] for row in report["rows"] if row["asked"] == "nothing")
    shares = [[(k, v) for k, v in row["read"].items() if 0 <= v <= 1 and k in report["choices"]] for row in rows]
    names = list(dict.fromkeys(name for row in shares for name, _ in row))
    figure, axes = plt.subplots(figsize=(9, 3.6))
    for i, name in enumerate(names):
        places = [j + (i - len(names) / 2) * 0.8 / len(names) for j, row in enumerate(shares) if name in dict(row)]
        values = [dict(row)[name] for row in shares if name in dict(row)]
        axes.bar(places, values, 0.8 / len(names), label=name, align="edge", color=f"C{i}")
        if name in nothing:
            axes.axhline(nothing[name], color=f"C{i}", linewidth=0.8, linestyle=":")
        if name in report["paper"]:
            axes.plot(len(rows) - 1 + (i + 0.5 - len(names) / 2) * 0.8 / len(names), report["paper"][name], "k_", ms=14)
    axes.set_xticks(range(len(rows)), [row["asked"].replace(" & ", "\n& ") for row in rows], fontsize=8)
    axes.set_ylim(0, 1.05)
    axes.set_ylabel("share read as asked for")
    axes.set_title("dotted: where nothing is asked; black marks: the paper's, all four at once", fontsize=8)
    axes.legend(fontsize=8, ncols=len(names), loc="lower right")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
