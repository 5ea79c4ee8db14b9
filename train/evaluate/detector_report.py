"""What ``evaluate detector`` measured, in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from ebm_core.detector.card import TITLES
from ebm_core.detector.methods import ENERGY, METHODS
from train.markdown import table

CLOSE = 0.01  # AUROCs that differ by less are called equal


def markdown(report: Mapping[str, Any]) -> str:
    """The report in words and tables."""
    rows = report["tasks"]
    with_other = any("anomalib" in row for row in rows)
    parts = [
        "# Own detectors on real data",
        "A detector is fitted on a few hundred normal pictures, with no outlier, as `python -m train detector` and the "
        f"page do it, and asked which of two sets belongs; pictures are seen at {report['size']} pixels. AUROC "
        "with 95 % intervals from 1,000 resamplings of the pictures told apart. *Chosen* is the method that judges, "
        "the best on faults made of held-out normal pictures, before any outlier was seen. Settings were chosen on "
        "other pictures (`train/evaluate/detector_sets.py`).",
        "## AUROC",
        _auroc_table(rows, with_other),
        _verdict(rows),
        "## The choice, and what the threshold is worth",
        _choice_table(rows),
        "On faults: mean AUROC over the kinds of faults. Called unusual: by the chosen method, at a threshold for 5 % "
        "false alarms on held-out pictures.",
        "## Seconds",
        _seconds_table(rows, with_other),
        "Processor seconds of the whole task, fitting three methods, comparing them and judging both sets (anomalib: "
        "fitting and judging with one method). By the clock other work on the machine counts too.",
    ]
    if with_other:
        version = next(row["anomalib"]["version"] for row in rows if "anomalib" in row)
        parts.append(
            f"anomalib {version}: its PatchCore with its defaults (a coreset of a tenth, nine neighbours) on the same "
            "features, because the weights of its own backbone cannot be had without internet."
        )
    else:
        parts.append("anomalib's PatchCore was not compared (`--anomalib TASK`).")
    parts.append(
        f"Seed {report['seed']}, commit {report['commit']}, {report['machine']}, {report['date']}:\n\n"
        f"```sh\n{report['command']}\n```"
    )
    return "\n\n".join(parts) + "\n"


def _auroc_table(rows: Sequence[Mapping[str, Any]], with_other: bool) -> str:
    head = ["normal, others", "fitted on", *(TITLES[name] for name in METHODS), "chosen"]
    lines = []
    for row in rows:
        cells = [_interval(row["auroc"][name]) for name in METHODS]
        line = [row["title"], row["num_normal"], *cells, f"{row['auroc'][row['chosen']][0]:.3f} ({row['chosen']})"]
        lines.append([*line, _interval(row["anomalib"]["auroc"]) if "anomalib" in row else ""] if with_other else line)
    means = [f"**{_mean([row['auroc'][name][0] for row in rows]):.3f}**" for name in METHODS]
    last = ["**mean**", "", *means, f"**{_mean([row['auroc'][row['chosen']][0] for row in rows]):.3f}**"]
    if with_other:
        head.append("anomalib's PatchCore")
        last.append("")
    return table(head, [*lines, last])


def _verdict(rows: Sequence[Mapping[str, Any]]) -> str:
    """In a sentence whether the energy is the best, and how good the choice is."""
    means = {name: _mean([row["auroc"][name][0] for row in rows]) for name in METHODS}
    best = max(METHODS, key=means.__getitem__)
    text = (
        "The learned energy is the best of the three on average."
        if best == ENERGY
        else f"**The learned energy is not the best**: {TITLES[best]} is, by {means[best] - means[ENERGY]:.3f}."
    )
    gains = [row["auroc"][ENERGY][0] - row["auroc"]["mahalanobis"][0] for row in rows]
    text += f" Over the Gaussian that it begins as, contrastive divergence changes its AUROC by {_mean(gains):+.3f}."
    good = sum(row["auroc"][row["chosen"]][0] >= max(v[0] for v in row["auroc"].values()) - CLOSE for row in rows)
    return f"{text} What was chosen without outliers is within {CLOSE} of the best in {good} of {len(rows)} tasks."


def _choice_table(rows: Sequence[Mapping[str, Any]]) -> str:
    head = ["normal, others", *(f"on faults: {TITLES[name]}" for name in METHODS), "normal called unusual", "others"]
    return table(
        head,
        [
            [
                row["title"],
                *(f"{row['on_faults'][name]:.3f}" for name in METHODS),
                f"{row['called_unusual']['inside']:.0%}",
                f"{row['called_unusual']['outside']:.0%}",
            ]
            for row in rows
        ],
    )


def _seconds_table(rows: Sequence[Mapping[str, Any]], with_other: bool) -> str:
    head = ["normal, others", "processor", "clock", *(["anomalib, processor", "clock"] if with_other else [])]
    lines = []
    for row in rows:
        line = [row["title"], f"{row['cpu_seconds']:.0f}", f"{row['seconds']:.0f}"]
        other = row.get("anomalib")
        theirs = [f"{other['cpu_seconds']:.0f}", f"{other['seconds']:.0f}"] if other else ["", ""]
        lines.append([*line, *theirs] if with_other else line)
    return table(head, lines)


def _interval(values: Sequence[float]) -> str:
    return f"{values[0]:.3f} [{values[1]:.2f}, {values[2]:.2f}]"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
