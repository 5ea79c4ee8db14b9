"""What a family's classifier sees in finished pictures, in words."""

import torch
from torch import Tensor

from ebm_core.attribute import Attribute
from ebm_core.classifier import Classifier

SURE = 0.8  # probability from which on a class is named without a question mark


@torch.no_grad()
def captions(classifier: Classifier, x: Tensor) -> list[str]:
    """A line for each of the pictures ``(B, 3, H, W)`` in [0, 1]: "young, female, smiling?".

    Pictures larger than those it was trained on are reduced. Raises ValueError for smaller ones.
    """
    outputs = classifier.by_attribute(classifier(classifier.fitted(x)))
    attributes = classifier.config.attributes
    return [", ".join(_phrase(a, outputs[a.name][i]) for a in attributes) for i in range(len(x))]


def _phrase(attribute: Attribute, output: Tensor) -> str:
    if attribute.is_choice:
        sure = bool(torch.softmax(output, 0).max() >= SURE)
        return f"{attribute.decode(output.tolist())}{'' if sure else '?'}"
    return attribute.describe(output.clamp(-1, 1).tolist())
