"""One person's chain: the paused generator, the recorded walk, and a flag to stop it."""

import threading
from collections.abc import Iterator

import torch
from torch import Tensor

from app.catalog import Model
from ebm_core import images
from ebm_core.langevin import ChainState
from ebm_core.recipe import Recipe
from ebm_core.sampling import sample, uniform_noise

MAX_FRAMES = 120  # recorded states; 64 chains of 32x32 take 24 MB


class Walk:
    """A chain of ``recipe.num`` images and what it has been through so far.

    The Python generator and its random generator are all the state there is: pausing between two steps and going
    on later gives the very same pictures as never having paused.
    """

    def __init__(self, model: Model, recipe: Recipe) -> None:
        self.model, self.recipe = model, recipe
        c = model.info.net
        device = str(next(model.net.parameters()).device)
        rng = torch.Generator(device).manual_seed(recipe.seed)
        x = uniform_noise((recipe.num, c.channels, c.image_size, c.image_size), rng)
        self._chain = sample(model.net, x, recipe.plan, rng)
        self._stride = 1
        self._frames: list[tuple[int, Tensor]] = []
        self.energies: list[Tensor] = []  # one (B,) for each step so far
        self.state: ChainState | None = None
        self.stop_requested = threading.Event()
        self._stepping = threading.Lock()

    @property
    def finished(self) -> bool:
        return self.state is not None and self.state.step == self.recipe.plan.num_steps

    def advance(self) -> Iterator[ChainState]:
        """Go on from where the walk stands; ends when it is finished or was asked to stop.

        Only one thread at a time may walk: a second one gets nothing.
        """
        if not self._stepping.acquire(blocking=False):
            return
        try:
            self.stop_requested.clear()
            while not self.stop_requested.is_set():
                try:
                    state = next(self._chain)
                except StopIteration:
                    return
                self._record(state)
                yield state
        finally:
            self._stepping.release()

    def frames(self) -> list[tuple[int, Tensor]]:
        """Recorded ``(step, uint8 images (B, C, H, W))``, evenly thinned, the present state last."""
        if self.state is None:
            return []
        if self._frames[-1][0] == self.state.step:
            return list(self._frames)
        return [*self._frames, (self.state.step, images.quantise(self.state.x).cpu())]

    def _record(self, state: ChainState) -> None:
        self.state = state
        self.energies.append(state.energy.cpu())
        if state.step % self._stride == 0:
            self._frames.append((state.step, images.quantise(state.x).cpu()))
        if len(self._frames) > MAX_FRAMES:
            self._stride *= 2
            self._frames = [f for f in self._frames if f[0] % self._stride == 0]
