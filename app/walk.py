"""One person's chain: it walks in a thread of its own, can be stopped between two steps, and is recorded."""

import threading
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from app.compute import COMPUTE
from app.line import LINE
from ebm_core.energy import EnergyFn
from ebm_core.langevin import ChainState
from ebm_core.precision import Precision
from ebm_core.recipe import Recipe
from ebm_core.sampling import sample
from ebm_core.space import Space

MAX_FRAMES = 120  # recorded states; 64 chains of 32x32 pixels take 24 MB ...
LOOK_EVERY = 0.1  # seconds between two looks at whether somebody who waits in line still wants to walk
MAX_BYTES = 32 * 2**20  # ... and 64 chains of latents would take five times as much


@dataclass(frozen=True)
class Landscape:
    """Where a walk goes downhill: an energy of the points of a space, on a device, and what is said of them."""

    energy: EnergyFn
    space: Space
    device: str
    precision: Precision
    # What is read from the energy's terms (B, S) for a line each in the plot, (B,) by name; by default nothing.
    lines: Callable[[Tensor], dict[str, Tensor]] = lambda terms: {}
    # What a classifier sees in pictures (B, C, H, W), one caption for each; by default nothing.
    captions: Callable[[Tensor], list[str]] | None = None
    levels: Mapping[str, float] = field(default_factory=dict)  # energies to compare the chain's with, by name
    sampler: Callable[..., Generator[ChainState, None, Tensor]] = sample  # how chains go in it, called as ``sample``


class Walk:
    """A chain of ``recipe.num`` points and what it has been through so far.

    The Python generator and its random generator are all the state there is: pausing between two steps and going
    on later gives the very same pictures as never having paused. Whoever watches reads ``state``, ``energies``
    and ``frames()`` at any time from any thread, and never holds the chain up.

    At most so many walk at once as the page's line has places; the others wait, each knows its ``place``.

    It starts from noise, or from the points ``start (B, ...)``; its recipe then says so, as it says the landscape's
    precision. At the recipe's ``stopped_at`` it stops by itself. Raises ValueError for points of another number or
    shape.
    """

    def __init__(self, landscape: Landscape, recipe: Recipe, start: Tensor | None = None) -> None:
        shape = (recipe.num, *landscape.space.shape)
        if start is not None and tuple(start.shape) != shape:
            raise ValueError(f"this walk starts from points of shape {shape}, got {tuple(start.shape)}")
        self.landscape = landscape
        self.recipe = replace(recipe, from_picture=start is not None, precision=landscape.precision)
        self._rng = torch.Generator(landscape.device).manual_seed(recipe.seed)
        self._start = landscape.space.noise(recipe.num, self._rng) if start is None else start.to(landscape.device)
        self._chain = landscape.sampler(landscape.energy, self._start, recipe.plan, self._rng, landscape.space)
        self._stride = 1
        self._frames: list[tuple[int, Tensor]] = []
        self.energies: list[Tensor] = []  # one (B,) for each step so far
        self.lines: dict[str, dict[int, float]] = {}  # of each named line the mean over the chains, by step
        self.state: ChainState | None = None
        self.error: Exception | None = None  # what ended it before its end
        self.seconds = 0.0  # spent walking, waiting for its turn included
        self._stop_requested, self._resting = threading.Event(), threading.Event()
        self._resting.set()
        self._starting = threading.Lock()
        self._next_step: Future[bool] | None = None
        self._line = LINE
        self._ticket: object = None  # its place in the page's line, while it walks or waits to

    @property
    def finished(self) -> bool:
        return self.state is not None and self.state.step == self.recipe.plan.num_steps

    @property
    def outcome(self) -> Recipe:
        """The recipe of its present pictures: where a person stopped it, that is in it. It must have begun."""
        assert self.state is not None
        return replace(self.recipe, stopped_at=-1 if self.finished else self.state.step)

    @property
    def place(self) -> int:
        """Its place among those who wait in line, from 1; 0 for one that walks, or rests."""
        with self._starting:
            return 0 if self._ticket is None else self._line.place(self._ticket)

    def go_on(self) -> None:
        """Walk from where it stands, until the end or a stop; nothing new for one that walks already.

        Raises LineError, in a sentence, when too many wait already.
        """
        with self._starting:
            self._stop_requested.clear()
            if self._resting.is_set():
                self._ticket = self._line.join()
                self._resting.clear()
                threading.Thread(target=self._run, name="walk", daemon=True).start()

    def change(self, landscape: Landscape, recipe: Recipe) -> None:
        """Go on in another landscape, by a plan of as many steps, from the pictures as they are.

        ``recipe`` is then no longer enough to make the pictures again, and says so. Waits for the present step.
        """
        if recipe.plan.num_steps != self.recipe.plan.num_steps:
            raise ValueError("a walk cannot change how long it is: begin another one")
        COMPUTE.submit(self._change, landscape, recipe).result()

    def _change(self, landscape: Landscape, recipe: Recipe) -> None:
        state = self.state
        x = self._start if state is None else state.x
        self.landscape = landscape
        self.recipe = replace(
            recipe, steered=True, from_picture=self.recipe.from_picture, precision=landscape.precision
        )
        first_step = -1 if state is None else state.step
        self._chain = landscape.sampler(
            landscape.energy, x, recipe.plan, self._rng, landscape.space, first_step=first_step
        )

    def stop(self) -> None:
        """End after the present step; one that waits for its turn of the thread is not taken."""
        self._stop_requested.set()
        if (step := self._next_step) is not None:
            step.cancel()

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it still walks after so many seconds; comes back at once when it ends."""
        return not self._resting.wait(seconds)

    @property
    def is_coded(self) -> bool:
        """Whether its points are no pictures, so that seeing them as they are takes a decoder."""
        return self.landscape.space.is_coded

    def glimpse(self, state: ChainState) -> Tensor:
        """A state as pictures ``(B, C, H, W)`` in [0, 1], perhaps coarse ones."""
        return self.landscape.space.preview(state.x).cpu()

    def pictures(self) -> Tensor:
        """The present state as pictures ``(B, C, H, W)`` in [0, 1]. It must have begun."""
        assert self.state is not None
        return self._decode(self.state.x, urgent=True)

    def frames(self) -> list[tuple[int, Tensor]]:
        """Recorded ``(step, packed points (B, ...))``, evenly thinned, the present state last."""
        state, frames = self.state, list(self._frames)
        if state is None or (frames and frames[-1][0] >= state.step):
            return frames
        return [*frames, (state.step, self.landscape.space.pack(state.x).cpu())]

    def points(self, packed: Tensor) -> Tensor:
        """The points of a recorded frame."""
        return self.landscape.space.unpack(packed.to(self.landscape.device), None)

    def pictures_of(self, packed: Tensor) -> Tensor:
        """A recorded frame as pictures ``(B, C, H, W)`` in [0, 1]."""
        return self._decode(self.points(packed))

    def _decode(self, x: Tensor, *, urgent: bool = False) -> Tensor:
        return (COMPUTE.submit(self.landscape.space.decode, x, urgent=urgent).result() if self.is_coded else x).cpu()

    def _run(self) -> None:
        while not self._line.wait(self._ticket, LOOK_EVERY):
            if self._rest_if_stopped():
                return
        started, before = time.monotonic(), self.seconds
        try:
            while not self._rest_if_stopped():
                self._next_step = COMPUTE.submit(self._step, urgent=self.state is None)
                with suppress(CancelledError):  # by a stop, which the next look sees
                    if not self._next_step.result():
                        break
                self.seconds = before + time.monotonic() - started
            else:
                return
        except Exception as error:  # told by the watcher, in whose thread it belongs
            self.error = error
        with self._starting:
            self._rest()

    def _rest_if_stopped(self) -> bool:
        with self._starting:  # a stop and a going on in one moment: one of them is the later
            if not self._stop_requested.is_set():
                return False
            self._rest()
            return True

    def _rest(self) -> None:
        self._line.leave(self._ticket)
        self._ticket = None
        self._resting.set()

    def _step(self) -> bool:
        """Take one step; False when there is none left."""
        state = next(self._chain, None)
        if state is None:
            return False
        self._record(state)
        return True

    def _record(self, state: ChainState) -> None:
        if self.state is not None and self.state.step == state.step:
            self.energies.pop()  # the landscape was changed: the same pictures have another energy now
        self.energies.append(state.energy.cpu())
        for name, values in self.landscape.lines(state.scale_energies).items():
            self.lines.setdefault(name, {})[state.step] = float(values.mean())
        if state.step % self._stride == 0 and not (self._frames and self._frames[-1][0] == state.step):
            self._frames.append((state.step, self.landscape.space.pack(state.x).cpu()))
        if len(self._frames) > min(MAX_FRAMES, MAX_BYTES // self._frames[-1][1].nbytes):
            self._stride *= 2
            self._frames = [f for f in self._frames if f[0] % self._stride == 0]
        self.state = state
        if state.step == self.recipe.stopped_at:
            self.stop()
