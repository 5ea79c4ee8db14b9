"""The pictures of one Score page and what is known about them so far. No network and no Gradio here."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from app.catalog import Model
from app.limits import MAX_PICTURES
from ebm_core.calibration import Calibration, open_calibration
from ebm_core.pictures import Picture


@dataclass
class Scored:
    """What a model says of one picture; scores and percentiles (0 to 1, only calibrated ones) by name."""

    picture: Picture
    scores: dict[str, float]
    percentiles: dict[str, float]
    shown: dict[str, bytes]  # by what they are the picture and what belongs to it; only for those shown large


@dataclass
class Entry:
    """One picture: a file, an example by its name, or (None) a file that never left the browser."""

    name: str
    source: Path | str | None
    scored: Scored | None = None
    problem: str = ""  # why it has no scores

    @property
    def done(self) -> bool:
        return self.scored is not None or bool(self.problem)


@dataclass
class Board:
    """All that a Score page shows. ``runner`` is the one generator that may add to it.

    Whatever changes what is to be scored ends the runner; the next one goes on with what has no result yet.
    """

    entries: list[Entry] = field(default_factory=list)
    left_out: int = 0  # files above the limit since the last clearing
    model: Model | None = None
    calibration: Calibration | None = None
    problem: str = ""  # why there is no calibration although the model has one
    judge: str = "energy"  # the score that judges
    rate: float = 0.05  # share of held-out pictures that are called unusual too
    runner: object = None
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, entries: Iterable[Entry]) -> None:
        """Take up more pictures, as many as the limit leaves room for."""
        with self.lock:
            self.runner = None
            new = list(entries)
            room = MAX_PICTURES - len(self.entries)
            self.entries += new[:room]
            self.left_out += len(new[room:])

    def clear(self) -> None:
        """No pictures."""
        with self.lock:
            self.runner, self.entries, self.left_out = None, [], 0

    def choose(self, model: Model) -> None:
        """What another model said is forgotten: energies compare only within one."""
        with self.lock:
            if self.model is not None and (self.model.name, self.model.fingerprint) == (model.name, model.fingerprint):
                return
            self.runner, self.model, self.calibration, self.problem = None, model, None, ""
            try:
                self.calibration = open_calibration(model.path, model.info)
            except ValueError as error:
                self.problem = str(error)
            self.judge = self.calibration.judge if self.calibration else "energy"
            self.entries = [e if e.source is None else Entry(e.name, e.source) for e in self.entries]

    def record(self, runner: object, results: Iterable[tuple[Entry, Scored | str]]) -> bool:
        """Write results down, unless the runner has been ended. Whether it has not."""
        with self.lock:
            if self.runner is not runner:
                return False
            for entry, result in results:
                if isinstance(result, str):
                    entry.problem = result
                else:
                    entry.scored = result
            return True
