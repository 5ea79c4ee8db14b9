"""What one visitor has of a tab: a walk, watched, stopped and continued, and its files. No Gradio here."""

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

import plotly.graph_objects as go

from app import numbers, present
from app.board import Board
from app.catalog import Catalog
from app.limits import read_upload
from app.line import PLACES, in_words
from app.live import Live
from app.own import Own
from app.walk import Walk
from ebm_core import images
from ebm_core.recipe import MAX_SEED, Recipe, to_png
from ebm_core.restore import Restored, restore

if TYPE_CHECKING:
    from app.editing import Edit

FRAME_INTERVAL = 0.1  # seconds: at most ten frames a second ...
DRAWING_SHARE = 0.05  # ... and drawing them takes no more than this share of one core from the chain
PLOT_INTERVAL = 0.6
FIRST_LOOK, LINE_LOOK = 0.02, 0.2  # seconds between two looks at a walk that has no picture yet, and at one in line
IN_LINE = (
    "{places} walks are on, which is as many as go at once. You are <b>{number} in line</b>: yours begins by itself. "
    "<b>Stop</b> takes you out."
)
MAX_FILM_FRAMES = 40  # noise compresses badly: a film of 16 chains has about two megabytes
MAX_FILM_PICTURES = 256  # that must be decoded for a film, about three seconds of one core


@dataclass
class Result:
    """What is left of a walk when it ends or pauses: files that a person can take away."""

    gallery: list[tuple[str, str]]  # PNG file and caption, lowest energy first
    grid: str
    csv: str  # the energies
    json: str
    zip: str  # all of the pictures
    film: str = ""  # "" = still to be made


@dataclass
class View:
    """One update of the page; None leaves a part as it is."""

    phase: str  # waiting, running, stopped, finished
    status: str
    frame: bytes | None = None
    plot: go.Figure | None = None
    result: Result | None = None
    num_frames: int = 0
    smooth: bool = False  # how its pictures are to be enlarged
    progress: float | None = None  # how much of the walk is done, 0 to 1, while it is on
    note: str = ""  # HTML in place of a picture


class Session:
    """One browser tab: its walk and its files. Closing it stops the walk and removes both.

    No dataclass: Gradio would take it to pieces.
    """

    def __init__(self) -> None:
        self.walk: Walk | None = None
        self.last_seed: int | None = None
        self.restored: Recipe | None = None  # of a dropped PNG; made as it stands while the controls say what it says
        self.folder: tempfile.TemporaryDirectory[str] | None = None
        self.viewer: object = None  # the one generator that may show the walk
        self.matrix: object = None  # the one generator that may fill the composing page's matrix
        self.board = Board()  # the scoring page's pictures
        self.own = Own()  # its detector of the visitor's own
        self.picture: bytes | None = None  # the editing page's, as a file
        self.asking: object = None  # the one call that may put an example there
        self.edit: Edit | None = None  # what its last walk was asked for

    def __deepcopy__(self, memo: dict[int, object]) -> "Session":
        """A new one: a walk is nobody else's."""
        return Session()

    def begin(self, walk: Walk) -> None:
        """Take up a new walk; the one before ends at its next step."""
        self._drop_walk()
        self.walk, self.last_seed = walk, walk.recipe.seed
        self.folder = tempfile.TemporaryDirectory(prefix="ebm-studio-", ignore_cleanup_errors=True)

    def rest(self) -> None:
        """Nobody waits for what runs: it ends at its next step, and keeps what there is."""
        if self.walk is not None:
            self.walk.stop()
        self.matrix = self.asking = self.board.runner = self.own.runner = None
        self.own.queued = False

    def close(self) -> None:
        """Stop what runs and free its memory and files."""
        self._drop_walk()
        self.board.clear()
        self.own.close()
        self.picture = self.asking = None

    def _drop_walk(self) -> None:
        if self.walk is not None:
            self.walk.stop()
        if self.folder is not None:
            self.folder.cleanup()
        self.walk = self.folder = self.viewer = self.matrix = None


def resume(session: Session, *, every_look: bool = False) -> Iterator[View]:
    """Continue: exactly where the walk was stopped. Raises ValueError when there is none.

    With ``every_look`` there is a view for each look at the line too. The walk goes its own pace in its own thread;
    this only looks at it now and then, so a frame that would come late is never made.
    """
    walk = session.walk
    if walk is None:
        raise ValueError("There is no chain to continue: press Sample first.")
    viewer = session.viewer = object()
    walk.go_on()
    yield from in_line(walk, lambda: session.viewer is viewer, every_look=every_look)
    live, steps = Live(walk), walk.recipe.plan.num_steps
    started, first_step = time.monotonic(), walk.state.step if walk.state else 0
    pause, next_plot = 0.0, started + PLOT_INTERVAL  # the first frame waits for no plot
    while walk.wait(pause):
        if session.viewer is not viewer:
            return  # the tab began another walk, was closed, or looks at this one anew
        state = walk.state
        if state is None:
            pause = FIRST_LOOK
            continue
        now = time.monotonic()
        plot = None
        if now >= next_plot:
            plot = _plot(walk)
        frame = live.frame(DRAWING_SHARE)
        drawing = time.monotonic() - now - live.decoding
        live.spent += drawing
        if plot is not None:
            next_plot = now + max(PLOT_INTERVAL, drawing / DRAWING_SHARE)
        # Where pictures must be decoded, half of the share is left for that.
        pause = max(FRAME_INTERVAL - drawing, drawing / DRAWING_SHARE * (2 if walk.is_coded else 1))
        done = state.step - first_step
        left = (now - started) / done * (steps - state.step) if done else None
        status = present.status(walk.recipe.plan, state, left, "Walking")
        yield View("running", status, frame, plot, smooth=walk.is_coded, progress=state.step / steps)
    if session.viewer is not viewer:
        return
    if walk.state is None:
        if walk.error is not None:
            raise walk.error
        yield View("stopped", "**Stopped** before it began", note="Out of the line. <b>Continue</b> joins it again.")
        return
    ended = _ended(walk)
    yield ended  # at once; the files take a moment, and the film longer
    with suppress(FileNotFoundError):  # the folder is gone: another walk began, or the tab was closed
        for result in _save(session, walk):
            if session.viewer is not viewer:
                return
            yield replace(ended, result=result, num_frames=len(walk.frames()))


def in_line(walk: Walk, wanted: Callable[[], bool], *, every_look: bool = False) -> Iterator[View]:
    """What a person sees while a walk waits for its turn, as long as it is ``wanted``.

    A view for each new place, or for ``every_look``: who looks at another walk by turns must not wait for this one.
    """
    last = 0
    while (place := walk.place) and wanted():
        if place != last or every_look:
            last, number = place, in_words(place)
            note = "" if walk.state else IN_LINE.format(places=PLACES, number=number)
            yield View("waiting", f"**{number.capitalize()} in line** · others walk, yours comes next", note=note)
        walk.wait(LINE_LOOK)


def stop(session: Session) -> None:
    """Stop: the walk ends after its present step and keeps everything."""
    if session.walk is not None:
        session.walk.stop()


def scrub(session: Session, position: int) -> View:
    """A recorded frame of the walk."""
    walk = session.walk
    frames = walk.frames() if walk else []
    if walk is None or not frames:
        raise ValueError("There is no walk to look through yet: press Sample first.")
    step, packed = frames[min(max(0, int(position)), len(frames) - 1)]
    status = f"**Looking back** · step {step} of {frames[-1][0]}"
    return View("looking back", status, present.encode_frame(walk.pictures_of(packed)), smooth=walk.is_coded)


def new_seed() -> int:
    """The dice."""
    return random.SystemRandom().randint(0, MAX_SEED)


def read_recipe(catalog: Catalog, path: str) -> Restored:
    """What is in a file that was dropped on a page. Raises ValueError, in a sentence, when it cannot be used here."""
    return restore(read_upload(path), catalog.weights, catalog.device)


def _ended(walk: Walk) -> View:
    assert walk.state is not None
    plan, phase = walk.recipe.plan, "finished" if walk.finished else "stopped"
    words = phase.capitalize() if walk.error is None else f"Stopped: {walk.error}"
    return View(
        phase=phase,
        status=present.status(plan, walk.state, None, words),
        frame=present.encode_frame(walk.pictures()),
        plot=_plot(walk),
        smooth=walk.is_coded,
    )


def _plot(walk: Walk) -> go.Figure:
    return present.energy_plot(walk.energies, walk.recipe.plan.num_steps, walk.lines, walk.landscape.levels)


def _save(session: Session, walk: Walk) -> Iterator[Result]:
    """Write the walk's pictures, and then its film, into the session's folder."""
    assert walk.state is not None
    if session.folder is None:
        return
    folder = Path(session.folder.name)
    recipe = walk.outcome
    stem = f"{recipe.model}-{recipe.seed}" + ("" if walk.finished else f"-step{recipe.stopped_at}")
    x, energies = walk.pictures(), walk.state.energy.tolist()
    seen = walk.landscape.captions(x) if walk.landscape.captions else []
    gallery = []
    for index in sorted(range(len(x)), key=energies.__getitem__):
        path = folder / f"{stem}-{index:02d}.png"
        path.write_bytes(to_png(images.to_pil(x[index]), replace(recipe, index=index)))
        gallery.append((str(path), f"{energies[index]:.4f}" + (f" · {seen[index]}" if seen else "")))
    grid, film, table, plain, every = (folder / f"{stem}.{kind}" for kind in ("png", "gif", "csv", "json", "zip"))
    grid.write_bytes(to_png(present.draw_grid(x), recipe))
    table.write_text(numbers.to_csv(walk), newline="")
    plain.write_text(numbers.to_json(walk, recipe))
    with ZipFile(every, "w") as archive:  # PNGs are small already
        for file, _ in gallery:
            archive.write(file, Path(file).name)
    result = Result(gallery, str(grid), str(table), str(plain), str(every))
    yield result
    frames = walk.frames()
    most = max(8, MAX_FILM_PICTURES // len(x)) if walk.is_coded else MAX_FILM_FRAMES
    chosen = [*frames[: -1 : max(1, len(frames) // min(most, MAX_FILM_FRAMES))], frames[-1]]
    drawn = [present.draw_film_frame(walk.pictures_of(frame)) for _, frame in chosen]
    film.write_bytes(images.encode_film(drawn))
    yield replace(result, film=str(film))
