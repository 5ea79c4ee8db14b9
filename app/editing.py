"""What the Edit page does: takes a picture, and lets chains repaint a part of it, or walk all of it. No Gradio here."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch

from app import composing
from app.catalog import Catalog, Model
from app.compute import COMPUTE
from app.examples import SAMPLE, draw
from app.limits import PICTURES
from app.painting import mask_of
from app.session import Session, View, resume
from app.walk import Landscape, Walk
from ebm_core import images
from ebm_core.arguments import Bounds
from ebm_core.family import Ask, compose
from ebm_core.inpainting import repainting
from ebm_core.pictures import Picture, read_picture
from ebm_core.recipe import CHAINS, SEED, Recipe, from_png

STRENGTH = Bounds(0, 1)
# What walks, and how far back towards noise it begins unless somebody says otherwise.
PAINTED, WHOLE = "What I paint", "The whole picture"
STRENGTHS = {PAINTED: 0.8, WHOLE: 0.3}
FEW_CHAINS = 4  # proposals, unless somebody says otherwise
NO_PICTURE = "There is no picture yet: open, drop or paste one, or take an example."
NO_PAINT = f"Nothing is painted: paint over what is to change, or choose '{WHOLE}'."
ALL_PAINT = f"All of the picture is painted, and nothing would be held: leave a part of it, or choose '{WHOLE}'."


class Edit(NamedTuple):
    """What the page's controls say: all but the picture, and what is painted on it."""

    model: str
    asks: tuple[Ask, ...]  # of the attributes of the model's family
    where: str
    strength: float
    num: int
    seed: int


def make_edit(
    catalog: Catalog, name: str, asks: Sequence[Ask], where: str, strength: float, num: float, seed: float
) -> Edit:
    """What the controls ask for. Raises ValueError, in a sentence, for values that make no chain."""
    if where not in STRENGTHS:
        raise ValueError(f"What walks is one of {', '.join(STRENGTHS)}, got {where!r}.")
    catalog.get(name)
    if asks:
        compose(catalog.families_by_base()[name], asks)
    return Edit(
        name,
        tuple(asks),
        where,
        STRENGTH.check(strength, "'Strength'"),
        CHAINS.check(num, "'Chains'"),
        SEED.check(seed, "'Seed'"),
    )


def model_of(catalog: Catalog, recipe: Recipe) -> str | None:
    """The model that repaints what a recipe made; None where there is none."""
    if recipe.composition is None:
        return recipe.model if recipe.model in catalog.names() else None
    family = catalog.families().get(recipe.model)
    return family.base if family else None


def take(session: Session, catalog: Catalog, data: bytes) -> str | None:
    """Another picture, an image file, and the model that made it if one of the catalog did.

    Raises PictureError, in a sentence, for a file that cannot be read.
    """
    read_picture(data, 8, limits=PICTURES)
    session.picture, session.asking = data, None  # an example that still walks comes too late
    try:
        return model_of(catalog, from_png(data))
    except ValueError:  # a picture like any other
        return None


def take_example(session: Session, model: Model) -> bool:
    """A sample of the model, which walks for it; whether it is the picture now, for meanwhile another may have come.

    Raises ValueError when its chain leaves the finite numbers.
    """
    asking = session.asking = object()
    u8 = draw(SAMPLE, model, lambda: session.asking is asking)
    if u8 is None or session.asking is not asking:
        return False
    session.picture = images.encode(images.to_pil(u8), "PNG")
    return True


def take_result(session: Session) -> None:
    """The picture of the last walk that has the lowest energy. Raises ValueError, in a sentence, for no walk."""
    walk = session.walk
    if walk is None or walk.state is None:
        raise ValueError("There is no result yet: press Repaint first.")
    best = walk.pictures()[int(walk.state.energy.argmin())]
    session.picture, session.asking = images.encode(images.to_pil(best), "PNG"), None


def picture_for(session: Session, model: Model) -> Picture | None:
    """The picture as the model sees it; None without one."""
    channels, size, _ = model.space.picture_shape
    return None if session.picture is None else read_picture(session.picture, size, channels, PICTURES)


def start(session: Session, catalog: Catalog, edit: Edit, painted: str) -> Iterator[View]:
    """Repaint, with what is asked of the attributes of the model's family, if anything is.

    ``painted`` is what the browser's canvas sends. Raises ValueError, in a sentence, for no picture, nothing painted,
    and everything painted.
    """
    model = catalog.get(edit.model)
    landscape, recipe = _chains(catalog, model, edit)
    picture = picture_for(session, model)
    if picture is None:
        raise ValueError(NO_PICTURE)
    size = picture.u8.shape[1]
    mask = mask_of(painted, size) if edit.where == PAINTED else torch.ones(size, size, dtype=torch.bool)
    if not mask.any():
        raise ValueError(NO_PAINT)
    if edit.where == PAINTED and mask.all():
        raise ValueError(ALL_PAINT)
    space, plan, device = landscape.space, recipe.plan, landscape.device
    walk, plan, space = COMPUTE.submit(
        repainting, space, picture.u8, mask, edit.strength, plan, edit.seed, edit.num, device
    ).result()
    landscape = replace(landscape, space=space, sampler=walk.sample)
    session.begin(Walk(landscape, replace(recipe, plan=plan), walk.mixture(0)))
    session.edit = edit
    yield from resume(session)


def _chains(catalog: Catalog, model: Model, edit: Edit) -> tuple[Landscape, Recipe]:
    if not edit.asks:
        return model.landscape, Recipe(model.name, model.fingerprint, model.info.plan, edit.seed, edit.num)
    return composing.prepare(catalog, catalog.families_by_base()[model.name], edit.asks, edit.num, edit.seed)
