"""What ``evaluate compose`` found, as a table in Markdown and as a bar chart."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # after the choice of a backend that needs no display


def markdown(report: dict[str, Any]) -> str:
    """The report in words and a table."""
    family, rows, choices = report["family"], report["rows"], report["choices"]
    names = list(dict.fromkeys(name for row in rows for name in row["read"]))
    told = [name if name in choices else f"{name}, mean error" for name in names]
    head = ["asked for", "samples", *told, "Fréchet distance", "of real ones", "nearest training image"]
    table = [head, ["---"] * len(head)]
    for row in rows:
        distance = row["frechet"] or {}
        floor = next((f"{v:.0f}" for k, v in distance.items() if k.startswith("floor")), "")
        figures = [f"{row['read'][n]:.3g}" if n in row["read"] else "" for n in names]
        table.append([row["asked"], str(row["num"]), *figures, f"{distance['distance']:.0f}" if distance else "", floor,
                      f"{row['nearest_training_image_mse']:.4f}"])  # fmt: skip
    real = report["reader_on_real_test_images"]
    table.append(["*the reader on real test pictures*", "", *(f"*{real[n]:.3g}*" if n in real else "" for n in names),
                  "", "", f"*{report['nearest_training_image_mse_of_test_images']:.4f}*"])  # fmt: skip
    if report["paper"]:
        paper = report["paper"]
        table.append(["*the paper's, all four at once, CelebA-HQ 128*", "",
                      *(f"*{paper[n]:.2f}*" if n in paper else "" for n in names), "", "", ""])  # fmt: skip
    rule = (
        "The energies are added as in the paper" if report["sum_only"] else "The energies are composed as on the page: "
        "their sum, and the unconditional energy with what their weights leave of 1"
    )
    p = report["provenance"]
    return "\n".join([
        f"# Composition: {family}", "",
        f"{rule}; each attribute weighs {report['weight']:g}. "
        "A classifier that was trained on real pictures alone reads the samples: of choices the share that is read as "
        "it was asked for, else the mean error. In the row *nothing* the unconditional model was asked for nothing and "
        "is judged by what the last row asks for: that is the level to beat. Of a binary attribute alone both values "
        "are asked for in turn; together the positive ones are. A rotation's error is in degrees, and of pictures of "
        "which a kind is asked only those of the kind that shows it count.", "",
        *("| " + " | ".join(line) + " |" for line in table), "",
        "The Fréchet distance is on EfficientNet-lite0 features (not an FID), to the real test pictures that have what "
        "was asked for, and depends on the number of samples; *of real ones* is that of as many such pictures to the "
        "rest of them. The last column is the median squared error to the nearest training image: far below that of "
        "real test pictures it would mean memorised ones.", "",
        "![Shares read as asked for](compose.png)", "",
        *_operators(report["operators"]),
        "The command also draws the first samples of the last row above their nearest training images; that sheet is "
        "not here, since training pictures are not this project's to pass on.", "",
        f"Seed {report['seed']}, {p['machine']}, {p['date']}, commit {p['commit']}, {report['seconds']} s:", "",
        f"```sh\n{p['command']}\n```", "",
    ])  # fmt: skip


def _operators(rows: list[dict[str, Any]]) -> list[str]:
    """OR and NOT as a table."""
    if not rows:
        return []
    table = ["| asked for | read as | share | where it was not asked or forbidden |", "|---|---|---|---|"]
    for row in rows:
        for name, share in row["read"].items():
            without = f"{row['read_without'][name]:.2f} ({row['without']})"
            table.append(f"| {row['asked']} | {name} | {share:.2f} | {without} |")
    return [
        "One or the other, and one but not the other: shares of samples that are read as each term says. An OR does "
        "what it should where each of its terms has a fair share and nearly all samples have one of them; a NOT where "
        "it lowers the share of what it forbids. A number counts as read within an eighth of its range.",
        "", *table, "",
    ]  # fmt: skip


def bars(path: Path, report: dict[str, Any]) -> None:
    """Of an ``evaluate compose`` report: for each composition what share was read as asked, beside the paper's."""
    rows = [row for row in report["rows"] if row["asked"] != "nothing"]
    nothing = next(row["read"] for row in report["rows"] if row["asked"] == "nothing")
    shares = [[(k, v) for k, v in row["read"].items() if 0 <= v <= 1 and k in report["choices"]] for row in rows]
    names = list(dict.fromkeys(name for row in shares for name, _ in row))
    # The paper's figures are of its four attributes together; a family may have more.
    judged = next((j for j, row in enumerate(rows) if row["asked"] == " & ".join(report["paper"])), None)
    figure, axes = plt.subplots(figsize=(9, 3.6))
    for i, name in enumerate(names):
        places = [j + (i - len(names) / 2) * 0.8 / len(names) for j, row in enumerate(shares) if name in dict(row)]
        values = [dict(row)[name] for row in shares if name in dict(row)]
        axes.bar(places, values, 0.8 / len(names), label=name, align="edge", color=f"C{i}")
        if name in nothing:
            axes.axhline(nothing[name], color=f"C{i}", linewidth=0.8, linestyle=":")
        if name in report["paper"] and judged is not None:
            axes.plot(judged + (i + 0.5 - len(names) / 2) * 0.8 / len(names), report["paper"][name], "k_", ms=14)
    axes.set_xticks(range(len(rows)), [row["asked"].replace(" & ", "\n& ") for row in rows], fontsize=8)
    axes.set_ylim(0, 1.05)
    axes.set_ylabel("share read as asked for")
    axes.set_title("dotted: where nothing is asked; black marks: the paper's, all four at once", fontsize=8)
    axes.legend(fontsize=8, ncols=len(names), loc="lower right")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
