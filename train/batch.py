"""Training data on the device, and batches of them: points with their labels, where the model is conditional."""

from collections.abc import Sequence
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


class TrainingData:
    """Pictures uint8 ``(N, C, H, W)``, kept as ``space`` packs them; ``labels (N, label_dim)`` if conditional.

    ``looks`` are more views of each, and with ``mirror`` the mirror image of each picture and view is there too.
    ``balanced`` draws every different label equally often, however rare it is: four faces of five are young, and a
    model of "young" must learn the fifth as well.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor | None,
        space: Space,
        *,
        balanced: bool,
        mirror: bool,
        looks: ViewsConfig,
        device: str,
    ) -> None:
        if labels is not None and len(labels) != len(images):
            raise ValueError(f"there are {len(images)} images and {len(labels)} labels")
        self.space = space
        parts = []
        for view in (images, *views(images, looks)):
            sides = (view, view.flip(3)) if mirror else (view,)
            parts += [space.pack_pictures(side.to(device)) for side in sides]
        self.packed = torch.cat(parts)
        self.labels = None if labels is None else labels.to(device).repeat(len(parts), 1)
        self.weights: Tensor | None = None
        if balanced:
            if self.labels is None:
                raise ValueError("an unconditional model has no labels to balance; leave 'balanced' out")
            _, kind, counts = self.labels.unique(dim=0, return_inverse=True, return_counts=True)
            self.weights = 1 / counts[kind]

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
