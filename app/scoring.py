"""What the Score page does: takes pictures, scores them, judges them, pulls one back. No Gradio here."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from app import present
from app.board import Board, Entry, Scored
from app.catalog import Catalog, Model
from app.compute import COMPUTE
from app.examples import EXAMPLES, SAMPLE, draw
from app.limits import MAX_CARDS, MAX_PICTURES, PICTURES, read_upload
from app.score_plots import heat_map
from app.score_view import Shown, show
from app.session import Session, View, resume
from app.verdicts import is_constant, judges_of
from app.walk import Walk
from ebm_core.arguments import Bounds, whole
from ebm_core.calibration import Calibration
from ebm_core.ood import Measured, Needs, measure, needs_of, scores
from ebm_core.pictures import Picture, read_picture
from ebm_core.recipe import MAX_STEPS, Recipe

BATCH = 16  # pictures between two looks at whether somebody still waits; the page's other walks take turns with them
DECODING = threading.BoundedSemaphore(2)  # files at once on the whole page: a large one takes hundreds of megabytes
PERCENT = Bounds(0, 100, open=True)
SHOW_EVERY = 0.7  # seconds between two updates of the page
SAMPLING = "**Scoring**, once the model has walked from noise to a sample of its own"


def take_files(board: Board, paths: Sequence[str] | None) -> None:
    """Files were dropped; those that are there already come once more when others follow them quickly."""
    have = {entry.source for entry in board.entries}
    new = dict.fromkeys(path for path in map(Path, paths or ()) if path not in have)
    board.add(Entry(path.name, path) for path in new)


def number_of(board: Board, path: str) -> int:
    """The number of a file's picture, counted from 1. Raises ValueError, in a sentence, where it has no scores."""
    for number, entry in enumerate(board.entries, 1):
        if entry.source == Path(path):
            if entry.scored is None:
                raise ValueError(f"This picture cannot be pulled back: {entry.problem or 'it has no scores yet'}.")
            return number
    raise ValueError(f"{MAX_PICTURES} pictures are the most at once: press Clear, then send it again.")


def take_examples(board: Board) -> None:
    """The examples, those that are not there yet."""
    have = {entry.source for entry in board.entries}
    board.add(Entry(f"example: {name}", name) for name in EXAMPLES if name not in have)


def take_refused(board: Board, files: Sequence[tuple[str, float]]) -> None:
    """Files ``(name, bytes)`` that the browser did not send, for they are too large."""
    limit = f"the limit is {PICTURES.max_bytes / 2**20:g}: make it smaller"
    board.add(
        Entry(str(name)[:255], None, problem=f"the file has {float(size) / 2**20:.1f} MiB; {limit}")
        for name, size in files[: MAX_PICTURES + 1]
    )


def choose(board: Board, catalog: Catalog, model: str) -> None:
    """Another model: all pictures are to be scored anew. Raises ValueError, in a sentence, when there is none."""
    board.choose(catalog.get(model))


def score(session: Session) -> Iterator[Shown]:
    """Score what has no result yet, results appearing as they come. A newer call, or a change, ends this one."""
    board = session.board
    with board.lock:
        runner = board.runner = object()
        model, calibration = board.model, board.calibration
        large = {id(entry) for entry in board.entries[:MAX_CARDS]}
    assert model is not None

    def wanted() -> bool:
        return board.runner is runner

    todo = [entry for entry in board.entries if not entry.done]
    quick = [entry for entry in todo if entry.source != SAMPLE]
    batches = [quick[i : i + BATCH] for i in range(0, len(quick), BATCH)]
    batches += [[entry] for entry in todo if entry.source == SAMPLE]  # a walk is slow: it comes last
    started, shown_at, done = time.monotonic(), float("-inf"), 0
    for batch in batches:
        now = time.monotonic()
        if now - shown_at >= SHOW_EVERY or batch is batches[-1]:
            shown_at = now
            progress = SAMPLING if batch[0].source == SAMPLE else _progress(done, len(todo), now - started)
            yield show(board, progress, finished=False)
        if not board.record(runner, _score_batch(model, calibration, batch, large, wanted)):
            return
        done += len(batch)
    if wanted():
        yield show(board)


def _progress(done: int, num: int, seconds: float) -> str:
    left = f", about {max(1, round(seconds / done * (num - done)))} s left" if done else ""
    return f"**Scoring** {done} of {num}{left}"


def _score_batch(
    model: Model,
    calibration: Calibration | None,
    entries: Sequence[Entry],
    large: Set[int],
    wanted: Callable[[], bool],
) -> list[tuple[Entry, Scored | str]]:
    """The result for each; a picture that cannot be scored has a sentence and does not harm the others.

    ``large`` are the ids of the entries that are shown large.
    """
    pictures: list[tuple[Entry, Picture]] = []
    results: list[tuple[Entry, Scored | str]] = []
    for entry in entries:
        if not wanted():
            return []
        try:
            picture = _read(entry, model, wanted)
        except ValueError as error:
            results.append((entry, str(error)))
        else:
            pictures += [(entry, picture)] if picture is not None else []
    needs = needs_of(calibration, model.device)
    for (entry, picture), measured in zip(pictures, _measure(model, [p.u8 for _, p in pictures], needs), strict=True):
        if isinstance(measured, str):
            results.append((entry, measured))
            continue
        values = scores(measured, calibration)
        shares = {}
        if calibration is not None:
            telling = [name for name in calibration.quantiles if name in values and not is_constant(calibration, name)]
            shares = {name: calibration.percentile(name, values[name]) for name in telling}
        images = _images(model, picture.u8, measured.heat[0]) if id(entry) in large else {}
        results.append((entry, Scored(picture, _floats(values), _floats(shares), images)))
    return results


def _images(model: Model, u8: Tensor, heat: Tensor) -> dict[str, bytes]:
    """A picture as image files: itself, as its code gives it back where there is one, and its heat map."""
    space = model.space

    def coded() -> Tensor:
        return space.decode(space.encode(u8[None].to(model.device))).cpu()

    images = {"as the model sees it": present.encode_row(u8[None])}
    if space.is_coded:
        decoded = present.encode_row(COMPUTE.submit(coded).result())
        images = {"itself": images["as the model sees it"], "as its code gives it back": decoded}
    return images | {"gradient of its energy": heat_map(heat, space.picture_shape[1])}


def _floats(values: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}


def _read(entry: Entry, model: Model, wanted: Callable[[], bool]) -> Picture | None:
    """An entry's picture as the model takes it; None once it is no longer wanted. Raises ValueError, in a sentence."""
    channels, size, _ = model.space.picture_shape
    if isinstance(entry.source, str):
        u8 = draw(entry.source, model, wanted)
        return None if u8 is None else Picture(u8, ())
    assert entry.source is not None
    data = read_upload(entry.source)
    with DECODING:
        return read_picture(data, size, channels, PICTURES)


def _measure(model: Model, pictures: Sequence[Tensor], needs: Needs) -> list[Measured | str]:
    """Each picture measured, or why it cannot be."""
    if not pictures:
        return []
    try:
        u8 = torch.stack(list(pictures))
        whole = COMPUTE.submit(measure, model.exact, u8, model.space, model.device, needs).result()
    except ValueError as error:
        if len(pictures) == 1:
            return [str(error)]
        return [one for picture in pictures for one in _measure(model, [picture], needs)]
    return [whole.part(i) for i in range(len(pictures))]


def judge(session: Session, name: str, percent: float) -> Shown:
    """Judge by another score, or at another false-alarm rate in percent; no network runs.

    Raises ValueError, in a sentence, for a score or a rate that cannot be.
    """
    board = session.board
    assert board.model is not None
    known = judges_of(board.model, board.calibration).values()
    judges = {judge.name: judge.label for judge in known if not judge.constant}
    if name not in judges:
        raise ValueError(f"'{name}' cannot judge here; choose one of {', '.join(judges.values())}")
    board.judge, board.rate = name, PERCENT.check(percent, "'False alarms in percent'") / 100
    return replace(show(board), choices=None)


def pull_back(session: Session, number: int | None, steps: float) -> Iterator[View]:
    """Langevin dynamics from picture ``number``, counted from 1, by the model's own steps and without transitions.

    Raises ValueError, in a sentence, when there is no such picture or no such walk.
    """
    board = session.board
    entries = board.entries
    scored = entries[number - 1].scored if number is not None and 1 <= number <= len(entries) else None
    if board.model is None or scored is None:
        raise ValueError("Choose a picture that has been scored, then pull it back.")
    model = board.model
    plan = model.info.plan.refining(whole(1, MAX_STEPS).check(steps, "'Langevin steps'"))
    recipe = Recipe(model.name, model.fingerprint, plan, seed=0, num=1)
    # In the precision of the score: the walk's first energy is the one on the card.
    landscape = replace(model.in_precision("float32").landscape, levels=_levels(board))
    session.begin(Walk(landscape, recipe, model.space.encode(scored.picture.u8[None].to(model.device))))
    yield from resume(session)


def _levels(board: Board) -> dict[str, float]:
    if board.calibration is None:
        return {}
    return {
        "unusual above": board.calibration.threshold("energy", board.rate),
        "held-out median": board.calibration.energy_median,
    }
