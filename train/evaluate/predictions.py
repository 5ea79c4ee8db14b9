"""What a classifier reads in pictures beside what was asked for. One measure, for samples and for real pictures alike.

Of a choice it is the balanced share: of the pictures that were asked for one value the share that is read as it, and
the mean of that over the values that were asked for. So a rare value counts as much as a common one, and a model that
always draws the same has 1/2 where both values of an attribute are asked for. Where one value is asked for it is the
plain share. Of numbers and angles it is the mean error. Of an OR and a NOT, whose terms need not all be there, it is
the plain share that is read as each term says (``shares``).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ebm_core.attribute import Attribute
from ebm_core.classifier import Classifier
from train.evaluate.asking import Asked

TOGETHER = "all at once"
BATCH = 250


def predictions(classifier: Classifier, pictures: Tensor, device: str) -> dict[str, Tensor]:
    """The classifier's outputs ``(B, label_dim)`` by attribute, for uint8 ``(B, C, H, W)``."""
    return classifier.by_attribute(
        torch.cat([classifier((part.to(device) + 0.5) / 256).cpu() for part in pictures.split(BATCH)])
    )


def accuracies(
    outputs: dict[str, Tensor], attributes: dict[str, Attribute], labels: dict[str, Tensor]
) -> dict[str, float]:
    """By attribute in ``labels`` the balanced share read as the label says, or the mean error; of several choices also
    that of all of them at once.

    What is seen on one kind of picture only is judged where that kind is asked for, if any kind is.
    """
    figures, choices = {}, []
    for name, label in labels.items():
        seen = is_seen(attributes[name], attributes, labels)
        if not seen.any():
            continue
        error = attributes[name].error(outputs[name][seen], label[seen])
        if attributes[name].is_choice:
            figures[name] = balanced(1 - error, label[seen])
            choices.append(name)
        else:
            figures[name] = float(error.mean())
    if len(choices) > 1:
        right = [1 - attributes[name].error(outputs[name], labels[name]) for name in choices]
        asked = torch.cat([labels[name] for name in choices], dim=1)
        figures[TOGETHER] = balanced(torch.stack(right).prod(dim=0), asked)
    return {name: round(value, 4) for name, value in figures.items()}


def shares(outputs: dict[str, Tensor], attributes: dict[str, Attribute], asked: Sequence[Asked]) -> dict[str, float]:
    """Of an OR or a NOT the share of pictures read as each term asks or forbids, and of an OR as any of its terms asks.

    Numbers and angles count as read where ``Attribute.matches`` finds them close.
    """
    alike = [attributes[a.attribute].matches(outputs[a.attribute], a.labels) for a in asked]
    figures = {a.phrase: one.float().mean() for a, one in zip(asked, alike, strict=True)}
    if any(a.operator == "or" for a in asked):
        figures["any of them"] = torch.stack(alike).any(dim=0).float().mean()
    return {name: round(float(value), 4) for name, value in figures.items()}


def balanced(right: Tensor, asked: Tensor) -> float:
    """The mean of ``right (B,)`` over the pictures of each different row of ``asked (B, D)``, and of these the mean."""
    _, kind, counts = asked.unique(dim=0, return_inverse=True, return_counts=True)
    return float((torch.zeros(len(counts)).index_add_(0, kind, right) / counts).mean())


def has_asked(labels: dict[str, Tensor], attributes: dict[str, Attribute], real: dict[str, Tensor], num: int) -> Tensor:
    """Which of ``num`` real pictures with labels ``real`` have, of every choice, a value that ``labels`` ask for."""
    has = torch.ones(num, dtype=torch.bool)
    for name, label in labels.items():
        if attributes[name].is_choice:
            has &= (real[name][:, None] == label.unique(dim=0)[None]).all(dim=2).any(dim=1)
    return has


def has_terms(asked: Sequence[Asked], real: dict[str, Tensor]) -> Tensor:
    """Which real pictures with labels ``real`` have any of an OR's terms, or all of the others and none of a NOT's.

    Of terms that ask for one value.
    """
    each = torch.stack([(real[a.attribute] == a.labels[0]).all(dim=1) == (a.operator != "not") for a in asked])
    return each.any(dim=0) if any(a.operator == "or" for a in asked) else each.all(dim=0)


def is_seen(attribute: Attribute, attributes: dict[str, Attribute], labels: dict[str, Tensor]) -> Tensor:
    """Of which pictures, ``(B,)``, the labels say that the attribute shows."""
    found = attribute.bearer({name: attributes[name] for name in labels})
    if found is None:
        return torch.ones(len(labels[attribute.name]), dtype=torch.bool)
    bearer, value = found
    return (labels[bearer.name] == torch.tensor(bearer.encode(value))).all(dim=1)
