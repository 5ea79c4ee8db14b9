"""Replay buffer of past samples, packed and on the device."""

from typing import Any

import torch
from torch import Tensor

from ebm_core.space import Space
from train.batch import Batch
from train.config import BufferKind


class ReplayBuffer:
    """Up to ``capacity`` past points of a ``space``, each with the label that it was sampled for.

    ``ring`` forgets the oldest first. ``reservoir`` keeps a uniform sample of everything ever added
    (algorithm R, one draw for each image). From both, chains go on with replacement, so those of a small buffer soon
    have one ancestor. ``persistent`` keeps as many chains apart, each of which is put back where it was taken from
    (persistent contrastive divergence, Tieleman 2008): it may be small, and its chains become old.
    """

    def __init__(self, capacity: int, space: Space, kind: BufferKind, device: str, label_dim: int = 0) -> None:
        self.space = space
        self.images = space.pack(torch.zeros(1, *space.shape, device=device)).repeat(capacity, 1, 1, 1)
        self.labels = torch.zeros(capacity, label_dim, device=device)
        self.kind = kind
        self.num_added = 0
        self._taken: Tensor | None = None  # places that the next ``add`` fills

    def __len__(self) -> int:
        return min(self.num_added, len(self.images))

    @property
    def has_chains(self) -> bool:
        """Whether there is something to go on from: a single point, or where chains are kept apart, all of them."""
        return len(self) == len(self.images) if self.kind == "persistent" else len(self) > 0

    def add(self, batch: Batch, rng: torch.Generator) -> None:
        """Store points ``(B, C, H, W)`` and labels; raises ValueError when a batch exceeds the capacity."""
        x, capacity = batch.x, len(self.images)
        y = x.new_zeros(len(x), 0) if batch.y is None else batch.y
        if len(x) > capacity:
            raise ValueError(f"a batch of {len(x)} does not fit a replay buffer of {capacity}")
        order = torch.arange(self.num_added, self.num_added + len(x), device=x.device)
        images = self.space.pack(x)
        if self.kind != "reservoir":
            self._store(order % capacity if self._taken is None else self._taken, images, y)
            self._taken = None
        else:
            place = (torch.rand(len(x), generator=rng, device=x.device) * (order + 1)).long()
            slot = torch.where(order < capacity, order, place)
            # A later image of the batch wins a slot that two of them drew, as it would one after the other.
            last = torch.full((capacity + 1,), -1, device=x.device)
            position = torch.arange(len(x), device=x.device)
            last.scatter_reduce_(0, slot.clamp(max=capacity), position, "amax")
            winners = last[slot.clamp(max=capacity)] == position
            kept = winners & (slot < capacity)
            self._store(slot[kept], images[kept], y[kept])
        self.num_added += len(x)

    def _store(self, slots: Tensor, images: Tensor, labels: Tensor) -> None:
        self.images[slots], self.labels[slots] = images, labels

    def draw(self, num: int, rng: torch.Generator) -> Batch:
        """``num`` stored points with replacement, pixels dequantised."""
        return self._at(torch.randint(len(self), (num,), generator=rng, device=self.images.device), rng)

    def take(self, num: int, rng: torch.Generator) -> Batch:
        """``num`` points for chains to go on from: persistent ones are distinct, and put back by the next ``add``."""
        if self.kind != "persistent":
            return self.draw(num, rng)
        self._taken = torch.randperm(len(self), generator=rng, device=self.images.device)[:num]
        return self._at(self._taken, rng)

    def _at(self, index: Tensor, rng: torch.Generator) -> Batch:
        labels = self.labels[index] if self.labels.shape[1] else None
        return Batch(self.space.unpack(self.images[index], rng), labels)

    def state_dict(self) -> dict[str, Any]:
        held = len(self)
        return {"images": self.images[:held], "labels": self.labels[:held], "num_added": self.num_added}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        held = len(state["images"])
        self.images[:held] = state["images"].to(self.images.device)
        self.labels[:held] = state["labels"].to(self.labels.device)
        self.num_added = state["num_added"]
