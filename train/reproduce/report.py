"""From findings to ``report.json``, its figure and pictures, and a README that only repeats the JSON."""

import json
import math
from pathlib import Path
from typing import Any

from ebm_core.config import to_dict
from ebm_core.files import write_atomically
from ebm_core.images import encode
from train.reproduce.experiment import Experiment, Findings
from train.reproduce.lab import Lab

REPORT, FIGURE, README = "report.json", "figure.png", "README.md"
DPI = 100


def write_report(
    experiment: Experiment, lab: Lab, settings: Any, findings: Findings, command: str, size: str
) -> dict[str, Any]:
    """Write the folder of one experiment and give what is in its JSON."""
    pictures = {}
    for number, (caption, picture) in enumerate(findings.pictures.items(), 1):
        pictures[f"pictures-{number}.png"] = caption
        write_atomically(lab.out / f"pictures-{number}.png", encode(picture, "PNG", optimize=True))
    findings.figure.savefig(_made(lab.out) / FIGURE, dpi=DPI, bbox_inches="tight")
    seconds = sum(piece["seconds"] for piece in lab.pieces.values())
    report = {
        **_about(experiment),
        "size": size,
        "command": command,
        "seed": settings.seed,
        "wall_seconds": round(seconds, 1),
        **{key: _all_of(lab, key) for key in ("commit", "machine", "date")},
        "settings": to_dict(settings),
        "table": findings.table,
        "claims": [
            {"effect": claim.effect, "shows": bool(claim.shows), "measured": claim.measured}
            for claim in findings.claims
        ],
        "notes": findings.notes,
        "pictures": pictures,
        "curves": findings.curves,
        "pieces": lab.pieces,
    }
    _write(lab.out, report)
    return report


def write_not_run(experiment: Experiment, out: Path, reason: str) -> None:
    """Say in the folder why there are no figures; a report that has some stays."""
    path = out / REPORT
    if not path.is_file() or "not_run" in json.loads(path.read_text()):
        _write(out, {**_about(experiment), "not_run": reason})


def _about(experiment: Experiment) -> dict[str, str]:
    return {
        "name": experiment.name, "place": experiment.place, "question": experiment.question, "paper": experiment.paper
    }  # fmt: skip


def _all_of(lab: Lab, key: str) -> str:
    """The one value of all pieces of work, or all values that they have."""
    return ", ".join(dict.fromkeys(piece[key] for piece in lab.pieces.values()))


def _write(out: Path, report: dict[str, Any]) -> None:
    text = json.dumps(finite(report), indent=1, allow_nan=False)
    write_atomically(out / REPORT, (text + "\n").encode())
    write_atomically(out / README, readme(report).encode())


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def finite(value: Any) -> Any:
    """The same plain containers with None for numbers that are not finite, which JSON cannot hold."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def readme(report: dict[str, Any]) -> str:
    """The report of one experiment for people."""
    lines = [f"# {report['name']}", "", report["question"], "", f"**The paper** ({report['place']}): {report['paper']}"]
    if "not_run" in report:
        return "\n".join([*lines, "", f"**Here**: not run: {report['not_run']}", ""])
    lines += ["", f"**Here**, at the size *{report['size']}*:", ""]
    lines += [f"- {mark(claim['shows'])}: {claim['effect']}. {claim['measured']}" for claim in report["claims"]]
    lines += ["", *table(report["table"]), "", f"![{report['question']}]({FIGURE})", ""]
    for file, caption in report["pictures"].items():
        lines += [f"![{caption}]({file})", "", f"*{caption}*", ""]
    if report["notes"]:
        lines += ["To be read with it:", "", *(f"- {note}" for note in report["notes"]), ""]
    lines += [
        "```sh", report["command"], "```", "",
        f"{minutes(report['wall_seconds'])} on {report['machine']}; seed {report['seed']}, commit {report['commit']}, "
        f"{report['date']}. All figures are in [{REPORT}]({REPORT}).", "",
    ]  # fmt: skip
    return "\n".join(lines)


def mark(shows: bool) -> str:
    return "**shows**" if shows else "**does not show**"


def minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Rows as Markdown; a row without one of the columns has a dash there."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return lines + ["| " + " | ".join(_cell(row.get(column)) for column in columns) + " |" for row in rows]


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
