"""A visitor's own detector: normal pictures dropped, a detector fitted, other pictures judged by it. No Gradio here."""

import tempfile
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from app import present
from app.compute import COMPUTE
from app.limits import MAX_CARDS, MAX_PICTURES, PICTURES, read_upload
from app.score_plots import heat_map
from ebm_core.arguments import Bounds
from ebm_core.detector.fit import Fit, FitOptions, Progress, fit
from ebm_core.detector.model import Detector, shared_extractor
from ebm_core.hub import DETECTOR_FILE
from ebm_core.picture_files import Files, left_out_notes, open_zip
from ebm_core.pictures import Picture, PictureError, read_picture

BATCH = 16
PERCENT = Bounds(0, 100, open=True)
SHOW_EVERY = 0.5  # seconds between two updates of the page
STOPPED = object()  # a runner that nothing runs by: what went on ends, and says how it stands


class Judgement(NamedTuple):
    """What a detector says of one picture; ``shown`` are JPEGs by what they are, only of those shown large."""

    picture: Picture
    scores: dict[str, float]
    share: float  # of held-out pictures that score lower, by the detector's method
    shown: dict[str, bytes]


@dataclass
class Entry:
    """One picture to judge, by its file."""

    name: str
    path: Path
    judgement: Judgement | None = None
    problem: str = ""  # why there is none


@dataclass
class Own:
    """What a visitor's detector is made of and says. ``runner`` is the one generator that may go on."""

    normal: list[Path] = field(default_factory=list)
    detector: Detector | None = None
    account: list[str] = field(default_factory=list)  # sentences about the files
    entries: list[Entry] = field(default_factory=list)
    left_out: int = 0  # pictures above the limit
    rate: float = 0.05  # share of held-out pictures that are called unusual too
    folder: tempfile.TemporaryDirectory[str] | None = None  # of the detector's file
    runner: object = None
    queued: bool = False  # Learn was pressed, and its turn has not come
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def begin(self) -> object:
        """A new runner; the one before ends."""
        with self.lock:
            self.runner = object()
            return self.runner

    def close(self) -> None:
        """Nothing is left."""
        with self.lock:
            self.runner, self.detector, self.normal, self.entries = None, None, [], []
            self.queued, self.left_out = False, 0
            if self.folder is not None:
                self.folder.cleanup()
            self.folder = None


def take_normal(own: Own, paths: Sequence[str]) -> str:
    """Normal pictures, or zips of them, were dropped; gives a sentence about all there are."""
    with own.lock:
        own.runner = STOPPED
        have = set(own.normal)
        own.normal += [path for path in map(Path, paths) if path not in have]
    zips = sum(path.suffix.lower() == ".zip" for path in own.normal)
    pictures = len(own.normal) - zips
    parts = [f"{pictures:,} pictures"] * bool(pictures) + [f"{zips} zip{'s' * (zips > 1)}"] * bool(zips)
    return f"**{' and '.join(parts)}** to learn from" if parts else ""


def queue(own: Own) -> None:
    """Learn was pressed: what goes on ends, and it begins when its ``turn`` comes, after those of others."""
    with own.lock:
        own.queued, own.runner = True, STOPPED


def turn(own: Own) -> bool:
    """Whether a Learn may begin; not one that was stopped or forgotten while it waited."""
    with own.lock:
        queued, own.queued = own.queued, False
    return queued


def learn(own: Own, device: str = "cpu") -> Iterator[Progress | Fit]:
    """Fit a detector, with progress; a newer call, ``stop`` or the closing of the tab ends it.

    Raises ValueError, in a sentence, when there are no pictures or too few of them.
    """
    runner = own.begin()
    if not own.normal:
        raise ValueError("There are no pictures to learn from yet: drop a folder or a zip of normal ones.")
    shared_extractor(device)
    made = {"made": "on the page", "date": date.today().isoformat()}
    shown_at = float("-inf")
    with _opened(own.normal) as files:
        steps = fit(files, FitOptions(limits=PICTURES), made, device)
        while own.runner is runner:
            # Each step in its turn with the other visitors' walks.
            result = COMPUTE.submit(_next, steps).result()
            if isinstance(result, Fit):
                with own.lock:
                    if own.runner is not runner:
                        return
                    own.detector = result.detector
                    own.account = [*left_out_notes(files.left_out), *result.account.sentences()]
                    for entry in own.entries:
                        entry.judgement, entry.problem = None, ""
                yield result
                return
            if own.runner is runner and time.monotonic() - shown_at >= SHOW_EVERY:
                shown_at = time.monotonic()
                yield result
        steps.close()


def stop(own: Own) -> bool:
    """What goes on ends; a detector that there was before stays. Whether it was a Learn that still waited."""
    with own.lock:
        queued, own.queued, own.runner = own.queued, False, STOPPED
    return queued


def file_of(own: Own) -> str:
    """The detector as a file to take away. Raises ValueError when there is none."""
    if own.detector is None:
        raise ValueError("There is no detector yet: drop normal pictures and press Learn first.")
    with own.lock:
        if own.folder is None:
            own.folder = tempfile.TemporaryDirectory(prefix="ebm-studio-", ignore_cleanup_errors=True)
    path = Path(own.folder.name) / DETECTOR_FILE
    own.detector.save(path)
    return str(path)


def take(own: Own, paths: Sequence[str] | None) -> None:
    """Pictures to judge were dropped; None for an upload that was cleared while it came."""
    paths = paths or ()
    with own.lock:
        own.runner = None
        room = MAX_PICTURES - len(own.entries)
        own.entries += [Entry(Path(path).name, Path(path)) for path in paths[:room]]
        own.left_out += len(paths[room:])


def set_rate(own: Own, percent: float) -> None:
    """Another false-alarm rate, in percent. Raises ValueError for one that cannot be."""
    own.rate = PERCENT.check(percent, "'False alarms in percent'") / 100


def clear(own: Own) -> None:
    """No pictures to judge."""
    with own.lock:
        own.runner, own.entries, own.left_out = None, [], 0


def judge(own: Own) -> Iterator[str]:
    """Judge what has not been judged yet; yields what goes on, and "" at the end or where it is stopped.

    As ``learn``, it can be ended; it then leaves the page to what took its place.

    Raises ValueError, in a sentence, when there is no detector.
    """
    runner = own.begin()
    detector = own.detector
    if detector is None:
        raise ValueError("There is no detector yet: drop normal pictures and press Learn first.")
    todo = [entry for entry in own.entries if entry.judgement is None and not entry.problem]
    large = {id(entry) for entry in own.entries[:MAX_CARDS]}
    for start in range(0, len(todo), BATCH):
        yield f"**Judging** {start} of {len(todo)}"
        if own.runner is not runner:  # it was stopped while the page showed that
            break
        batch = todo[start : start + BATCH]
        results = _judge_batch(detector, batch, large)
        with own.lock:
            if own.runner is not runner:
                break
            for entry, result in results:
                entry.judgement, entry.problem = (None, result) if isinstance(result, str) else (result, "")
    if own.runner in (runner, STOPPED):
        yield ""


def _judge_batch(detector: Detector, entries: Sequence[Entry], large: set[int]) -> list[tuple[Entry, Judgement | str]]:
    read: list[tuple[Entry, Picture]] = []
    results: list[tuple[Entry, Judgement | str]] = []
    for entry in entries:
        try:
            read.append((entry, read_picture(read_upload(entry.path), detector.info.config.size, 3, PICTURES)))
        except PictureError as error:
            results.append((entry, str(error)))
    if not read:
        return results
    judged = COMPUTE.submit(detector.judge, torch.stack([picture.u8 for _, picture in read])).result()
    shares = detector.calibration.percentile(detector.info.method, judged.scores[detector.info.method])
    for number, (entry, picture) in enumerate(read):
        scores = {name: float(values[number]) for name, values in judged.scores.items()}
        shown = _shown(picture.u8, judged.places[number]) if id(entry) in large else {}
        results.append((entry, Judgement(picture, scores, float(shares[number]), shown)))
    return results


def _shown(u8: Tensor, places: Tensor) -> dict[str, bytes]:
    above = places - places.median()  # what every place has says nothing about where
    where = heat_map(above.clamp(min=0), u8.shape[-1])
    return {"as the detector sees it": present.encode_row(u8[None]), "where it does not belong": where}


def _next(steps: Generator[Progress, None, Fit]) -> Progress | Fit:
    try:
        return next(steps)
    except StopIteration as end:
        result: Fit = end.value
        return result


@contextmanager
def _opened(paths: Sequence[Path]) -> Iterator[Files]:
    """Dropped pictures and the members of dropped zips as one set of files."""
    zips = [path for path in paths if path.suffix.lower() == ".zip"]
    names = {f"{number}/{path.name}": path for number, path in enumerate(paths) if path not in zips}
    loose = Files(list(names), lambda name: read_upload(names[name]), {})
    if not zips:
        yield loose
        return
    if len(zips) > 1 or names:
        raise ValueError("Drop one zip alone, or pictures without a zip: press Forget, and drop them again.")
    try:
        with open_zip(zips[0], PICTURES) as files:
            yield files
    except ValueError as error:  # without the folder that the server keeps it in
        raise ValueError(str(error).replace(str(zips[0]), zips[0].name)) from error
