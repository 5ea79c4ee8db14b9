"""One of several names, by name or number; its label is one-hot."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ebm_core.arguments import brief
from ebm_core.kinds.kind import MOST, Control, Declared

NUM_VALUES, RANGES, CHOICE, OPPOSITES = (2, MOST), False, True, False


def label_dim(a: Declared) -> int:
    return len(a.values)


def encode(a: Declared, value: Any) -> list[float]:
    # A name comes first: classes named 1 to 5 reach us as numbers, and 1 is then that class and not the second.
    name = str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value
    places = range(0 if any(known.isdecimal() for known in a.values) else len(a.values))  # none where numbers are names
    if name in a.values:
        index = a.values.index(name)
    elif isinstance(value, int) and not isinstance(value, bool) and value in places:
        index = value
    else:
        raise ValueError(f"{a.name} must be one of {', '.join(a.values)}; got {brief(value)}")
    return [float(i == index) for i in range(len(a.values))]


def decode(a: Declared, vector: Sequence[float]) -> str:
    return a.values[max(range(len(vector)), key=vector.__getitem__)]


def describe(a: Declared, value: str) -> str:
    return value


def hear(a: Declared, said: Any) -> list[Any]:
    """A name or a list of them."""
    names = said if isinstance(said, list) else [said]
    if not names or len(set(map(str, names))) < len(names):
        known = ", ".join(a.values)
        raise ValueError(f"choose one or more different values of '{a.name}': each must be one of {known}")
    return names


def say(a: Declared, values: Sequence[Any]) -> list[Any]:
    return list(values)


def controls(a: Declared) -> list[Control]:
    return [Control("value", a.name, options=a.values)]


def sheet(a: Declared) -> list[str]:
    return list(a.values)


def levels(a: Declared) -> list[str]:
    return list(a.values)


def error(a: Declared, output: Tensor, label: Tensor) -> Tensor:
    return (output.argmax(dim=1) != label.argmax(dim=1)).float()


def matches(a: Declared, output: Tensor, label: Tensor) -> Tensor:
    return torch.eq(output.argmax(dim=1), label.argmax(dim=1))
