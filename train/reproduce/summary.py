"""``python -m train reproduce summary``: paper and ours side by side, from the reports that are there."""

import json
from pathlib import Path
from typing import Any

from ebm_core.files import write_atomically
from train.markdown import table
from train.reproduce.experiment import Experiment
from train.reproduce.report import README, REPORT, minutes

HEAD = """# The paper's tables and figures, run by this project

One line for each experiment: what *Improved Contrastive Divergence Training of Energy-Based Models* (ICML 2021,
[arXiv:2012.01316](https://arxiv.org/abs/2012.01316)) says, and what came out here. *small* is the same algorithm on a
network and pictures that a CPU carries in minutes: it is after effects, not the paper's figures. An effect counts as
*shown* only over three seeds or more, where the 95 % interval of its margin (how far the figures go its way) is above 0
and the runs that it compares took equal compute; of a shipped model, which was trained once, it is *shown of these
weights* at best. With fewer seeds what was measured stands beside *not shown*. This page is written by
`python -m train reproduce summary` from the JSON in each folder.

"""
COLUMNS = ("experiment", "the paper", "here", "run")


def summarise(experiments: dict[str, Experiment], reports: Path) -> Path:
    """Write ``README.md`` into the folder of reports. Raises ValueError for a report that cannot be read."""
    rows = [_row(experiment, _load(reports / name)) for name, experiment in experiments.items()]
    path = reports / README
    write_atomically(path, f"{HEAD}{table(COLUMNS, rows)}\n".encode())
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


def _row(experiment: Experiment, report: dict[str, Any]) -> tuple[str, ...]:
    if "not_run" in report:
        here, run = f"not run: {report['not_run']}", "–"
        name = experiment.name
    else:
        here = "<br>".join(f"**{c['verdict']}**: {c['measured'][0]}" for c in report["claims"])
        run = f"{report['size']}, {minutes(report['wall_seconds'])}, {report['machine']}, {report['date']}"
        name = f"[{experiment.name}]({experiment.name}/{README})"
    return f"{name}: {experiment.question}", f"{experiment.place}: {experiment.paper}", here, run
