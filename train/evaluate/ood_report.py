"""What ``evaluate ood`` found, as a table in Markdown and as histograms."""

import io
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from train.evaluate.ood_sets import PAPER_MEAN, PIXELS
from train.markdown import table

COLUMNS = 3  # of the figure
BINS = 60
PIXELS_SAYING = (
    f" *{PIXELS}* is no model: the Mahalanobis distance of six plain statistics (means and spreads of brightness and "
    "saturation, mean gradients) to those of the {num} pictures for calibrating. A score that is below it tells less "
    "apart than six numbers."
)


def markdown(report: Mapping[str, Any]) -> str:
    """The report in words and tables."""
    inside, names = report["in_distribution"], report["scores"]
    not_run = [row for row in report["sets"] if "not_run" in row]
    calibration = report["calibration"]
    calibrated = (
        f"Calibrated on {calibration['num']} pictures: {calibration['data']}."
        if calibration
        else "The model has no calibration, so typicality, complexity, residual and joint are missing; `python -m "
        "train calibrate` makes one."
    )
    parts = [
        f"# Out-of-distribution detection: {report['model']}",
        f"In-distribution: {inside['title']}, {inside['num']} pictures, none of them among the first "
        f"{inside['skipped']}, which are for calibrating. {calibrated} Out-of-distribution is the positive class, and "
        "a higher score means more of it; 0.5 is chance, and below it the model finds the other set more likely than "
        "its own." + (PIXELS_SAYING.format(num=inside["skipped"]) if PIXELS in names else ""),
        report["objective"],
        "## AUROC by score",
        _auroc_table(report),
    ]
    if _has_paper(report):
        parts.append(
            "*The paper's*: ICD, Table 3, its own network and training. A user of the reference code reports 0.72 to "
            "0.78 (its issue 15, which does not say for which sets)."
        )
    parts += ["## The energy in more detail", _energy_table(report)]
    if not_run:
        parts += ["## Not run", "\n".join(f"- **{row['title']}**: {row['not_run']}" for row in not_run)]
    parts += [
        "![Histograms of energies](histograms.png)",
        f"`ood.json` has these figures for every score ({', '.join(names)}). Model file {report['fingerprint']}, seed "
        f"{report['seed']}, commit {report['commit']}, {report['machine']}, {report['date']}, {report['seconds']:g} s:",
        f"```sh\n{report['command']}\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _has_paper(report: Mapping[str, Any]) -> bool:
    return any(row["paper_auroc"] for row in report["sets"])


def _auroc_table(report: Mapping[str, Any]) -> str:
    names = report["scores"]
    head, rows = ["set", "n", *names, "the paper's"], []
    for row in report["sets"]:
        num, figures = "not run", [""] * len(names)
        if "detection" in row:
            num, figures = str(row["num"]), [f"{row['detection'][name]['auroc']:.3f}" for name in names]
        rows.append([row["title"], num, *figures, f"{row['paper_auroc']:.2f}" if row["paper_auroc"] else ""])
    for title, values in report["mean_auroc"].items():
        if values:
            rows.append([f"*mean of {title}*", "", *(f"*{values[name]:.3f}*" for name in names), ""])
    if not _has_paper(report):
        return table(head[:-1], [cells[:-1] for cells in rows])
    mean = report["mean_auroc_of_the_papers_sets"]
    figures = [f"{mean[name]:.3f}" for name in names] if mean else [""] * len(names)
    rows.append(["mean of the paper's four", "" if mean else "not all run", *figures, f"{PAPER_MEAN:.2f}"])
    return table(head, rows)


def _energy_table(report: Mapping[str, Any]) -> str:
    inside = report["in_distribution"]
    head = ["set", "data", "median energy", "AUROC", "AUPR-in", "AUPR-out", "FPR at 95 % TPR"]
    rows = [["in-distribution", inside["data"], f"{inside['energy']['median']:.5g}", "", "", "", ""]]
    for row in report["sets"]:
        if "not_run" in row:
            continue
        detection = row["detection"]["energy"]
        figures = [f"{detection[key]:.3f}" for key in ("auroc", "aupr_in", "aupr_out", "fpr95")]
        rows.append([row["title"], row["data"], f"{row['energy']['median']:.5g}", *figures])
    return table(head, rows) + (
        "\n\nFPR at 95 % TPR: the share of in-distribution pictures that are called out when 95 % of the others are. "
        "The areas under precision-recall curves depend on how many pictures there are of each kind."
    )


def histograms(energies: Mapping[str, Tensor]) -> bytes:
    """A PNG with a panel for every set, its energies over those of the first, the in-distribution one."""
    from matplotlib.figure import Figure

    (_, home), *others = energies.items()
    num_rows = max(1, -(-len(others) // COLUMNS))
    figure = Figure(figsize=(4 * COLUMNS, 2.4 * num_rows), layout="constrained")
    axes = figure.subplots(num_rows, COLUMNS, squeeze=False).flatten()
    for axis, (name, away) in zip(axes, others):
        both = torch.cat([home, away]).double()
        # A few far outliers must not squeeze all others into one bar.
        low, high = both.quantile(torch.tensor([0.002, 0.998], dtype=torch.float64)).tolist()
        bounds = (low, high) if high > low else (low - 0.5, low + 0.5)
        # One outline each: a bar for every bin is slow to draw.
        axis.hist(home.numpy(), BINS, range=bounds, density=True, histtype="stepfilled", color="0.6")
        axis.hist(away.numpy(), BINS, range=bounds, density=True, histtype="stepfilled", color="tab:orange", alpha=0.6)
        axis.set_title(name, fontsize=9)
        axis.set_yticks([])
        axis.tick_params(labelsize=7)
    for axis in axes[len(others) :]:
        axis.set_axis_off()
    legend = "energy (grey: in-distribution; orange: the set; density, each panel with its own range)"
    figure.supxlabel(legend, fontsize=9)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
