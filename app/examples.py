"""Pictures to try a model with, made by code or by the model itself."""

from collections.abc import Callable

import torch
from torch import Tensor

from app.catalog import Model
from app.walk import Walk
from ebm_core.images import quantise
from ebm_core.recipe import Recipe

LOOK_EVERY = 0.1  # seconds between two looks at whether a sample is still wanted
SAMPLE = "a sample of the model"
SEED = 1  # of that sample: of the first seeds the one whose cat and face are both whole


def noise(size: int) -> Tensor:
    """Uniform pixels uint8 ``(3, size, size)``, always the same."""
    return torch.randint(0, 256, (3, size, size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def constant(size: int) -> Tensor:
    """Middle grey, uint8 ``(3, size, size)``."""
    return torch.full((3, size, size), 128, dtype=torch.uint8)


def gradient(size: int) -> Tensor:
    """Red to the right, green downwards, blue against both, uint8 ``(3, size, size)``."""
    ramp = torch.linspace(0, 1, size)
    across, down = ramp.expand(size, size), ramp[:, None].expand(size, size)
    return quantise(torch.stack([across, down, 1 - (across + down) / 2]))


DRAWN: dict[str, Callable[[int], Tensor]] = {"uniform noise": noise, "one grey": constant, "a gradient": gradient}
EXAMPLES = [*DRAWN, SAMPLE]


def draw(name: str, model: Model, wanted: Callable[[], bool]) -> Tensor | None:
    """An example by its name, uint8 ``(C, H, W)`` as the model takes it; None once it is no longer ``wanted``.

    Raises ValueError when the model's own chain leaves the finite numbers.
    """
    if name in DRAWN:
        channels, size, _ = model.space.picture_shape
        return DRAWN[name](size)[:channels]
    walk = Walk(model.landscape, Recipe(model.name, model.fingerprint, model.info.plan, seed=SEED, num=1))
    walk.go_on()
    while walk.wait(LOOK_EVERY):
        if not wanted():
            walk.stop()
            return None
    if walk.error is not None:
        raise walk.error
    assert walk.state is not None
    return quantise(walk.pictures()[0])
