"""From findings to ``report.json``, its figure and pictures, and a README that only repeats the JSON."""

import json
import math
from pathlib import Path
from typing import Any

from ebm_core.config import to_dict
from ebm_core.files import write_atomically
from ebm_core.images import encode
from train.markdown import table
from train.provenance import portable
from train.reproduce.experiment import Experiment, Findings
from train.reproduce.lab import Lab
from train.reproduce.verdicts import verdict

REPORT, FIGURE, README = "report.json", "figure.png", "README.md"
DPI = 100


def write_report(
    experiment: Experiment, labs: dict[int, Lab], settings: Any, findings: dict[int, Findings], command: str, size: str
) -> dict[str, Any]:
    """Write the folder of one experiment and give what is in its JSON.

    Figure, pictures, curves and notes are those of the first seed; verdicts are of all seeds together.
    """
    lab, first = next(iter(labs.values())), next(iter(findings.values()))
    pictures = {}
    for number, (caption, picture) in enumerate(first.pictures.items(), 1):
        pictures[f"pictures-{number}.png"] = caption
        write_atomically(lab.out / f"pictures-{number}.png", encode(picture, "PNG", optimize=True))
    lab.out.mkdir(parents=True, exist_ok=True)
    first.figure.savefig(lab.out / FIGURE, dpi=DPI, bbox_inches="tight")
    pieces = {f"seed {seed}: {name}": piece for seed, each in labs.items() for name, piece in each.pieces.items()}
    seconds = sum(piece["seconds"] for piece in pieces.values())
    report = {
        **_about(experiment),
        "size": size,
        "command": command,
        "seed": settings.seed,
        "seeds": list(findings),
        "wall_seconds": round(seconds, 1),
        **{key: _all_of(pieces, key) for key in ("commit", "machine", "date")},
        "settings": to_dict(settings),
        "table": first.table,
        "tables_of_other_seeds": {str(seed): each.table for seed, each in findings.items() if each is not first},
        "claims": _judgements(list(findings.values())),
        "notes": first.notes,
        "pictures": pictures,
        "curves": first.curves,
        "pieces": pieces,
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
        "name": experiment.name,
        "place": experiment.place,
        "question": experiment.question,
        "paper": experiment.paper,
    }


def _judgements(findings: list[Findings]) -> list[dict[str, Any]]:
    """The claims of the first seed, each with its margins in all seeds and what they show together."""
    by_effect = [{claim.effect: claim for claim in each.claims} for each in findings]
    judgements = []
    for effect, claim in by_effect[0].items():
        # A seed that lacks the claim, for its run ended early, counts as one without numbers.
        margins = [claims[effect].margin if effect in claims else -math.inf for claims in by_effect]
        judgement = verdict(margins, claim.compute, claim.one_model)
        judgements.append(
            {
                "effect": effect,
                "shown": judgement.shown,
                "verdict": judgement.words,
                "margins": margins,
                "interval": judgement.interval,
                "compute": claim.compute,
                "measured": [claims[effect].measured for claims in by_effect if effect in claims],
            }
        )
    return judgements


def _all_of(pieces: dict[str, dict[str, Any]], key: str) -> str:
    """The one value of all pieces of work, or all values that they have."""
    return ", ".join(dict.fromkeys(piece[key] for piece in pieces.values()))


def _write(out: Path, report: dict[str, Any]) -> None:
    report = portable(finite(report))
    text = json.dumps(report, indent=1, allow_nan=False)
    write_atomically(out / REPORT, (text + "\n").encode())
    write_atomically(out / README, readme(report).encode())


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
    lines += [f"- **{c['verdict']}**: {c['effect']}. {' / '.join(c['measured'])}" for c in report["claims"]]
    lines += ["", table_of(report["table"]), "", f"![{report['question']}]({FIGURE})", ""]
    for file, caption in report["pictures"].items():
        lines += [f"![{caption}]({file})", "", f"*{caption}*", ""]
    if report["notes"]:
        lines += ["To be read with it:", "", *(f"- {note}" for note in report["notes"]), ""]
    lines += [
        "```sh",
        report["command"],
        "```",
        "",
        f"{minutes(report['wall_seconds'])} on {report['machine']}; {_seeds(report['seeds'])}, "
        f"commit {report['commit']}, {report['date']}. All figures are in [{REPORT}]({REPORT}).",
        "",
    ]
    return "\n".join(lines)


def _seeds(seeds: list[int]) -> str:
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    return f"seeds {', '.join(map(str, seeds))} (table, figure and pictures are those of seed {seeds[0]})"


def minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def table_of(rows: list[dict[str, Any]]) -> str:
    """Rows as Markdown; a row without one of the columns has a dash there."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return table(columns, ([_cell(row.get(column)) for column in columns] for row in rows))


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
