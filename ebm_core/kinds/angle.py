"""Radians, said in degrees; its label is (sin, cos)."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ebm_core.kinds.kind import Control, Declared
from ebm_core.kinds.numbers import finite

NUM_VALUES, RANGES, CHOICE, OPPOSITES = (0, 0), False, False, False
CLOSE = 45.0  # degrees: within them a value counts as right


def label_dim(a: Declared) -> int:
    return 2


def encode(a: Declared, value: Any) -> list[float]:
    (angle,) = finite(a, value, 1)
    return [math.sin(angle), math.cos(angle)]


def decode(a: Declared, vector: Sequence[float]) -> float:
    return math.atan2(vector[0], vector[1]) % (2 * math.pi)


def describe(a: Declared, value: float) -> str:
    return f"{a.name} {math.degrees(value):.0f} degrees"


def hear(a: Declared, said: Any) -> list[Any]:
    return [math.radians(*finite(a, said, 1))]


def say(a: Declared, values: Sequence[Any]) -> float:
    return math.degrees(values[0])


def controls(a: Declared) -> list[Control]:
    return [Control("value", f"{a.name} in degrees", 0, 360, 5)]


def sheet(a: Declared) -> list[float]:
    return [i * math.pi / 4 for i in range(8)]


def levels(a: Declared) -> list[float]:
    return [i * math.pi / 2 for i in range(4)]


def error(a: Declared, output: Tensor, label: Tensor) -> Tensor:
    """Degrees apart."""
    apart = torch.atan2(output[:, 0], output[:, 1]) - torch.atan2(label[:, 0], label[:, 1])
    return torch.rad2deg((apart + math.pi).remainder(2 * math.pi) - math.pi).abs()


def matches(a: Declared, output: Tensor, label: Tensor) -> Tensor:
    return error(a, output, label) <= CLOSE
