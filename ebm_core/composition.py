"""A composition as data: which models, which labels, weights and operators. Page, command line and PNGs share it.

As JSON a node is one of ::

    {"model": "faces-smiling", "label": [0, 1]}                            a model, with a label if conditional
    {"and": [{"weight": 1.0, "term": NODE}, {"weight": -0.3, "term": NODE}]}  a negative weight is a NOT
    {"or": [NODE, NODE], "sharpness": 2e8}

The step size of the family's plan is divided by the sum of the weights, so that more terms do not mean longer steps
(the reference code divides by the number of models: 500 / 4 for four). A single term's weight then has no effect:
weights say what counts how much beside each other. ``conjunction`` makes the AND whose weights sum to one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ebm_core.arguments import brief, is_finite
from ebm_core.checkpoint import ModelInfo
from ebm_core.compose import Mixture, Product, check_weights, product_weights
from ebm_core.energy import EnergyFn
from ebm_core.langevin import LangevinConfig
from ebm_core.level import Levelled, Reference
from ebm_core.nets import EnergyNetwork
from ebm_core.sampling import SamplePlan
from ebm_core.space import Space

SAME_TEMPERATURE = 0.01  # relative: plans are written with some three digits
MAX_DEPTH, MAX_TERMS, MAX_WEIGHT, MAX_SHARPNESS = 6, 16, 4.0, 1e9
# The mixture of the densities that are sampled, exp(-E / T): to within T the lowest energy alone counts. Softer, chains
# set out for the mean of the terms: at 1 / 5e-4 fourteen of sixteen cubes or spheres became spheres, so eight.
DEFAULT_SHARPNESS = 1 / LangevinConfig().temperature


class CompositionError(ValueError):
    """A composition that means nothing, or whose models do not fit each other; the message says which and why."""


@dataclass(frozen=True)
class Term:
    """One model; ``label`` is empty for an unconditional one."""

    model: str
    label: tuple[float, ...] = ()


@dataclass(frozen=True)
class And:
    """Every term, each with its weight; negative = NOT."""

    terms: tuple["Node", ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.terms) != len(self.weights):
            raise CompositionError(f"an AND has {len(self.terms)} terms and {len(self.weights)} weights")
        for weight in self.weights:
            if not (math.isfinite(weight) and 0 < abs(weight) <= MAX_WEIGHT):
                raise CompositionError(
                    f"a weight must be from -{MAX_WEIGHT:g} to {MAX_WEIGHT:g} and not 0, got {weight}; leave out what "
                    "should not count"
                )
        try:
            # With what their own terms weigh: sums within a sum may cancel where their weights do not.
            check_weights([w * _total_weight(term) for w, term in zip(self.weights, self.terms, strict=True)])
        except ValueError as error:
            raise CompositionError(str(error)) from error


@dataclass(frozen=True)
class Or:
    """Any of the terms."""

    terms: tuple["Node", ...]
    sharpness: float = DEFAULT_SHARPNESS

    def __post_init__(self) -> None:
        if len(self.terms) < 2:
            raise CompositionError(f"an OR needs two terms or more, got {len(self.terms)}: make it an AND or add one")
        if not 0 < self.sharpness <= MAX_SHARPNESS:
            raise CompositionError(f"the sharpness of an OR must be positive, got {self.sharpness}")


Node = Term | And | Or


@dataclass(frozen=True)
class Composition:
    """A whole composition: the node at its root."""

    root: Node

    @classmethod
    def from_plain(cls, value: Any) -> "Composition":
        """From JSON's dictionaries and lists. Raises CompositionError, in a sentence, for anything else."""
        composition = cls(_parse(value, 0))
        if len(composition.leaves()) > MAX_TERMS:
            raise CompositionError(f"a composition has at most {MAX_TERMS} terms, this one {len(composition.leaves())}")
        return composition

    def to_plain(self) -> dict[str, Any]:
        """The inverse of ``from_plain``."""
        return _plain(self.root)

    def leaves(self) -> list[Term]:
        """The models with their labels, in the order in which they stand."""
        return _leaves(self.root)

    def models(self) -> list[str]:
        """The names of the models, each once."""
        return list(dict.fromkeys(term.model for term in self.leaves()))

    @property
    def labelled(self) -> bool:
        """Whether any of its models is asked for a label."""
        return any(term.label for term in self.leaves())

    @property
    def has_or(self) -> bool:
        """Whether it has an OR anywhere."""
        return _has_or(self.root)

    def total_weight(self) -> float:
        """By how much what the models have in common is scaled: the sum of the weights, for OR the largest."""
        return _total_weight(self.root)

    def plan(self, infos: Mapping[str, ModelInfo]) -> SamplePlan:
        """The plan of the models' family, its step size divided by ``total_weight``.

        Candidates are for a model alone: of 64 young and smiling faces the better of two were read as asked as often
        (.89, without .91), and hardly more were whole, in nearly twice the time.
        Raises CompositionError when a model is unknown, a label does not fit, or two models cannot be mixed.
        """
        first = None
        for term in self.leaves():
            if term.model not in infos:
                raise CompositionError(f"there is no model '{term.model}' here; there are: {', '.join(infos)}")
            info = infos[term.model]
            if len(term.label) != info.net.label_dim:
                raise CompositionError(
                    f"'{term.model}' takes a label of {info.net.label_dim} numbers, got {len(term.label)}"
                )
            if first is None:
                first = term.model
            elif term.model != first:
                _check_mixable(first, infos[first], term.model, info)
        assert first is not None
        own = infos[first].plan
        langevin = replace(own.langevin, step_size=own.langevin.step_size / self.total_weight())
        return replace(own, langevin=langevin, candidates=own.candidates if isinstance(self.root, Term) else 1)

    def energy(self, nets: Mapping[str, EnergyNetwork], reference: Reference | None, space: Space) -> EnergyFn:
        """The composed energy; of an AND at the root the terms are ``scale_energies``, in order.

        ``reference`` is that of the family's unconditional model, if there is one: all labels are brought to its level
        (``ebm_core.level``), whether it is a term of the composition or not.
        """
        return energy_of_each([self], nets, reference, space)


def energy_of_each(
    compositions: Sequence[Composition], nets: Mapping[str, EnergyNetwork], reference: Reference | None, space: Space
) -> EnergyFn:
    """The energy of a batch each of whose pictures has a composition of its own (a single one is everyone's).

    Raises CompositionError unless they differ in nothing but their labels.
    """
    if len({_unlabelled(composition.root) for composition in compositions}) != 1:
        raise CompositionError("pictures of one batch may be asked for other labels, but in one and the same form")
    return _energy([composition.root for composition in compositions], nets, reference, space, inside_or=False)


def conjunction(terms: Sequence[Node], weights: Sequence[float], base: Term | None) -> And:
    """Attributes together: divided by the unconditional model ``base`` for each one but the first, if there is one.

    Raises CompositionError, with the reason, for weights that make no distribution by themselves.
    """
    asked = And(tuple(terms), tuple(weights))
    if base is None:
        return asked
    pairs = [pair for pair in zip([*terms, base], product_weights(weights), strict=True) if abs(pair[1]) > 1e-9]
    return And(tuple(term for term, _ in pairs), tuple(weight for _, weight in pairs))


def _check_mixable(a: str, info_a: ModelInfo, b: str, info_b: ModelInfo) -> None:
    if not info_a.family or info_a.family != info_b.family:
        kinds = [info.family or "no family" for info in (info_a, info_b)]
        raise CompositionError(
            f"'{a}' ({kinds[0]}) and '{b}' ({kinds[1]}) cannot be mixed: they were trained on different pictures"
        )
    if info_a.space != info_b.space:
        raise CompositionError(
            f"'{a}' and '{b}' cannot be mixed: one is an energy of {info_a.space.describe()}, the other of "
            f"{info_b.space.describe()}"
        )
    size_a, size_b = ((i.net.channels, i.net.image_size) for i in (info_a, info_b))
    if size_a != size_b:
        raise CompositionError(
            f"'{a}' and '{b}' cannot be mixed: one makes pictures of {size_a[1]} pixels with {size_a[0]} channels, "
            f"the other of {size_b[1]} with {size_b[0]}"
        )
    # How many steps and how long ones is no matter of scale: a family's unconditional model may be tuned to others.
    own, other = (info.plan.langevin.temperature for info in (info_a, info_b))
    if not math.isclose(own, other, rel_tol=SAME_TEMPERATURE):
        raise CompositionError(
            f"'{a}' and '{b}' cannot be mixed: their chains have other temperatures ({own:.3g}, {other:.3g}: noise_std "
            "squared over twice the step size), so their energies are not on one scale; train one of them again with "
            "the other's [plan]"
        )


def _parse(value: Any, depth: int) -> Node:
    if depth > MAX_DEPTH:
        raise CompositionError(f"a composition nests at most {MAX_DEPTH} deep")
    if not isinstance(value, dict):
        raise CompositionError(f"a part of a composition is a dictionary, got {brief(value)}")
    keys = set(value)
    if "model" in keys and keys <= {"model", "label"}:
        label = value.get("label", [])
        if not isinstance(value["model"], str) or not isinstance(label, list):
            raise CompositionError(f"a model has a name and a list of numbers as its label, got {brief(value)}")
        return Term(value["model"], tuple(_number(number) for number in label))
    if keys == {"and"} and isinstance(value["and"], list):
        if not all(isinstance(e, dict) and set(e) == {"weight", "term"} for e in value["and"]):
            raise CompositionError("an AND is a list of {'weight': NUMBER, 'term': ...}")
        terms = tuple(_parse(entry["term"], depth + 1) for entry in value["and"])
        return And(terms, tuple(_number(entry["weight"]) for entry in value["and"]))
    if "or" in keys and keys <= {"or", "sharpness"} and isinstance(value["or"], list):
        terms = tuple(_parse(entry, depth + 1) for entry in value["or"])
        return Or(terms, _number(value.get("sharpness", DEFAULT_SHARPNESS)))
    raise CompositionError(f"a part of a composition has 'model', 'and' or 'or', got {', '.join(map(repr, keys)):.80}")


def _number(value: Any) -> float:
    if not is_finite(value):
        raise CompositionError(f"a composition's labels and weights are finite numbers, got {brief(value)}")
    return float(value)


def _plain(node: Node) -> dict[str, Any]:
    if isinstance(node, Term):
        return {"model": node.model, "label": list(node.label)}
    if isinstance(node, And):
        pairs = zip(node.weights, node.terms, strict=True)
        return {"and": [{"weight": weight, "term": _plain(term)} for weight, term in pairs]}
    return {"or": [_plain(term) for term in node.terms], "sharpness": node.sharpness}


def _leaves(node: Node) -> list[Term]:
    return [node] if isinstance(node, Term) else [leaf for term in node.terms for leaf in _leaves(term)]


def _has_or(node: Node) -> bool:
    return isinstance(node, Or) or (isinstance(node, And) and any(_has_or(term) for term in node.terms))


def _total_weight(node: Node) -> float:
    if isinstance(node, Term):
        return 1.0
    if isinstance(node, And):
        return sum(w * _total_weight(term) for w, term in zip(node.weights, node.terms, strict=True))
    return max(_total_weight(term) for term in node.terms)


def _unlabelled(node: Node) -> Node:
    if isinstance(node, Term):
        return replace(node, label=(0.0,) * len(node.label))
    return replace(node, terms=tuple(_unlabelled(term) for term in node.terms))


def _energy(
    nodes: Sequence[Node],
    nets: Mapping[str, EnergyNetwork],
    reference: Reference | None,
    space: Space,
    inside_or: bool,
) -> EnergyFn:
    """Of one node, or of one for each picture."""
    first = nodes[0]
    if isinstance(first, Term):
        net = nets[first.model]
        if not first.label:
            return net
        labels = torch.tensor([node.label for node in nodes if isinstance(node, Term)])
        return Levelled(net, labels.to(next(net.parameters()).device), reference, space, follows=inside_or)
    inside_or = inside_or or isinstance(first, Or)
    parts = [node.terms for node in nodes if not isinstance(node, Term)]
    energies = [_energy(terms, nets, reference, space, inside_or) for terms in zip(*parts, strict=True)]
    return Product(energies, first.weights) if isinstance(first, And) else Mixture(energies, first.sharpness)
