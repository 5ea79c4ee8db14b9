"""What the controls of the composing page mean: an ask for each, and a composition in words. No Gradio here."""

import math
from collections.abc import Sequence
from typing import Any

from ebm_core.attribute import Attribute
from ebm_core.composition import And, Composition, CompositionError, Node, Or, Term
from ebm_core.family import NOT_SHARE, OPERATORS, Ask, Family, Operator


def read_ask(model: str, attribute: Attribute, values: Sequence[Any]) -> Ask | None:
    """The values of an attribute's controls: its numbers or its name, a strength, an operator. None: it is off.

    For a binary attribute the strength goes from -1 to 1 and its sign picks the value; for the others from 0 to 1.
    Raises CompositionError, in a sentence, for values that its controls cannot have.
    """
    *value, strength, operator = values
    lowest = -1 if attribute.kind == "binary" else 0
    if not (isinstance(strength, (int, float)) and lowest <= strength <= 1):
        raise CompositionError(f"the slider of '{attribute.name}' goes from {lowest} to 1, got {strength!r}")
    if operator not in OPERATORS:
        raise CompositionError(f"'{attribute.name}' is joined by one of {', '.join(OPERATORS)}, got {operator!r}")
    if strength == 0:
        return None
    if attribute.kind == "binary":
        value = [attribute.opposites[strength > 0]]
    if attribute.kind == "angle":
        value = [math.radians(number) for number in value]
    try:
        label = tuple(attribute.encode(value if attribute.kind == "numbers" else value[0]))
    except ValueError as error:
        raise CompositionError(str(error)) from error
    return Ask(model, attribute, label, abs(float(strength)), operator)


def write_ask(attribute: Attribute, term: Term, weight: float, operator: Operator) -> list[Any]:
    """The inverse of ``read_ask``. Raises CompositionError for a weight that the controls cannot show."""
    if not 0 < weight <= 1:
        raise CompositionError(f"the page's sliders end at 1, and '{term.model}' has the weight {weight:g}")
    value = attribute.decode(term.label)
    if attribute.kind == "binary":
        return [weight if value == attribute.opposites[1] else -weight, operator]
    if attribute.kind == "numbers":
        return [*value, weight, operator]
    return [math.degrees(value) if attribute.kind == "angle" else value, weight, operator]


def decompose(composition: Composition, family: Family) -> dict[str, list[Any]]:
    """The inverse of ``compose``: by model the values of its controls, for those that are not off.

    Raises CompositionError when the page has no controls for such a composition.
    """
    root = composition.root
    if root == family.base_term:
        return {}
    if not isinstance(root, And) or (family.base is not None and abs(sum(root.weights) - 1) > 1e-6):
        raise CompositionError("this composition was not made on the page: `python -m train sample --recipe` takes it")
    entries: list[tuple[Node, float, Operator]] = []
    for term, weight in zip(root.terms, root.weights, strict=True):
        if term == family.base_term:
            continue
        if isinstance(term, Or):
            entries.extend((alternative, weight, "or") for alternative in term.terms)
        else:
            entries.append((term, weight if weight > 0 else -weight / NOT_SHARE, "and" if weight > 0 else "not"))
    values: dict[str, list[Any]] = {}
    for entry, weight, operator in entries:
        if not isinstance(entry, Term) or entry.model in values:
            raise CompositionError("this composition nests deeper than the page's controls do, or asks twice for one")
        if entry.model not in family.attributes:
            known = ", ".join(family.attributes)
            raise CompositionError(f"this composition needs '{entry.model}', which is not here; there are: {known}")
        values[entry.model] = write_ask(family.attributes[entry.model], entry, weight, operator)
    return values


def in_words(family: Family, asks: Sequence[Ask]) -> str:
    """The recipe as a sentence: "faces: young and smiling (0.8), but not wavy hair"."""
    if not asks:
        return f"{family.name}: any (nothing is asked for)"

    def phrase(ask: Ask) -> str:
        return ask.words if ask.weight == 1 else f"{ask.words} ({ask.weight:g})"

    wanted = [phrase(ask) for ask in asks if ask.operator == "and"]
    either = " or ".join(phrase(ask) for ask in asks if ask.operator == "or")
    unwanted = " nor ".join(phrase(ask) for ask in asks if ask.operator == "not")
    sentence = " and ".join([*wanted, f"({either})" if wanted and either else either] if either else wanted)
    return f"{family.name}: {sentence}" + (f", but not {unwanted}" if unwanted else "")


def formula(family: Family, asks: Sequence[Ask]) -> str:
    """The recipe as HTML: "E = 1 E_young + 0.8 E_smiling - 0.8 E_any"; a value stands in brackets if not the name."""

    def symbol(ask: Ask) -> str:
        value = "" if ask.words == ask.attribute.name else f"({ask.words.removeprefix(ask.attribute.name).strip()})"
        return f"<i>E</i><sub>{ask.attribute.name}</sub>{value}"

    if not asks:
        return "<i>E</i> = <i>E</i><sub>any</sub>"
    parts = [(ask.weight, symbol(ask)) for ask in asks if ask.operator == "and"]
    if either := [ask for ask in asks if ask.operator == "or"]:
        parts.append((max(ask.weight for ask in either), f"softmin({', '.join(symbol(ask) for ask in either)})"))
    parts += [(-ask.weight * NOT_SHARE, symbol(ask)) for ask in asks if ask.operator == "not"]
    left = 1 - sum(weight for weight, _ in parts)
    if family.base is not None and abs(left) > 1e-9:
        parts.append((left, "<i>E</i><sub>any</sub>"))
    written = " ".join(f"{'+' if weight > 0 else '−'} {abs(weight):.3g} {term}" for weight, term in parts)
    return "<i>E</i> = " + written.removeprefix("+ ")
