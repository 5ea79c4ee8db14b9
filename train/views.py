"""More looks at each training picture, a little zoomed, turned and shifted.

Where pictures are few, a network that sees each a hundred times learns them instead of what they have in common.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from ebm_core.arguments import Bounds
from ebm_core.config import Iterations, check_fields

SEED = 0x5EED  # not the run's own numbers: whoever resumes a run, or runs it by several processes, has the same views


@dataclass(frozen=True)
class ViewsConfig:
    """How many views of each picture are learned beside it, and how far they are from it. 0 = none.

    Only for what stays true of a picture that is turned and shifted: not for a model of places or angles.
    """

    number: Iterations = 0
    # At the ends of all three a corner still sees mirrored picture, not what lies beyond.
    turn: Annotated[float, Bounds(0, 30)] = 8.0  # degrees to either side
    zoom: Annotated[float, Bounds(0, 0.2)] = 0.1  # to so much larger or smaller
    shift: Annotated[float, Bounds(0, 0.1)] = 0.05  # share of the picture's side, to either side of each axis

    def __post_init__(self) -> None:
        check_fields(self)


def views(images: Tensor, config: ViewsConfig) -> Iterator[Tensor]:
    """``number`` times images uint8 ``(N, C, H, W)``, on the CPU, each picture by an affine map of its own.

    What comes into sight at an edge is the picture's mirror image there. The same images have the same views.
    """
    if not config.number:
        return
    from torchvision.transforms import InterpolationMode, v2  # seconds, which a run without views need not wait

    size = images.shape[-1]
    margin = size // 2
    moved = v2.Compose(
        [
            v2.Pad(margin, padding_mode="reflect"),
            v2.RandomAffine(
                config.turn,
                # Of the padded picture, which is twice as large.
                (config.shift * size / (size + 2 * margin),) * 2,
                (1 - config.zoom, 1 + config.zoom),
                interpolation=InterpolationMode.BILINEAR,
            ),
            v2.CenterCrop(size),
        ]
    )
    for number in range(config.number):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED + number)
            view = torch.stack([moved(image) for image in images.cpu()])
        yield view
