"""0 or 1 in the data, two names that are opposites; its label is one-hot."""

from collections.abc import Sequence
from typing import Any

from ebm_core.kinds.choice import decode, describe, encode, error, label_dim, levels, matches, sheet
from ebm_core.kinds.kind import Control, Declared

NUM_VALUES, RANGES, CHOICE, OPPOSITES = (2, 2), False, True, True
__all__ = ["CHOICE", "NUM_VALUES", "OPPOSITES", "RANGES", "controls", "hear", "say"]
__all__ += ["decode", "describe", "encode", "error", "label_dim", "levels", "matches", "sheet"]  # a choice's


def hear(a: Declared, said: Any) -> list[Any]:
    """A name; None for the one at the positive end."""
    return [ends(a)[1] if said is None else said]


def say(a: Declared, values: Sequence[Any]) -> Any:
    return values[0]


def controls(a: Declared) -> list[Control]:
    return []


def ends(a: Declared) -> tuple[str, str]:
    """The value at the far negative and at the far positive end, which is the one the attribute is named for."""
    first, second = a.values
    return (second, first) if first == a.name else (first, second)
