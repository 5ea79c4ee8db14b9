"""Training data on the device, and batches of them: points with their labels, where the model is conditional."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ebm_core.attribute import Attribute
from ebm_core.space import Space
from train.data.labels import FORM
from train.views import ViewsConfig, views


class Batch(NamedTuple):
    """Points ``(B, C, H, W)`` and label vectors ``(B, label_dim)``; None for an unconditional model."""

    x: Tensor
    y: Tensor | None = None


def label_vectors(labels: Sequence[Any], attribute: Attribute, names: Sequence[str] = ()) -> Tensor:
    """The label vectors ``(N, label_dim)`` of a data set, whose pictures have ``names`` where they are files.

    Raises ValueError, which names the picture, when one has no label or one that does not fit.
    """

    def name(number: int) -> str:
        return names[number] if names else f"picture {number + 1}"

    bare = [number for number, label in enumerate(labels) if label is None]
    if bare:
        raise ValueError(f"{len(bare):,} of {len(labels):,} pictures have no label, such as {name(bare[0])}; {FORM}")
    vectors = []
    for number, label in enumerate(labels):
        try:
            vectors.append(attribute.read(label))
        except ValueError as error:
            raise ValueError(f"{name(number)}: {error}") from error
    return torch.tensor(vectors)


class Labels(NamedTuple):
    """Label vectors ``(N, label_dim)`` of a data set, and in which of its pictures ``(N,)`` the attribute shows."""

    vectors: Tensor
    seen: Tensor


def read_labels(labels: Sequence[Any], attribute: Attribute, names: Sequence[str] = ()) -> Labels:
    """What a data set says of an attribute; raises ValueError as ``label_vectors`` does."""
    vectors = label_vectors(labels, attribute, names)
    if not attribute.seen_on:
        return Labels(vectors, torch.ones(len(labels), dtype=torch.bool))
    bearer, value = attribute.seen_on
    seen = [isinstance(label, Mapping) and str(label.get(bearer)) == value for label in labels]
    return Labels(vectors, torch.tensor(seen, dtype=torch.bool))


def draw_weights(labels: Labels, balanced: bool, seen_share: float) -> Tensor | None:
    """How often each picture is drawn, ``(N,)``; None where all are drawn alike.

    ``balanced`` draws every different label equally often, however rare it is: four faces of five are young, and a
    model of "young" must learn the fifth as well. ``seen_share`` of the pictures, where it is not 0, show the
    attribute: of a sphere no angle can be learnt, and the others only teach that the angle leaves them as they are.
    """
    if not (balanced or seen_share):
        return None
    weights = torch.ones(len(labels.vectors))
    if balanced:
        _, kind, counts = labels.vectors.unique(dim=0, return_inverse=True, return_counts=True)
        weights = 1 / counts[kind]
    if seen_share:
        if not labels.seen.any():
            raise ValueError("'seen_share' is set, but no picture shows the attribute (its 'seen_on'); leave it out")
        for these, share in ((labels.seen, seen_share), (~labels.seen, 1 - seen_share)):
            weights[these] *= share / weights[these].sum()
    return weights


class TrainingData:
    """Pictures uint8 ``(N, C, H, W)``, kept as ``space`` packs them, with their ``labels`` if conditional.

    ``looks`` are more views of each, and with ``mirror`` the mirror image of each picture and view is there too.
    ``balanced`` and ``seen_share`` as ``draw_weights`` has them.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Labels | None,
        space: Space,
        *,
        balanced: bool = False,
        seen_share: float = 0.0,
        mirror: bool,
        looks: ViewsConfig,
        device: str,
    ) -> None:
        if labels is not None and len(labels.vectors) != len(images):
            raise ValueError(f"there are {len(images)} images and {len(labels.vectors)} labels")
        if labels is None and balanced:
            raise ValueError("an unconditional model has no labels to balance; leave 'balanced' out")
        self.space = space
        parts = []
        for view in (images, *views(images, looks)):
            sides = (view, view.flip(3)) if mirror else (view,)
            parts += [space.pack_pictures(side.to(device)) for side in sides]
        self.packed = torch.cat(parts)
        self.labels: Tensor | None = None
        self.weights: Tensor | None = None
        if labels is not None:
            self.labels = labels.vectors.to(device).repeat(len(parts), 1)
            weights = draw_weights(labels, balanced, seen_share)
            self.weights = None if weights is None else weights.to(device).repeat(len(parts))

    def __len__(self) -> int:
        return len(self.packed)

    def draw(self, num: int, rng: torch.Generator) -> Batch:
        """``num`` points with replacement, pixels dequantised."""
        if self.weights is None:
            index = torch.randint(len(self), (num,), generator=rng, device=self.packed.device)
        else:
            index = torch.multinomial(self.weights, num, replacement=True, generator=rng)
        return Batch(self.space.unpack(self.packed[index], rng), None if self.labels is None else self.labels[index])

    def first(self, num: int) -> Batch:
        """The first points, always the same ones, pixels at the middle of their dequantisation."""
        return Batch(self.space.unpack(self.packed[:num], None), None if self.labels is None else self.labels[:num])

    def label_sheet(self, num: int) -> Tensor | None:
        """Labels for ``num`` samples to look at: of few different ones each equally often, else those of the data."""
        if self.labels is None:
            return None
        kinds: Tensor = self.labels[:1000].unique(dim=0).flip(0)
        if len(kinds) > num:
            kinds = self.labels[:num]
        chosen: Tensor = kinds[torch.arange(num, device=kinds.device) * len(kinds) // num]
        return chosen
