"""What ``evaluate compose`` found, as a table in Markdown and as a bar chart."""

from math import nan
from pathlib import Path
from typing import Any

from train.evaluate.split import saying
from train.markdown import table

MARKERS: dict[str, dict[str, Any]] = {
    "read_in_real_pictures": {"marker": "o", "ms": 4, "color": "black", "linestyle": ""},
    "read_where_nothing_is_asked": {"marker": "^", "ms": 5, "color": "#9ca3af", "linestyle": ""},
}


def markdown(report: dict[str, Any]) -> str:
    """The report in words and a table."""
    family, rows, choices = report["family"], report["rows"], report["choices"]
    names = list(dict.fromkeys(name for row in rows for name in row.get("read", {})))
    titles = [name if name in choices else f"{name}, mean error" for name in names]
    head = ["asked for", "samples", *titles, "Fréchet distance", "of real ones", "nearest training image"]
    lines = []
    for row in rows:
        distance = row["frechet"] or {}
        floor = next((f"{v:.0f}" for k, v in distance.items() if k.startswith("floor")), "")
        lines.append(
            [
                row["asked"],
                str(row["num"]),
                *_figures(row.get("read"), names, "**"),
                f"{distance['distance']:.0f}" if distance else "",
                floor,
                f"{row['nearest_training_image_mse']:.4f}",
            ]
        )
        if "read" in row:
            nothing, real = (row.get(key) for key in ("read_where_nothing_is_asked", "read_in_real_pictures"))
            lines.append(["· nothing asked", str(rows[0]["num"]), *_figures(nothing, names), "", "", ""])
            lines.append(["· real pictures", str(row.get("num_real", "")), *_figures(real, names), "", "", ""])
    nearest = f"*{report['nearest_training_image_mse_of_test_images']:.4f}*"
    lines.append(["*real pictures, all*", "", *[""] * len(names), "", "", nearest])
    if report["paper"]:
        paper = report["paper"]
        lines.append(
            [
                "*the paper's, all four at once, CelebA-HQ 128*",
                "",
                *(f"*{paper[n]:.2f}*" if n in paper else "" for n in names),
                "",
                "",
                "",
            ]
        )
    rule = (
        "The energies are added as in the paper"
        if report["sum_only"]
        else "The energies are composed as on the page: "
        "their sum, and the unconditional energy with what their weights leave of 1"
    )
    p = report["provenance"]
    return "\n".join(
        [
            f"# Composition: {family}",
            "",
            f"{rule}; each attribute weighs {report['weight']:g}. "
            "A classifier that was trained on real pictures alone reads the samples: of choices the balanced share "
            "that is "
            "read as it was asked for (each value that is asked for counts alike), else the mean error. The same "
            "question "
            "is put to two others: *nothing asked*, samples of the unconditional model, is the level to beat; *real "
            "pictures* are held-out ones that have what was asked for, and more than theirs says that samples "
            "exaggerate, "
            "not that they are better. Of a binary attribute alone both values are asked for in turn, so that a "
            "model that "
            "asks for nothing has about 0.5; together the positive ones are. A rotation's error is in degrees, and of "
            "pictures of which a kind is asked only those of the kind that shows it count.",
            "",
            saying(report["read_on"]),
            "",
            *(f"- *{name}*: {sentence}" for name, sentence in report["objective"].items()),
            "",
            table(head, lines),
            "",
            "The Fréchet distance is on EfficientNet-lite0 features (not an FID), to the real test pictures that "
            "have what "
            "was asked for, and depends on the number of samples; *of real ones* is that of as many such pictures "
            "to the "
            "rest of them. The last column is the median squared error to the nearest training image: far below "
            "that of "
            "real test pictures it would mean memorised ones.",
            "",
            "![Shares read as asked for](compose.png)",
            "",
            *_operators(report["operators"]),
            "The command also draws the first samples of the last row above their nearest training images; that "
            "sheet is "
            "not here, since training pictures are not this project's to pass on.",
            "",
            f"Seed {report['seed']}, {p['machine']}, {p['date']}, commit {p['commit']}, {report['seconds']} s:",
            "",
            f"```sh\n{p['command']}\n```",
            "",
        ]
    )


def _operators(rows: list[dict[str, Any]]) -> list[str]:
    """OR and NOT as a table."""
    if not rows:
        return []
    head = ("asked for", "read as", "share", "where it was not asked or forbidden", "in real pictures that fit")
    lines = []
    for row in rows:
        for name, share in row["read"].items():
            without = f"{row['read_without'][name]:.2f} ({row['without']})"
            real = row["read_in_real_pictures"]
            fit = f"{real[name]:.2f} ({row['num_real']})" if real else ""
            lines.append((row["asked"], name, f"{share:.2f}", without, fit))
    return [
        "One or the other, and one but not the other: shares of samples that are read as each term says. An OR does "
        "what it should where each of its terms has a fair share and nearly all samples have one of them; a NOT where "
        "it lowers the share of what it forbids. A number counts as read within an eighth of its range. Real pictures "
        "are held-out ones that have one of the terms, or the one and not the other, and how many of them there are; "
        "none where many values are asked for.",
        "",
        table(head, lines),
        "",
    ]


def _figures(read: dict[str, float] | None, names: list[str], mark: str = "") -> list[str]:
    return [f"{mark}{read[name]:.3g}{mark}" if read and name in read else "" for name in names]


def bars(path: Path, report: dict[str, Any]) -> None:
    """Of an ``evaluate compose`` report: for each composition what share was read as asked, beside the paper's."""
    from matplotlib.figure import Figure

    rows = [row for row in report["rows"] if row["asked"] != "nothing"]
    shares = [[(k, v) for k, v in row["read"].items() if 0 <= v <= 1 and k in report["choices"]] for row in rows]
    names = list(dict.fromkeys(name for row in shares for name, _ in row))
    # The paper's figures are of its four attributes together; a family may have more.
    judged = next((j for j, row in enumerate(rows) if row["asked"] == " & ".join(report["paper"])), None)
    figure = Figure(figsize=(9, 3.6))
    axes = figure.subplots()
    for i, name in enumerate(names):
        places = [j + (i - len(names) / 2) * 0.8 / len(names) for j, row in enumerate(shares) if name in dict(row)]
        values = [dict(row)[name] for row in shares if name in dict(row)]
        axes.bar(places, values, 0.8 / len(names), label=name, align="edge", color=f"C{i}")
        middles = [place + 0.4 / len(names) for place in places]
        for key, marker in MARKERS.items():
            axes.plot(middles, [(row.get(key) or {}).get(name, nan) for row in rows if name in row["read"]], **marker)
        if name in report["paper"] and judged is not None:
            axes.plot(judged + (i + 0.5 - len(names) / 2) * 0.8 / len(names), report["paper"][name], "k_", ms=14)
    axes.set_xticks(range(len(rows)), [row["asked"].replace(" & ", "\n& ") for row in rows], fontsize=8)
    axes.set_ylim(0, 1.05)
    axes.set_ylabel("share read as asked for")
    title = "dots: real pictures; triangles: where nothing is asked; black lines: the paper's, all four at once"
    axes.set_title(title, fontsize=8)
    axes.legend(fontsize=8, ncols=len(names), loc="lower right")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
