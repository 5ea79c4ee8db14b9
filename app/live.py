"""What a running walk looks like, for little of the chain's time."""

import time

import torch.nn.functional as F
from torch import Tensor

from app import present
from app.compute import COMPUTE
from app.walk import Walk
from ebm_core.langevin import ChainState

LIVE_WIDTH = 288  # pixels of a grid whose pictures must be decoded: the browser enlarges it to twice that


class Live:
    """Frames of a walk that is on.

    Pixels are shown as they are. Latents are shown by their preview, enlarged smoothly, with the detail of the last
    picture that was decoded on top: one is decoded now and then, as often as a share of the time allows, and in between
    its colours move as those of the preview do.
    """

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.spent = 0.0  # seconds of drawing so far; whoever draws beside this adds to it
        self.decoding = 0.0  # seconds that the last frame was held up by decoding
        self._began = time.monotonic()
        self._cost = 0.0  # seconds of the last decoding
        self._detail: Tensor | None = None  # what decoded pictures have beyond their preview, (B, C, side, side)
        size = walk.landscape.space.picture_shape[1]
        columns = present.columns_for(walk.recipe.num)
        while columns * size > LIVE_WIDTH and size > walk.landscape.space.shape[1]:
            size //= 2
        self._side = size

    def frame(self, share: float) -> bytes:
        """The present state; decoding takes what other drawing has left of this ``share`` of the time."""
        state = self.walk.state
        assert state is not None
        coarse = self.walk.glimpse(state)
        self.decoding = 0.0
        if not self.walk.is_coded:
            return present.encode_frame(coarse)
        coarse = F.interpolate(coarse, size=(self._side, self._side), mode="bilinear")
        if self.spent and self.spent + self._cost <= share * (time.monotonic() - self._began):
            self._detail = F.interpolate(self._decoded(state), size=(self._side, self._side), mode="area") - coarse
        return present.encode_frame(coarse if self._detail is None else (coarse + self._detail).clamp(0, 1))

    def _decoded(self, state: ChainState) -> Tensor:
        def timed() -> tuple[Tensor, float]:
            started = time.monotonic()
            return self.walk.landscape.space.decode(state.x).cpu(), time.monotonic() - started

        asked = time.monotonic()
        pictures, self._cost = COMPUTE.submit(timed).result()
        self.spent += self._cost
        self.decoding = time.monotonic() - asked  # with the waiting for its turn
        return pictures
