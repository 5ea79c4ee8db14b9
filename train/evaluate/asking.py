"""What ``evaluate compose`` asks for: attributes alone and together, one of two, one but not another."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from ebm_core.attribute import Attribute
from ebm_core.family import Operator


class Asked(NamedTuple):
    """What is asked of an attribute: a label for each sample, ``(num, label_dim)``, joined by an operator."""

    attribute: str
    labels: Tensor
    operator: Operator = "and"
    words: str = ""  # the value, where it is one and the same

    @property
    def phrase(self) -> str:
        return self.words or self.attribute


@dataclass(frozen=True)
class Case:
    """One composition."""

    name: str
    asked: tuple[Asked, ...]

    @property
    def labels(self) -> dict[str, Tensor]:
        """The labels that all samples must have, by attribute."""
        return {asked.attribute: asked.labels for asked in self.asked if asked.operator == "and"}


def in_order(attributes: dict[str, Attribute], first: Sequence[str]) -> list[str]:
    """All attributes: those that have a place in the order, then the others."""
    return [*(name for name in first if name in attributes), *(name for name in attributes if name not in first)]


def cases(attributes: dict[str, Attribute], order: Sequence[str], test: dict[str, Tensor], num: int) -> list[Case]:
    """Nothing, each attribute alone, then each with all before it in the order.

    Labels are those of test pictures, so that what is asked for exists; of a binary attribute alone both values take
    turns, and with others the positive end is asked for, as in ICD Table 4. What is seen on one kind of picture only is
    asked for of that kind.
    """

    def by_itself(name: str) -> Case:
        attribute = attributes[name]
        own = _both(attribute, num) if attribute.has_opposites else _typical(attribute, test, num)
        if (found := attribute.bearer(attributes)) is None:
            return Case(f"{name} alone", (own,))
        bearer, value = found
        return Case(f"{value} & {name}", (_same(bearer, value, num), own))

    typical = [_typical(attributes[name], test, num) for name in order]
    together = [Case(" & ".join(order[:count]), tuple(typical[:count])) for count in range(2, len(order) + 1)]
    return [Case("nothing", ()), *map(by_itself, order), *together]


def or_cases(attributes: dict[str, Attribute], order: Sequence[str], test: dict[str, Tensor], num: int) -> list[Case]:
    """The first two values of each choice, and each attribute or the next one."""
    pairs = [
        [_same(attribute, value, num) for value in attribute.values[:2]]
        for attribute in attributes.values()
        if attribute.is_choice and not attribute.has_opposites
    ]
    pairs += [[_typical(attributes[n], test, num) for n in pair] for pair in pairwise(_anywhere(attributes, order))]
    return [
        Case(" or ".join(asked.phrase for asked in pair), tuple(asked._replace(operator="or") for asked in pair))
        for pair in pairs
    ]


def not_cases(
    attributes: dict[str, Attribute], order: Sequence[str], test: dict[str, Tensor], num: int
) -> Iterator[tuple[Case, Case]]:
    """Each attribute forbidden beside the one before it, which cannot be left out, and the same without the NOT."""
    names = _anywhere(attributes, order)
    for wanted, unwanted in zip([*names[-1:], *names], names if len(names) > 1 else [], strict=False):
        asked, forbidden = (_typical(attributes[name], test, num) for name in (wanted, unwanted))
        with_not = Case(f"{asked.phrase}, but not {forbidden.phrase}", (asked, forbidden._replace(operator="not")))
        yield with_not, Case(asked.phrase, (asked,))


def _anywhere(attributes: dict[str, Attribute], order: Sequence[str]) -> list[str]:
    """The attributes that every picture shows."""
    return [name for name in order if not attributes[name].seen_on]


def _typical(attribute: Attribute, test: dict[str, Tensor], num: int) -> Asked:
    """The positive end of a binary attribute, of another the labels of test pictures."""
    if attribute.has_opposites:
        return _same(attribute, attribute.opposites[1], num)
    labels = test[attribute.name]
    return Asked(attribute.name, labels[torch.arange(num) % len(labels)])


def _same(attribute: Attribute, value: str, num: int) -> Asked:
    return Asked(attribute.name, torch.tensor(attribute.encode(value)).expand(num, -1), words=value)


def _both(attribute: Attribute, num: int) -> Asked:
    """Of a binary attribute the positive and the negative end in turn."""
    positive = torch.tensor(attribute.encode(attribute.opposites[1]))
    return Asked(attribute.name, torch.where(torch.arange(num)[:, None] % 2 == 1, 1 - positive, positive))
