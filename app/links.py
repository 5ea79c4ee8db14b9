"""The settings of a walk as an address, short enough to be read and handed out. No Gradio here.

    ?tab=sample&model=cats128&seed=3&num=12&rounds=0&noise_std=0
    ?tab=compose&model=faces128&seed=3&num=12&smiling=0.6&young=-0.6,or
    ?tab=edit&model=faces128&seed=3&num=4&where=whole&strength=0.4&smiling=0.6

Fields are those of a recipe and of the tab's controls; what is as the model was trained, or off, is left out. An
attribute's field has its values, its weight and, unless that is "and", its operator, with commas between.
"""

import csv
import difflib
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from app import composing, editing, settings
from app.asks import asks_of, decompose, in_words, read_ask, write_ask
from app.catalog import WARM_CHAINS, Catalog, Model
from app.editing import PAINTED, STRENGTHS, WHOLE, Edit
from app.settings import INPUTS, controls_of, controls_of_recipe
from ebm_core.arguments import brief
from ebm_core.attribute import Attribute
from ebm_core.family import OPERATORS, Ask, Family
from ebm_core.recipe import Recipe

COMMON = ("tab", "model", "seed", "num")
EDITING = (*COMMON, "where", "strength")
PLACES = {PAINTED: "painted", WHOLE: "whole"}  # what walks, in an address
NEAR = 0.7  # how like a setting's name one is that was meant to be it; "fbclid" is like none


Asked = Recipe | Edit  # what the controls of a tab with an address ask for


class LinkError(ValueError):
    """An address that has no settings of this page; the message says what was expected and what came."""


class Link(NamedTuple):
    """What an address opens: a tab, and the settings on it (None: those that it opens with)."""

    tab: str
    asked: Asked | None


def write(catalog: Catalog, asked: Asked) -> str:
    """The address of an edit, or of what the Sample or the Compose tab's controls say of a recipe."""
    return _write_edit(catalog, asked) if isinstance(asked, Edit) else _write_recipe(catalog, asked)


def _write_edit(catalog: Catalog, edit: Edit) -> str:
    fields: dict[str, Any] = {"tab": "edit", "model": edit.model, "seed": edit.seed, "num": edit.num}
    if edit.where != PAINTED:
        fields["where"] = PLACES[edit.where]
    if edit.strength != STRENGTHS[edit.where]:
        fields["strength"] = f"{edit.strength:.12g}"
    keys = _edit_keys(catalog, edit.model)
    return _address(
        fields
        | {keys[a.model]: _write_values(write_ask(a.attribute, a.terms, a.weight, a.operator)) for a in edit.asks}
    )


def _edit_keys(catalog: Catalog, model: str) -> dict[str, str]:
    family = catalog.families_by_base().get(model)
    return {} if family is None else _keys(family, EDITING)


def _write_recipe(catalog: Catalog, recipe: Recipe) -> str:
    fields: dict[str, Any] = {"model": recipe.model, "seed": recipe.seed, "num": recipe.num}
    if recipe.composition is None:
        changes = changed(catalog, recipe)
        return _address({"tab": "sample"} | fields | {name: f"{value:.12g}" for name, value in changes.items()})
    family = _family(catalog, recipe.model)
    asked, keys = decompose(recipe.composition, family), _keys(family)
    of_models = {keys[model]: _write_values(asked[model]) for model in family.attributes if model in asked}
    return _address({"tab": "compose"} | fields | of_models)


def read(catalog: Catalog, address: str) -> Link | None:
    """What an address opens, None without a ``tab``. Raises ValueError, in a sentence, for one that cannot be used."""
    fields = dict(parse_qsl(address.removeprefix("?"), keep_blank_values=True))
    fields = {name: text for name, text in fields.items() if not name.startswith("__")}  # Gradio's own: __theme
    if "tab" not in fields:
        return None
    tab = fields["tab"]
    if tab not in READERS:
        _check_known(catalog, fields, ["tab"])
        return Link(tab, None)
    if all(name == "tab" or _is_foreign(catalog, name) for name in fields):
        return Link(tab, None)
    if "model" not in fields:
        raise LinkError("it names no model: model=NAME is missing")
    return Link(tab, READERS[tab](catalog, fields))


def _read_sample(catalog: Catalog, fields: Mapping[str, str]) -> Recipe:
    _check_known(catalog, fields, [*COMMON, *INPUTS])
    model = _unconditional(catalog, fields)
    changes = {name: _number(fields[name], name) for name in INPUTS if name in fields}
    num, seed = _chains(fields, WARM_CHAINS)
    return settings.make_recipe(model, replace(controls_of(model), **changes), num, seed)


def _read_composition(catalog: Catalog, fields: Mapping[str, str]) -> Recipe:
    family = _family(catalog, fields["model"])
    keys = _keys(family)
    _check_known(catalog, fields, [*COMMON, *keys.values()])
    return composing.make_recipe(catalog, family, _read_asks(family, keys, fields), *_chains(fields, WARM_CHAINS))


def _read_edit(catalog: Catalog, fields: Mapping[str, str]) -> Edit:
    name = _unconditional(catalog, fields).name
    keys = _edit_keys(catalog, name)
    _check_known(catalog, fields, [*EDITING, *keys.values()])
    places = {field: where for where, field in PLACES.items()}
    where = places.get(fields.get("where", PLACES[PAINTED]))
    if where is None:
        raise LinkError(f"where must be one of {', '.join(places)}; got {brief(fields['where'])}")
    strength = _number(fields.get("strength", STRENGTHS[where]), "strength")
    asks = _read_asks(catalog.families_by_base()[name], keys, fields) if keys else []
    return editing.make_edit(catalog, name, asks, where, strength, *_chains(fields, editing.FEW_CHAINS))


READERS: dict[str, Callable[[Catalog, Mapping[str, str]], Asked]] = {
    "sample": _read_sample,
    "compose": _read_composition,
    "edit": _read_edit,
}


def _unconditional(catalog: Catalog, fields: Mapping[str, str]) -> Model:
    model = catalog.get(fields["model"])
    if model.info.net.label_dim:
        raise LinkError(f"'{model.name}' is for tab=compose; there are: {', '.join(catalog.names())}")
    return model


def _chains(fields: Mapping[str, str], usual: int) -> tuple[float, float]:
    return _number(fields.get("num", usual), "num"), _number(fields.get("seed", 0), "seed")


def _read_asks(family: Family, keys: Mapping[str, str], fields: Mapping[str, str]) -> list[Ask]:
    asks = [
        read_ask(model, family.attributes[model], _read_values(family.attributes[model], fields[key]))
        for model, key in keys.items()
        if key in fields
    ]
    return [ask for ask in asks if ask is not None]


def composes(catalog: Catalog, address: str) -> bool:
    """Whether what an address asks for is of models that can be composed."""
    name = dict(parse_qsl(address.removeprefix("?"))).get("model")
    return name in catalog.families() or name in catalog.families_by_base()


def words(catalog: Catalog, asked: Asked) -> str:
    """The same for people: "faces128: young and smiling (0.6), seed 3"."""
    return _edit_words(catalog, asked) if isinstance(asked, Edit) else _recipe_words(catalog, asked)


def _edit_words(catalog: Catalog, edit: Edit) -> str:
    model = in_words(catalog.families_by_base()[edit.model], edit.asks) if edit.asks else edit.model
    where = [] if edit.where == PAINTED else [edit.where.lower()]
    strength = [] if edit.strength == STRENGTHS[edit.where] else [f"strength {edit.strength:g}"]
    return ", ".join([f"edit with {model}", f"seed {edit.seed}", *where, *strength])


def _recipe_words(catalog: Catalog, recipe: Recipe) -> str:
    if recipe.composition is None:
        changes = [f"{INPUTS[name][0]} {value:g}" for name, value in changed(catalog, recipe).items()]
        return ", ".join([f"{recipe.model}, seed {recipe.seed}", *changes])
    family = _family(catalog, recipe.model)
    return f"{in_words(family, asks_of(recipe.composition, family))}, seed {recipe.seed}"


def changed(catalog: Catalog, recipe: Recipe) -> dict[str, float]:
    """The controls of the Sample tab that a recipe does not leave as the model was trained."""
    own = asdict(controls_of(catalog.get(recipe.model)))
    return {name: value for name, value in asdict(controls_of_recipe(recipe)).items() if value != own[name]}


def _address(fields: Mapping[str, Any]) -> str:
    return "?" + urlencode(fields, safe=",")


def _check_known(catalog: Catalog, fields: Mapping[str, str], known: Sequence[str]) -> None:
    """Raises LinkError for a setting that the tab does not have; what other sites append to a link is none."""
    for name in fields:
        if name in known or _is_foreign(catalog, name):
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=NEAR)
        reason = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(known)}"
        raise LinkError(f"unknown setting {brief(name)}; {reason}")


def _is_foreign(catalog: Catalog, name: str) -> bool:
    """Whether a field is like no setting of any tab, as those are by which sites follow who comes from where."""
    attributes = [key for family in catalog.families().values() for key in _keys(family).values()]
    return not difflib.get_close_matches(name, [*EDITING, *INPUTS, *attributes], n=1, cutoff=NEAR)


def _family(catalog: Catalog, name: str) -> Family:
    families = catalog.families()
    if name not in families:
        raise LinkError(f"there are no models to compose of {brief(name)} here; there are: {', '.join(families)}")
    return families[name]


def _keys(family: Family, taken: Sequence[str] = COMMON) -> dict[str, str]:
    """By model the name of its field: that of its attribute, or its own where that one is taken."""
    names = Counter([*taken, *(attribute.name for attribute in family.attributes.values())])
    return {model: a.name if names[a.name] == 1 else model for model, a in family.attributes.items()}


def _write_values(values: Sequence[Any]) -> str:
    *value, weight, operator = values
    value = value[0] if value and isinstance(value[0], list) else value
    parts = [*value, weight, *([operator] if operator != "and" else [])]
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(f"{p:.12g}" if isinstance(p, float) else p for p in parts)
    return line.getvalue()


def _read_values(attribute: Attribute, text: str) -> list[Any]:
    """The values of an attribute's controls. Raises LinkError for a field of another form."""
    try:
        parts = next(csv.reader([text]), [])
    except csv.Error as error:
        raise LinkError(f"'{attribute.name}' cannot be read ({error})") from error
    operator = parts.pop() if parts and parts[-1] in OPERATORS else "and"
    picks = any(control.options for control in attribute.controls)
    many = max(1, len(parts) - 1) if picks else len(attribute.controls)
    if len(parts) != many + 1:
        form = ["a weight", "a value and a weight"][many] if many < 2 else f"{many} numbers and a weight"
        raise LinkError(f"'{attribute.name}' must be {form}, with commas between; got {brief(text)}")
    weight = _number(parts.pop(), f"the weight of '{attribute.name}'")
    if picks:
        return [parts, weight, operator]
    return [*(_number(part, f"'{attribute.name}'") for part in parts), weight, operator]


def _number(value: str | float, name: str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise LinkError(f"{name} must be a number, got {brief(value)}") from error
