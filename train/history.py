"""What a model was made of: the parts of its training, over resumes, machines and models that runs began with."""

import datetime
import json
import time
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from ebm_core.checkpoint import read_info
from ebm_core.files import write_atomically
from ebm_core.hub import find_model
from ebm_core.training import iterations_of
from train.config import TrainConfig
from train.markdown import table
from train.parallel import Processes
from train.provenance import commit, machine

HISTORY = "history.json"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Part:
    """Iterations of one run by one commit on one machine."""

    run: str  # its name
    iterations: int
    contrastive: int  # of them by improved contrastive divergence; the others matched
    pictures: int | None  # drawn from the data; None where nobody counted
    core_hours: float | None  # of processor time, in all processes
    hours: float | None  # by the clock
    machine: str
    commit: str
    date: str  # of its last iteration
    processes: int = 1

    @property
    def made_by(self) -> tuple[str, ...]:
        """What one part has in common."""
        return self.run, self.machine, self.commit, str(self.processes)


class RunHistory:
    """Notes the parts of a run in its folder. ``save`` is collective: all processes call it alike.

    A run goes on with its last part while commit and machine stay the same.
    """

    def __init__(self, run: Path, config: TrainConfig, iteration: int, processes: Processes) -> None:
        self.run, self.config, self.processes, self._begin = run, config, processes, iteration
        self._past = parts_of_run(run, config, iteration)
        today = datetime.date.today().isoformat()
        self._open = Part(run.name, 0, 0, 0, 0.0, 0.0, machine(), commit(), today, processes.size)
        if iteration and self._past and self._past[-1].made_by == self._open.made_by:
            self._open = self._past.pop()
        self._started = _clocks()

    def save(self, iteration: int) -> None:
        """Write what was done until ``iteration``."""
        core, clock = (now - then for now, then in zip(_clocks(), self._started, strict=True))
        core = sum(each["core"] for each in self.processes.gather({"core": core}))
        if not self.processes.is_first:
            return
        part, warm = self._open, self.config.warm_start.iterations
        pictures = pictures_seen(self.config, iteration) - pictures_seen(self.config, self._begin)
        part = replace(
            part,
            iterations=part.iterations + iteration - self._begin,
            contrastive=part.contrastive + max(0, iteration - warm) - max(0, self._begin - warm),
            pictures=(part.pictures or 0) + pictures,
            core_hours=round((part.core_hours or 0) + core / 3600, 5),
            hours=round((part.hours or 0) + clock / 3600, 5),
            date=datetime.date.today().isoformat(),
        )
        parts = [*self._past, part] if part.iterations else self._past
        write_atomically(self.run / HISTORY, (json.dumps([asdict(each) for each in parts], indent=1) + "\n").encode())


def pictures_seen(config: TrainConfig, iteration: int) -> int:
    """How many pictures a run of this config has drawn from the data before ``iteration``, in all processes."""
    warm, icd = config.warm_start, config.icd
    matched = min(iteration, warm.iterations)
    each = icd.batch_size + (icd.matching_batch if icd.matching_weight else 0)
    return matched * warm.batch_size + (iteration - matched) * each


def parts_of_run(run: Path, config: TrainConfig, iteration: int) -> list[Part]:
    """What a run at ``iteration`` is made of: its folder's note, beginning with the parts of the model that it started
    from. Of a folder without a note, by an older version of this program, little is known."""
    path = run / HISTORY
    if iteration and path.is_file():
        return parts_of({"parts": json.loads(path.read_text())})
    own = [_uncounted(run.name, iteration, min(iteration, config.warm_start.iterations))] if iteration else []
    return inherited(config.start_from) + own


def inherited(model: str) -> list[Part]:
    """The parts of the model that a run starts from; of an older file one part, of which little is known."""
    return parts_of(read_info(find_model(model)).provenance, model) if model else []


def parts_of(provenance: dict[str, Any], model: str = "") -> list[Part]:
    """The parts in a model file's provenance, and where it has none what it says of its iterations."""
    names = {field.name for field in fields(Part)}
    if "parts" in provenance:
        return [Part(**{key: value for key, value in part.items() if key in names}) for part in provenance["parts"]]
    if "iteration" not in provenance:
        return []
    part = _uncounted(model, provenance["iteration"], provenance.get("warm_start_iterations", provenance["iteration"]))
    known: dict[str, Any] = {key: str(provenance[key]) for key in ("machine", "commit", "date") if key in provenance}
    return [replace(part, **known)]


def objective(provenance: dict[str, Any]) -> str:
    """A sentence on how much of a model's training was contrastive divergence; empty where its file does not say."""
    iterations = iterations_of(provenance)
    if iterations is None:
        return ""
    total, contrastive = iterations
    begun = provenance.get("config", {}).get("start_from") if "parts" not in provenance else ""
    since = f" since it started from `{Path(begun).name}`" if begun else ""
    if not contrastive:
        return (
            f"None of this model's {total:,} iterations{since} was contrastive divergence: it was trained by matching "
            "alone (the warm start), so its figures say nothing about the paper's objective."
        )
    return (
        f"{contrastive:,} of this model's {total:,} iterations{since} ({contrastive / total:.1%}) were improved "
        "contrastive divergence, the others matching (the warm start): its figures are more those of matching than of "
        "the paper's objective."
    )


def describe_training(parts: list[Part]) -> str:
    """The parts in Markdown, with their sums."""
    head = ["run", "iterations", "of them ICD", "pictures", "core-hours", "hours", "machine", "commit", "date"]
    rows = [
        [
            part.run,
            f"{part.iterations:,}",
            f"{part.contrastive:,}",
            _number(part.pictures, ","),
            _number(part.core_hours, ".2f"),
            _number(part.hours, ".2f"),
            part.machine + (f", {part.processes} processes" if part.processes > 1 else ""),
            part.commit,
            part.date,
        ]
        for part in parts
    ]
    if len(parts) > 1:
        rows.append(
            [
                "**all**",
                f"{_sum(parts, 'iterations'):,}",
                f"{_sum(parts, 'contrastive'):,}",
                _number(_sum(parts, "pictures"), ","),
                _number(_sum(parts, "core_hours"), ".2f"),
                _number(_sum(parts, "hours"), ".2f"),
                "",
                "",
                "",
            ]
        )
    return table(head, rows)


def _sum(parts: list[Part], name: str) -> Any:
    values = [getattr(part, name) for part in parts]
    return None if None in values else sum(values)


def _number(value: float | None, form: str) -> str:
    return "not counted" if value is None else f"{value:{form}}"


def _uncounted(run: str, iteration: int, matched: int) -> Part:
    return Part(run, iteration, iteration - matched, None, None, None, UNKNOWN, UNKNOWN, UNKNOWN)


def _clocks() -> tuple[float, float]:
    return time.process_time(), time.monotonic()
