"""From a recipe to its pictures, and from a file to a recipe: page, command line and Python have this one way."""

import json
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ebm_core.checkpoint import CheckpointError, ModelInfo, load_model, read_info
from ebm_core.composition import Composition, Term
from ebm_core.energy import EnergyFn
from ebm_core.family import base_of
from ebm_core.files import HEAD, kind_of
from ebm_core.hub import find_model, open_space, shipped_infos, shipped_models
from ebm_core.images import PNG_SIGNATURE
from ebm_core.langevin import ChainState
from ebm_core.level import Reference
from ebm_core.nets import EnergyNetwork
from ebm_core.precision import for_sampling, is_available, sampling_precision
from ebm_core.recipe import Recipe, fingerprint, from_png
from ebm_core.sampling import sample
from ebm_core.space import Space

DEFAULT_CHAINS = 16  # of a composition that comes without a number


class Restored(NamedTuple):
    """A recipe that can be made here, and what is to be said of it, a sentence each.

    Its fingerprint and precision are those of here and it starts from noise (a composition that began at a picture, by
    the models' own plan); where that is not how the picture was made the notes say so.
    """

    recipe: Recipe
    notes: list[str]


def restore(data: bytes, weights: Path, device: str, *, anywhere: bool = False) -> Restored:
    """Read a PNG of this program, or a composition as JSON. Models are those of the folder ``weights``.

    With ``anywhere`` a model may also be named by a path or on the Hub; the page, to which strangers hand files, knows
    its own alone. Raises ValueError, in a sentence, for a file of another kind, a model that is not here, and models
    that do not fit what is asked of them.
    """
    if not data.startswith(PNG_SIGNATURE):
        try:
            composition = Composition.from_plain(json.loads(data))
        except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            what = "damaged JSON" if data.lstrip()[:1] == b"{" else kind_of(data[:HEAD])
            raise ValueError(f"this is neither JSON nor a PNG of this program: it is {what}") from error
        return Restored(recipe_of(composition, weights, device, anywhere=anywhere), [])
    saved = from_png(data)
    composition = saved.composition or Composition(Term(saved.model))
    own = recipe_of(composition, weights, device, saved.seed, saved.num, anywhere=anywhere)
    precision = saved.precision if saved.precision and is_available(saved.precision, device) else own.precision
    here = replace(saved, fingerprint=own.fingerprint, precision=precision)
    recipe = replace(here, index=-1, steered=False, from_picture=False)
    if saved.from_picture and saved.composition:  # what repaints a picture walks only a part of the way from noise
        recipe = replace(recipe, plan=own.plan, stopped_at=-1)
    differs = {
        f"It came from another version of {'these models' if saved.composition else 'this model'}": saved.fingerprint
        != own.fingerprint,
        f"It does not say in which precision it was made, here it is {precision}": not saved.precision,
        f"It was made in {saved.precision}, which this device does not have: here it is {precision}": saved.precision
        not in ("", precision),
        "It was made before the terms of an OR were put on one level": not saved.precision and composition.has_or,
        "It began at a given picture and this begins at noise": saved.from_picture,
        "Its sliders were moved while it ran": saved.steered,
    }
    notes = [f"{reason}, so the result will differ." for reason, applies in differs.items() if applies]
    if recipe.stopped_at >= 0:
        notes.insert(0, f"It was stopped at step {saved.stopped_at}, and stops there again.")
    return Restored(recipe, notes)


def recipe_of(
    composition: Composition,
    weights: Path,
    device: str,
    seed: int = 0,
    num: int = DEFAULT_CHAINS,
    *,
    anywhere: bool = True,
) -> Recipe:
    """The recipe of a composition by its models' own plan. Raises ValueError as ``restore`` does."""
    files = _files(composition, weights, anywhere)
    infos = {name: read_info(path) for name, path in files.items()}
    plan, first = composition.plan(infos), composition.models()[0]
    alone = composition.root == Term(first)
    return Recipe(
        first if alone else infos[first].family,
        fingerprint(*files.values()),
        plan,
        seed,
        num,
        composition=None if alone else composition,
        precision=sampling_precision(device),
    )


class Scene(NamedTuple):
    """What a recipe's chains walk on: the energy of the points of a space, its models loaded."""

    energy: EnergyFn
    space: Space
    device: str


def load_scene(recipe: Recipe, weights: Path, device: str) -> Scene:
    """Load a recipe's models, in its precision. Raises ValueError, in a sentence, when one cannot be used."""
    composition = recipe.composition or Composition(Term(recipe.model))

    def load(path: Path) -> tuple[EnergyNetwork, ModelInfo]:
        net, info = load_model(path, device)
        return for_sampling(net, recipe.precision or None), info

    files = _files(composition, weights, anywhere=True)
    models = {name: load(path) for name, path in files.items()}
    first = next(iter(models))
    info = models[first][1]
    space = open_space(info.space, info.net, device, files[first])
    base = base_of(info.family, shipped_infos(weights))
    reference = None
    if base is not None and composition.labelled:
        net, base_info = load(find_model(base, weights))
        reference = Reference(net, base_info.plan.langevin, space)
    energy = composition.energy({name: net for name, (net, _) in models.items()}, reference, space)
    return Scene(energy, space, device)


def chain(scene: Scene, recipe: Recipe, start: Tensor | None = None) -> Generator[ChainState]:
    """The states of a recipe's chains, to their end or the step at which they were stopped.

    They begin at noise, or at the points ``start (B, ...)``.
    """
    rng = torch.Generator(scene.device).manual_seed(recipe.seed)
    x = scene.space.noise(recipe.num, rng) if start is None else start
    for state in sample(scene.energy, x, recipe.plan, rng, scene.space):
        yield state
        if state.step == recipe.stopped_at:
            return


def _files(composition: Composition, weights: Path, anywhere: bool) -> dict[str, Path]:
    known = shipped_models(weights)
    for name in composition.models():
        if name not in known and not anywhere:
            raise CheckpointError(
                f"This picture was made by the model '{name}', which is not here; there are: {', '.join(known)}"
            )
    return {name: find_model(name, weights) for name in composition.models()}
