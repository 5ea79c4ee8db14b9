"""What a kind of attribute has to say: a module with these names is one."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from torch import Tensor

MOST = 1000  # keys and values of an attribute


class Declared(Protocol):
    """What an attribute declares and its kind reads."""

    @property
    def name(self) -> str: ...
    @property
    def keys(self) -> tuple[str, ...]: ...
    @property
    def values(self) -> tuple[str, ...]: ...
    @property
    def low(self) -> tuple[float, ...]: ...
    @property
    def high(self) -> tuple[float, ...]: ...


class Control(NamedTuple):
    """How a person says a value, or a part of it: a number from ``low`` to ``high``, or some of ``options``."""

    id: str  # unlike those of the same attribute
    label: str
    low: float = 0.0
    high: float = 0.0
    step: float = 0.0
    start: float = 0.0
    options: tuple[str, ...] = ()


class Kind(Protocol):
    """A *value* is what a data set has: a name or its number, radians, one number for each key. People *say* it."""

    NUM_VALUES: tuple[int, int]  # least and most names in ``values``
    RANGES: bool  # a number under each of several keys, each with a range
    CHOICE: bool  # its label is one-hot, and a classifier's output logits
    OPPOSITES: bool  # its two values are ends of one scale: the sign of a weight says which

    def label_dim(self, a: Declared) -> int:
        """Length of the label vector."""

    def encode(self, a: Declared, value: Any) -> list[float]:
        """The label vector of a value. Raises ValueError, in a sentence, for one that the attribute cannot have."""

    def decode(self, a: Declared, vector: Sequence[float]) -> Any:
        """The value of a label vector, the nearest where there is none."""

    def describe(self, a: Declared, value: Any) -> str:
        """A value in words."""

    def hear(self, a: Declared, said: Any) -> list[Any]:
        """What a person said, as values any of which will do. Raises ValueError where nothing was said."""

    def say(self, a: Declared, values: Sequence[Any]) -> Any:
        """The inverse of ``hear``."""

    def controls(self, a: Declared) -> list[Control]:
        """The inputs by which a person says it; none where the sign of a weight does."""

    def sheet(self, a: Declared) -> list[Any]:
        """Values for the rows of a sheet of samples."""

    def levels(self, a: Declared) -> list[Any]:
        """A few values across the range, to compare with another attribute's."""

    def error(self, a: Declared, output: Tensor, label: Tensor) -> Tensor:
        """How wrong a classifier's outputs ``(B, label_dim)`` are beside labels, ``(B,)``: 0 or 1, degrees, units."""

    def matches(self, a: Declared, output: Tensor, label: Tensor) -> Tensor:
        """Which outputs, ``(B,)``, are close enough to count as right."""
