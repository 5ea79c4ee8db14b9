"""What a family's classifier sees in finished pictures, in words."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ebm_core.attribute import Attribute
from ebm_core.classifier import Classifier

SURE = 0.8  # probability from which on a class is named without a question mark


@torch.no_grad()
def captions(classifier: Classifier, x: Tensor) -> list[str]:
    """A line for each of the pictures ``(B, 3, H, W)`` in [0, 1]: "young, female, smiling?".

    An attribute that shows on one kind of picture only is left out where another kind is seen: a sphere has no angle.
    Pictures larger than those it was trained on are reduced. Raises ValueError for smaller ones.
    """
    outputs = classifier.by_attribute(classifier(classifier.fitted(x)))
    attributes = {a.name: a for a in classifier.config.attributes}
    lines = []
    for i in range(len(x)):
        read = {name: output[i] for name, output in outputs.items()}
        lines.append(", ".join(_phrase(a, read[a.name]) for a in attributes.values() if _shows(a, attributes, read)))
    return lines


def _shows(attribute: Attribute, attributes: Mapping[str, Attribute], read: Mapping[str, Tensor]) -> bool:
    if (found := attribute.bearer(attributes)) is None:
        return True
    bearer, value = found
    return bool(bearer.decode(read[bearer.name].tolist()) == value)


def _phrase(attribute: Attribute, output: Tensor) -> str:
    if attribute.is_choice:
        sure = bool(torch.softmax(output, 0).max() >= SURE)
        return f"{attribute.decode(output.tolist())}{'' if sure else '?'}"
    return attribute.describe(output.clamp(-1, 1).tolist())
