"""Which models belong together, and what is asked of them together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ebm_core.attribute import Attribute
from ebm_core.checkpoint import ModelInfo
from ebm_core.composition import Composition, CompositionError, Node, Or, Term, conjunction

Operator = Literal["and", "or", "not"]
OPERATORS: tuple[Operator, ...] = ("and", "or", "not")
# What is forbidden counts a third of what is asked for: the NOTs stay outweighed while nothing is turned down.
NOT_SHARE = 0.3


@dataclass(frozen=True)
class Family:
    """Models that may be mixed: one for each attribute, and an unconditional one if there is one."""

    name: str
    base: str | None
    attributes: dict[str, Attribute]  # by the name of the model that has learned it

    @property
    def base_term(self) -> Term | None:
        return None if self.base is None else Term(self.base)


@dataclass(frozen=True)
class Ask:
    """What is asked of one attribute: a label, how much it weighs (above 0 to 1), and how it joins the others.

    With ``others`` any of several labels will do: "ship or car".
    """

    model: str
    attribute: Attribute
    label: tuple[float, ...]
    weight: float
    operator: Operator = "and"
    others: tuple[tuple[float, ...], ...] = ()

    @property
    def terms(self) -> tuple[Term, ...]:
        """One for each label."""
        return tuple(Term(self.model, label) for label in (self.label, *self.others))

    @property
    def node(self) -> Node:
        return Or(self.terms) if self.others else self.terms[0]

    @property
    def words(self) -> str:
        return " or ".join(self.attribute.describe(term.label) for term in self.terms)


def check_operator(operator: object, attribute: Attribute) -> None:
    """Raises CompositionError for what joins nothing."""
    if operator not in OPERATORS:
        raise CompositionError(f"'{attribute.name}' is joined by one of {', '.join(OPERATORS)}, got {operator!r}")


def ask_for(model: str, attribute: Attribute, values: Sequence[Any], weight: float, operator: Operator) -> Ask:
    """An ask for any of several values, as ``Attribute.encode`` takes them. Raises CompositionError for others."""
    try:
        label, *others = (tuple(attribute.encode(value)) for value in values)
    except ValueError as error:
        raise CompositionError(str(error)) from error
    return Ask(model, attribute, label, weight, operator, tuple(others))


def families(infos: Mapping[str, ModelInfo]) -> dict[str, Family]:
    """The families with at least one attribute, by name; ``infos`` by the models' names."""
    by_name: dict[str, Family] = {}
    for name in sorted({info.family for info in infos.values() if info.family}):
        members = {model: info for model, info in infos.items() if info.family == name}
        attributes = {model: info.attribute for model, info in members.items() if info.attribute is not None}
        if attributes:
            by_name[name] = Family(name, base_of(name, members), attributes)
    return by_name


def base_of(family: str, infos: Mapping[str, ModelInfo]) -> str | None:
    """The name of a family's unconditional model, the first of several; None without one, or for no family ("")."""
    if not family:
        return None
    return next((n for n, info in sorted(infos.items()) if info.family == family and not info.net.label_dim), None)


def compose(family: Family, asks: Sequence[Ask]) -> Composition:
    """AND is a weighted sum, the ORs together are one term of it with the largest of their weights, NOT is negative.

    What the attributes have in common counts once (``conjunction``). Nothing asked for: the unconditional model.
    Raises CompositionError, in a sentence, for what makes no distribution.
    """
    if not asks:
        if family.base_term is None:
            raise CompositionError("nothing is asked for: move at least one slider")
        return Composition(family.base_term)
    alternatives = [ask for ask in asks if ask.operator == "or"]
    terms: list[Node] = [ask.node for ask in asks if ask.operator != "or"]
    weights = [ask.weight * (-NOT_SHARE if ask.operator == "not" else 1) for ask in asks if ask.operator != "or"]
    either = tuple(term for ask in alternatives for term in ask.terms)
    if len(either) == 1:
        raise CompositionError(f"'{alternatives[0].words}' or what? An OR joins two: set another attribute to 'or' too")
    if alternatives:
        terms.append(Or(either))
        weights.append(max(ask.weight for ask in alternatives))
    return Composition(conjunction(terms, weights, family.base_term))
