"""What the Edit page does: takes a picture, and lets chains repaint a part of it, or walk all of it. No Gradio here."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from app import composing
from app.catalog import Catalog, Model
from app.compute import COMPUTE
from app.examples import SAMPLE, draw
from app.limits import PICTURES
from app.session import Session, View, resume
from app.walk import Landscape, Walk
from ebm_core import images
from ebm_core.arguments import Bounds
from ebm_core.family import Ask
from ebm_core.inpainting import repainting
from ebm_core.pictures import read_picture
from ebm_core.recipe import CHAINS, SEED, Recipe

CANVAS = 512  # pixels: every picture is painted on at one size, whatever the model's
STRENGTH = Bounds(0, 1)
# What walks, and how far back towards noise it begins unless somebody says otherwise.
PAINTED, WHOLE = "What I paint", "The whole picture"
STRENGTHS = {PAINTED: 0.8, WHOLE: 0.3}
NO_PICTURE = "There is no picture yet: drop one, or take an example."
NO_PAINT = f"Nothing is painted: paint over what is to change, or choose '{WHOLE}'."
ALL_PAINT = f"All of the picture is painted, and nothing would be held: leave a part of it, or choose '{WHOLE}'."


class Canvas(NamedTuple):
    """The picture as the model sees it, as large as it is painted on, and what was done to it."""

    image: Image.Image
    notes: str


def take(session: Session, data: bytes) -> None:
    """Another picture, an image file. Raises PictureError, in a sentence, for one that cannot be read."""
    read_picture(data, 8, limits=PICTURES)
    session.picture = data


def take_example(session: Session, model: Model) -> None:
    """A sample of the model, which walks for it. Raises ValueError when its chain leaves the finite numbers."""
    asking = session.asking = object()
    u8 = draw(SAMPLE, model, lambda: session.asking is asking)
    if u8 is not None:
        session.picture = images.encode(images.to_pil(u8), "PNG")


def take_result(session: Session) -> None:
    """The picture of the last walk that has the lowest energy. Raises ValueError, in a sentence, for no walk."""
    walk = session.walk
    if walk is None or walk.state is None:
        raise ValueError("There is no result yet: press Repaint first.")
    best = walk.pictures()[int(walk.state.energy.argmin())]
    session.picture = images.encode(images.to_pil(best), "PNG")


def canvas(session: Session, model: Model) -> Canvas | None:
    """What is painted on; None without a picture."""
    if session.picture is None:
        return None
    channels, size, _ = model.space.picture_shape
    picture = read_picture(session.picture, size, channels, PICTURES)
    # Few pixels are to be seen as such.
    way = Image.Resampling.LANCZOS if model.space.is_coded else Image.Resampling.NEAREST
    return Canvas(images.to_pil(picture.u8).convert("RGB").resize((CANVAS, CANVAS), way), "; ".join(picture.notes))


def mask_of(layers: Sequence[Image.Image], size: int) -> Tensor:
    """Where anything is painted on the layers, of one size each, bool ``(size, size)``."""
    mask = torch.zeros(size, size, dtype=torch.bool)
    for layer in layers:
        touched = layer.getchannel("A").point(lambda alpha: 255 if alpha else 0)
        # Half of a pixel decides, so that a spot neither grows nor shrinks.
        mask |= torch.from_numpy(np.array(touched.resize((size, size), Image.Resampling.BOX)) >= 128)
    return mask


def start(
    session: Session,
    catalog: Catalog,
    name: str,
    asks: Sequence[Ask],
    layers: Sequence[Image.Image],
    where: str,
    strength: float,
    num: float,
    seed: float,
) -> Iterator[View]:
    """Repaint, with what is asked of the attributes of the model's family, if anything is.

    Raises ValueError, in a sentence, for no picture, nothing painted, everything painted, and settings of no chain.
    """
    if where not in STRENGTHS:
        raise ValueError(f"What walks is one of {', '.join(STRENGTHS)}, got {where!r}.")
    if session.picture is None:
        raise ValueError(NO_PICTURE)
    strength = STRENGTH.check(strength, "'Strength'")
    model = catalog.get(name)
    landscape, recipe = _chains(catalog, model, asks, CHAINS.check(num, "'Chains'"), SEED.check(seed, "'Seed'"))
    channels, size, _ = landscape.space.picture_shape
    mask = mask_of(layers, size) if where == PAINTED else torch.ones(size, size, dtype=torch.bool)
    if not mask.any():
        raise ValueError(NO_PAINT)
    if where == PAINTED and mask.all():
        raise ValueError(ALL_PAINT)
    u8 = read_picture(session.picture, size, channels, PICTURES).u8
    walk, plan, space = COMPUTE.submit(
        repainting, landscape.space, u8, mask, strength, recipe.plan, recipe.seed, recipe.num, landscape.device
    ).result()
    landscape = replace(landscape, space=space, sampler=walk.sample)
    session.begin(Walk(landscape, replace(recipe, plan=plan), walk.mixture(0)))
    yield from resume(session)


def _chains(catalog: Catalog, model: Model, asks: Sequence[Ask], num: int, seed: int) -> tuple[Landscape, Recipe]:
    if not asks:
        return model.landscape, Recipe(model.name, model.fingerprint, model.info.plan, seed, num)
    return composing.prepare(catalog, catalog.families()[model.info.family], asks, num, seed)
