"""What the Sample page does: begins a walk, and takes the settings out of a dropped picture. No Gradio here."""

from collections.abc import Iterator

from app.catalog import Catalog
from app.session import Session, View, read_recipe, resume
from app.settings import Controls, controls_of_recipe, make_recipe
from app.walk import Walk
from ebm_core.recipe import Recipe

RESTORED = "Settings restored (seed {seed}). Press Sample to make it again."


def start(
    session: Session, catalog: Catalog, model: str, controls: Controls, num: float, seed: float
) -> Iterator[View]:
    """Sample: a new walk from noise. Raises ValueError, in a sentence, for settings that make no chain.

    Controls that are still those of a restored recipe make that very recipe: its whole plan, precision and last step.
    """
    loaded = catalog.get(model)
    recipe, restored = make_recipe(loaded, controls, num, seed), session.restored
    if restored is not None and _says(restored, model, controls, num, seed):
        recipe = restored
    session.begin(Walk(loaded.in_precision(recipe.precision).landscape, recipe))
    yield from resume(session)


def _says(recipe: Recipe, model: str, controls: Controls, num: float, seed: float) -> bool:
    """Whether a recipe is what the controls ask for."""
    same = (recipe.model, recipe.num, recipe.seed, recipe.composition) == (model, num, seed, None)
    return same and controls_of_recipe(recipe) == controls


def read_settings(session: Session, catalog: Catalog, path: str) -> tuple[Recipe, str]:
    """The recipe in a PNG file and a sentence about it. Raises ValueError when it cannot be used here."""
    recipe, notes = read_recipe(catalog, path)
    if recipe.composition is not None:
        raise ValueError("This picture was composed of several models: drop it on the Compose page.")
    session.restored = recipe
    return recipe, " ".join([RESTORED.format(seed=recipe.seed), *notes])
