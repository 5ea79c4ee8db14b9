"""What the controls of the composing page mean: an ask for each, and a composition in words. No Gradio here."""

from collections.abc import Sequence
from typing import Any

from ebm_core.attribute import Attribute
from ebm_core.composition import And, Composition, CompositionError, Node, Or, Term
from ebm_core.family import NOT_SHARE, Ask, Family, Operator, ask_for, check_operator


def read_ask(model: str, attribute: Attribute, values: Sequence[Any]) -> Ask | None:
    """The values of an attribute's controls: its numbers, or its names of which any will do, a strength, an operator.

    None: it is off. For a binary attribute the strength goes from -1 to 1 and its sign picks the value; for the others
    from 0 to 1. Raises ValueError, in a sentence, for values that its controls cannot have.
    """
    *value, strength, operator = values
    lowest = -1 if attribute.has_opposites else 0
    if not (isinstance(strength, (int, float)) and lowest <= strength <= 1):
        raise CompositionError(f"the slider of '{attribute.name}' goes from {lowest} to 1, got {strength!r}")
    check_operator(operator, attribute)
    if strength == 0:
        return None
    try:
        said = [attribute.opposites[strength > 0]] if attribute.has_opposites else attribute.hear_controls(value)
    except ValueError as error:
        raise CompositionError(str(error)) from error
    return ask_for(model, attribute, said, abs(float(strength)), operator)


def write_ask(attribute: Attribute, terms: Sequence[Term], weight: float, operator: Operator) -> list[Any]:
    """The inverse of ``read_ask``. Raises CompositionError for a weight or labels that the controls cannot show."""
    weight = _tidy(weight)
    if not 0 < weight <= 1:
        raise CompositionError(f"the page's sliders end at 1, and '{terms[0].model}' has the weight {weight:g}")
    values = [attribute.decode(term.label) for term in terms]
    try:
        said = attribute.say_controls(values)
    except ValueError as error:
        raise CompositionError(f"this composition {error}, and the page can ask once") from error
    if attribute.has_opposites and values[0] != attribute.opposites[1]:
        weight = -weight
    return [*map(_tidy, said), weight, operator]


def _tidy(said: Any) -> Any:
    """A number without what going to a label and back leaves in its last digits: it may lie beyond a slider's end."""
    return float(f"{said:.12g}") if isinstance(said, float) else said


def decompose(composition: Composition, family: Family) -> dict[str, list[Any]]:
    """The inverse of ``compose``: by model the values of its controls, for those that are not off.

    Raises CompositionError when the page has no controls for such a composition.
    """
    root = composition.root
    if root == family.base_term:
        return {}
    if not isinstance(root, And) or (family.base is not None and abs(sum(root.weights) - 1) > 1e-6):
        raise CompositionError("this composition was not made on the page: `python -m train sample --recipe` takes it")
    values: dict[str, list[Any]] = {}
    for node, weight in zip(root.terms, root.weights, strict=True):
        if node == family.base_term:
            continue
        by_model = _by_model(node)
        sign: Operator = "and" if weight > 0 else "not"
        operator: Operator = "or" if len(by_model) > 1 else sign
        for model, terms in by_model.items():
            if model in values:
                raise CompositionError("this composition asks twice for one attribute, and the page can ask once")
            if model not in family.attributes:
                known = ", ".join(family.attributes)
                raise CompositionError(f"this composition needs '{model}', which is not here; there are: {known}")
            share = weight if operator != "not" else -weight / NOT_SHARE
            values[model] = write_ask(family.attributes[model], terms, share, operator)
    return values


def asks_of(composition: Composition, family: Family) -> list[Ask]:
    """What a composition asks for, in the order of the page's controls. Raises CompositionError as ``decompose``."""
    values = decompose(composition, family)
    asks = [read_ask(model, family.attributes[model], values[model]) for model in family.attributes if model in values]
    return [ask for ask in asks if ask is not None]


def _by_model(node: Node) -> dict[str, list[Term]]:
    """The terms of one term of an AND: its own, or those of an OR. Raises CompositionError for a deeper one."""
    by_model: dict[str, list[Term]] = {}
    for term in node.terms if isinstance(node, Or) else (node,):
        if not isinstance(term, Term):
            raise CompositionError("this composition nests deeper than the page's controls do")
        by_model.setdefault(term.model, []).append(term)
    return by_model


def in_words(family: Family, asks: Sequence[Ask]) -> str:
    """The recipe as a sentence: "faces: young and smiling (0.8), but not wavy hair"."""
    if not asks:
        return f"{family.name}: any (nothing is asked for)"

    def phrase(ask: Ask) -> str:
        words = ask.words.replace(" or ", " nor ") if ask.operator == "not" else ask.words
        if ask.others and ask.operator == "and" and len(asks) > 1:
            words = f"({words})"
        return words if ask.weight == 1 else f"{words} ({ask.weight:g})"

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
