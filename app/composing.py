"""What the buttons and sliders of the composing page do. No Gradio here."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from app import present
from app.asks import asks_of, decompose, read_ask
from app.catalog import Catalog
from app.session import FRAME_INTERVAL, Session, View, in_line, read_recipe, resume
from app.walk import Landscape, Walk
from ebm_core.attribute import Attribute
from ebm_core.checkpoint import CheckpointError
from ebm_core.composition import And, Composition, Node, Term
from ebm_core.family import Ask, Family, compose
from ebm_core.recipe import CHAINS, SEED, Recipe
from ebm_core.restore import recipe_of
from ebm_core.sampling import SamplePlan

ALONE = "This picture was made by '{model}' alone: now ask for attributes, from the same seed."
MATRIX_CHAINS = 2  # in each cell of the matrix
MATRIX_WEIGHT = 0.6  # of its two attributes; at 1 the shipped models overdo it


def make_recipe(catalog: Catalog, family: Family, asks: Sequence[Ask], num: float, seed: float) -> Recipe:
    """The recipe that the controls ask for. Raises ValueError, in a sentence, when there is none."""
    composition = compose(family, asks)
    whole_seed, whole_num = SEED.check(seed, "'Seed'"), CHAINS.check(num, "'Chains'")
    recipe = recipe_of(composition, catalog.weights, catalog.device, whole_seed, whole_num, anywhere=False)
    return replace(recipe, model=family.name, composition=composition)


def prepare(
    catalog: Catalog, family: Family, asks: Sequence[Ask], num: float, seed: float, restored: Recipe | None = None
) -> tuple[Landscape, Recipe]:
    """The composed energy and the recipe of its chains. Raises ValueError, in a sentence, when there is none.

    As long as the controls say what a ``restored`` recipe says it is made as it stands: its whole plan, precision and
    last step.
    """
    recipe = make_recipe(catalog, family, asks, num, seed)
    if restored is not None and _says(restored, family, asks, recipe):
        recipe = restored
    composition = recipe.composition
    assert composition is not None
    models = {name: catalog.get(name).in_precision(recipe.precision) for name in composition.models()}
    reference = catalog.reference(family.base, recipe.precision) if family.base else None
    landscape = next(iter(models.values())).landscape
    nets = {name: model.net for name, model in models.items()}
    energy = composition.energy(nets, reference, landscape.space)
    try:
        captions = catalog.captioner(family.name)
    except CheckpointError:  # the page says so; chains walk without a classifier too
        captions = None
    return replace(landscape, energy=energy, lines=_lines(composition, family), captions=captions), recipe


def _says(restored: Recipe, family: Family, asks: Sequence[Ask], recipe: Recipe) -> bool:
    """Whether a restored recipe is what the controls ask for."""
    if (restored.model, restored.num, restored.seed) != (recipe.model, recipe.num, recipe.seed):
        return False
    if restored.composition is None:
        return False
    same = asks_of(restored.composition, family)
    return {ask.model: ask for ask in same} == {ask.model: ask for ask in asks}


def _lines(composition: Composition, family: Family) -> Any:
    """One line for each term: its energy without its weight, so that all are on one scale."""
    root = composition.root
    if not isinstance(root, And):
        return lambda terms: {}
    named = [
        ("" if weight > 0 or node == family.base_term else "not ") + _words(node, family)
        for node, weight in zip(root.terms, root.weights, strict=True)
    ]

    def read(terms: Tensor) -> dict[str, Tensor]:
        return {name: terms[:, i] / root.weights[i] for i, name in enumerate(named)}

    return read


def _words(node: Node, family: Family) -> str:
    if isinstance(node, Term):
        return family.attributes[node.model].describe(node.label) if node.label else "any"
    return " or ".join(_words(term, family) for term in node.terms)


def start(
    session: Session, catalog: Catalog, family: Family, asks: Sequence[Ask], num: float, seed: float
) -> Iterator[View]:
    """Compose: a new walk from noise. Raises ValueError, in a sentence, for a composition that makes no chain."""
    landscape, recipe = prepare(catalog, family, asks, num, seed, session.restored)
    session.begin(Walk(landscape, recipe))
    yield from resume(session)


def follow(session: Session, catalog: Catalog, family: Family, asks: Sequence[Ask]) -> None:
    """A slider was moved: a walk of this family that has not ended goes on with what is asked for now.

    Raises ValueError when that makes no chain; the walk then goes on as before.
    """
    landscape, recipe = prepare(catalog, family, asks, 1, 0)
    walk = session.walk
    if walk is None or walk.finished or walk.recipe.model != family.name:
        return
    if walk.recipe.composition != recipe.composition:
        recipe = replace(recipe, num=walk.recipe.num, seed=walk.recipe.seed)
        walk.change(landscape, walking_as(recipe, walk.recipe.plan))


def walking_as(recipe: Recipe, plan: SamplePlan) -> Recipe:
    """A composition by another one's plan, as long: the step size alone depends on the weights.

    Where nothing is asked for that plan is the family's own model's, which may be longer. Candidates set out from
    noise: they are no matter of a walk that is on.
    """
    langevin = replace(plan.langevin, step_size=recipe.plan.langevin.step_size)
    return replace(recipe, plan=replace(plan, langevin=langevin, candidates=1))


def levels(attribute: Attribute) -> list[list[Any]]:
    """The values that the matrix shows of an attribute, as those of its controls without the operator."""
    if attribute.has_opposites:
        return [[-MATRIX_WEIGHT], [0.0], [MATRIX_WEIGHT]]
    return [[*attribute.say_controls([value]), MATRIX_WEIGHT] for value in attribute.levels]


def matrix(
    session: Session, catalog: Catalog, family: Family, asks: Sequence[Ask], rows: str, columns: str, seed: float
) -> Iterator[tuple[str, str]]:
    """Two attributes (by their models' names) against each other, all cells from the same noise: HTML and a status.

    What is asked of the other attributes stays. Raises ValueError, in a sentence, for an attribute against itself.
    """
    if rows == columns:
        raise ValueError(f"'{family.attributes[rows].name}' against itself shows nothing: choose two attributes.")
    seed = SEED.check(seed, "'Seed'")
    others = [ask for ask in asks if ask.model not in (rows, columns)]
    down, across = family.attributes[rows], family.attributes[columns]
    cells: list[list[bytes | None]] = [[None] * len(levels(across)) for _ in levels(down)]
    viewer = session.matrix = object()
    heads = [[_head(attribute, level) for level in levels(attribute)] for attribute in (down, across)]
    num_cells = len(cells) * len(cells[0])
    plan: SamplePlan | None = None  # of the first cell, which asks for something, and so of all
    for number in range(num_cells):
        i, j = divmod(number, len(cells[0]))
        asked = [
            read_ask(rows, down, [*levels(down)[i], "and"]),
            read_ask(columns, across, [*levels(across)[j], "and"]),
        ]
        landscape, recipe = prepare(catalog, family, [*others, *filter(None, asked)], MATRIX_CHAINS, seed)
        plan = plan or recipe.plan
        walk = Walk(landscape, walking_as(recipe, plan))
        walk.go_on()
        for view in in_line(walk, lambda: session.matrix is viewer):
            yield present.matrix_table(cells, *heads, smooth=walk.is_coded), view.status
        while walk.wait(FRAME_INTERVAL) and session.matrix is viewer:
            pass
        if session.matrix is not viewer:  # another began, or the tab was closed
            walk.stop()
            return
        if walk.error is not None:
            raise walk.error
        assert walk.state is not None
        cells[i][j] = present.encode_row(walk.pictures())
        last = number + 1 == num_cells
        status = f"{num_cells} cells, seed {seed}" if last else f"cell {number + 1} of {num_cells}"
        yield present.matrix_table(cells, *heads, smooth=walk.is_coded), status


def _head(attribute: Attribute, level: Sequence[Any]) -> str:
    asked = read_ask("", attribute, [*level, "and"])
    return f"any {attribute.name}" if asked is None else asked.words


def read_composition(session: Session, catalog: Catalog, path: str) -> tuple[Recipe, str]:
    """The recipe of a composition in a PNG file and a sentence about it.

    Raises ValueError, in a sentence, when it cannot be used here.
    """
    recipe, notes = read_recipe(catalog, path)
    families = catalog.families()
    if recipe.composition is None:
        family = catalog.families_by_base().get(recipe.model)
        if family is None:
            raise ValueError(
                f"'{recipe.model}', which made this picture, has no attributes to compose, as {', '.join(families)} "
                "have: drop it on the Sample page."
            )
        return make_recipe(catalog, family, [], recipe.num, recipe.seed), ALONE.format(model=recipe.model)
    if recipe.model not in families:
        known = ", ".join(families)
        raise ValueError(f"This picture was composed of '{recipe.model}', which are not here; there are: {known}.")
    decompose(recipe.composition, families[recipe.model])  # the page has controls for it
    session.restored = recipe
    return recipe, " ".join([f"Recipe restored (seed {recipe.seed}). Press Compose.", *notes])
