"""``python -m train reproduce summary``: paper and ours side by side, from the reports that are there."""

import json
from pathlib import Path
from typing import Any

from ebm_core.files import write_atomically
from train.reproduce.experiment import Experiment
from train.reproduce.report import README, REPORT, minutes

HEAD = """# Reports

## The paper's tables and figures, run by this project

What *Improved Contrastive Divergence Training of Energy-Based Models* (ICML 2021,
[arXiv:2012.01316](https://arxiv.org/abs/2012.01316)) says, and what came out here. *small* is the same algorithm on a
network and pictures that a CPU carries in minutes: it is after effects, not the paper's figures. An effect counts as
*shown* only over three seeds or more, where the 95 % interval of its margin (how far the figures go its way) is above
0 and the runs that it compares took equal compute; of a shipped model, which was trained once, it is *shown of these
weights* at best. With fewer seeds what was measured stands beside *not shown*. Figures are those of the first seed;
each report has those of all. This page is written by `python -m train reproduce summary` from the JSON in each
folder.

"""


def summarise(experiments: dict[str, Experiment], reports: Path) -> Path:
    """Write ``README.md`` into the folder of reports. Raises ValueError for a report that cannot be read."""
    loaded = {name: _load(reports / name) for name in experiments}
    claims = [claim for report in loaded.values() for claim in report.get("claims", ())]
    shown = sum(claim["shown"] for claim in claims)
    page = f"{HEAD}Of {len(claims)} effects {shown} are shown.\n"
    page += "".join(_section(experiment, loaded[name]) for name, experiment in experiments.items())
    page += _others(reports, set(experiments))
    path = reports / README
    write_atomically(path, page.encode())
    return path


def _load(folder: Path) -> dict[str, Any]:
    path = folder / REPORT
    if not path.is_file():
        return {"not_run": f"`python -m train reproduce {folder.name}` has not been called"}
    try:
        report: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not a report ({error}); delete it and run the experiment again") from error
    return report


def _section(experiment: Experiment, report: dict[str, Any]) -> str:
    name = experiment.name
    said = f"{experiment.question}\n\n**The paper** ({experiment.place}): {experiment.paper}\n\n"
    if "not_run" in report:
        return f"\n### {name}\n\n{said}Not run: {report['not_run']}\n"
    here = "".join(f"- **{c['verdict']}**: {c['effect']}. {c['measured'][0]}\n" for c in report["claims"])
    run = f"{report['size']}, {minutes(report['wall_seconds'])}, {report['machine']}, {report['date']}"
    return f"\n### [{name}]({name}/{README})\n\n{said}{here}\n*{run}*\n"


def _others(reports: Path, named: set[str]) -> str:
    """Links to the other reports of the folder, by the first line of each."""
    pages = [page for page in sorted(reports.glob(f"*/{README}")) if page.parent.name not in named]
    lines = [f"- [{page.parent.name}]({page.parent.name}/{README}): {_title(page)}\n" for page in pages]
    return f"\n## Of models and methods\n\n{''.join(lines)}" if lines else ""


def _title(page: Path) -> str:
    return page.read_text().partition("\n")[0].lstrip("# ")
