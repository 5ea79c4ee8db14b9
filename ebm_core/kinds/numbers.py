"""A number under each key; its label has each mapped from [low, high] to [-1, 1]."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ebm_core.arguments import Bounds, brief, is_finite
from ebm_core.kinds.kind import Control, Declared

NUM_VALUES, RANGES, CHOICE, OPPOSITES = (0, 0), True, False, False
CLOSE = 0.125  # of the data's range: within it a value counts as right


def label_dim(a: Declared) -> int:
    return len(a.keys)


def encode(a: Declared, value: Any) -> list[float]:
    numbers = finite(a, value, len(a.keys))
    return [2 * (n - lo) / (hi - lo) - 1 for n, lo, hi in zip(numbers, a.low, a.high, strict=True)]


def decode(a: Declared, vector: Sequence[float]) -> list[float]:
    return [lo + (v + 1) / 2 * (hi - lo) for v, lo, hi in zip(vector, a.low, a.high, strict=True)]


def describe(a: Declared, value: Sequence[float]) -> str:
    return ", ".join(f"{key} {number:.2f}" for key, number in zip(a.keys, value, strict=True))


def hear(a: Declared, said: Any) -> list[Any]:
    for key, number, low, high in zip(a.keys, finite(a, said, len(a.keys)), a.low, a.high, strict=True):
        Bounds(low, high).check(number, f"'{key}' of '{a.name}'")
    return [said]


def say(a: Declared, values: Sequence[Any]) -> list[float]:
    return list(values[0])


def controls(a: Declared) -> list[Control]:
    return [
        Control(key, key, low, high, 0.05, round((low + high) / 2, 6))  # not 0.7999999
        for key, low, high in zip(a.keys, a.low, a.high, strict=True)
    ]


def sheet(a: Declared) -> list[list[float]]:
    """A few across the range, one key after the other."""
    ranges = list(zip(a.low, a.high, strict=True))
    middle = [(low + high) / 2 for low, high in ranges]
    rows = []
    for i, (low, high) in enumerate(ranges):
        rows += [[*middle[:i], low + share * (high - low), *middle[i + 1 :]] for share in (0.1, 0.5, 0.9)]
    return rows


def levels(a: Declared) -> list[list[float]]:
    """Three places on the diagonal of the range, a little inside it."""
    ranges = list(zip(a.low, a.high, strict=True))
    return [[low + share * (high - low) for low, high in ranges] for share in (0.15, 0.5, 0.85)]


def error(a: Declared, output: Tensor, label: Tensor) -> Tensor:
    """The distance in the data's units."""
    ranges = torch.tensor(a.high, device=output.device) - torch.tensor(a.low, device=output.device)
    distance: Tensor = torch.linalg.vector_norm((output - label) / 2 * ranges, dim=1)
    return distance


def matches(a: Declared, output: Tensor, label: Tensor) -> Tensor:
    return ((output - label).abs() <= 2 * CLOSE).all(dim=1)  # a label's numbers go from -1 to 1


def finite(a: Declared, value: Any, num: int) -> list[float]:
    """So many finite numbers. Raises ValueError, in a sentence, for anything else."""
    numbers = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    if len(numbers) != num or not all(map(is_finite, numbers)):
        raise ValueError(f"{a.name} must be {num} finite numbers, got {brief(value)}")
    return numbers
