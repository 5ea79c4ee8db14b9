"""What the label vector of a conditional model means: one attribute of a picture, such as "smiling" or "position"."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from ebm_core.arguments import Bounds, brief
from ebm_core.config import check_fields

RANGE, MOST = Bounds(-1e9, 1e9), 1000
Kind = Literal["binary", "choice", "numbers", "angle"]


@dataclass(frozen=True)
class Attribute:
    """One attribute, where data sets keep it, and how it becomes a label vector.

    ======== ========================================== ==================================================
    kind     in the data                                label vector
    ======== ========================================== ==================================================
    binary   0 or 1                                     one-hot of two
    choice   one of ``values``, by name or number       one-hot
    numbers  a number under each key                    each mapped from [``low``, ``high``] to [-1, 1]
    angle    radians                                    (sin, cos)
    ======== ========================================== ==================================================
    """

    name: str
    kind: Kind
    keys: tuple[str, ...]  # under which names the labels of a data set have it
    values: tuple[str, ...] = ()  # of "binary" what 0 and 1 mean, of "choice" the names
    low: Annotated[tuple[float, ...], RANGE] = ()  # of "numbers": the range of the data, for each key
    high: Annotated[tuple[float, ...], RANGE] = ()
    # Another attribute and its value, in pictures of which alone this one can be seen: ("type", "monkey") of an angle.
    seen_on: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.name or not self.keys or len(self.keys) > MOST or len(self.values) > MOST:
            raise ValueError(f"an attribute needs a name and at least one key, and at most {MOST:,} keys and values")
        if self.kind != "numbers" and len(self.keys) != 1:
            raise ValueError(f"attribute '{self.name}' of kind '{self.kind}' has one key, got {len(self.keys)}")
        fits = {"binary": len(self.values) == 2, "choice": len(self.values) >= 2}.get(self.kind, not self.values)
        if not fits:
            raise ValueError(
                f"attribute '{self.name}': values are two for 'binary', two or more for 'choice', else none; "
                f"got {len(self.values)}"
            )
        ranges = len(self.keys) if self.kind == "numbers" else 0
        if len(self.low) != ranges or len(self.high) != ranges:
            raise ValueError(f"attribute '{self.name}': low and high need {ranges} entries")
        if any(low >= high for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError(f"attribute '{self.name}': low must be below high")
        if len(self.seen_on) not in (0, 2):
            raise ValueError(f"attribute '{self.name}': seen_on is another attribute and its value, or is left out")

    @property
    def label_dim(self) -> int:
        """Length of the label vector."""
        return {"binary": 2, "choice": len(self.values), "numbers": len(self.keys), "angle": 2}[self.kind]

    @property
    def opposites(self) -> tuple[str, str]:
        """Of "binary": the value at the far negative and at the far positive end, which is the one it is named for."""
        first, second = self.values
        return (second, first) if first == self.name else (first, second)

    def read(self, label: Any) -> list[float]:
        """The label vector of one picture of a data set; ``label`` is what the data set says of it.

        A label that is no dictionary is found under the key "label". Raises ValueError when the label does not have
        this attribute.
        """
        if not isinstance(label, Mapping):
            label = {"label": label}
        absent = [key for key in self.keys if key not in label]
        if absent:
            raise ValueError(f"the labels have no '{absent[0]}'; there are: {', '.join(map(str, label))}")
        values = [label[key] for key in self.keys]
        return self.encode(values if self.kind == "numbers" else values[0])

    def encode(self, value: Any) -> list[float]:
        """The label vector of a value: a name or number, radians, or one number for each key.

        Raises ValueError for a value that the attribute cannot have.
        """
        if self.kind in ("binary", "choice"):
            index = self.values.index(value) if value in self.values else value
            if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(self.values):
                raise ValueError(f"{self.name} must be one of {', '.join(self.values)}; got {brief(value)}")
            return [float(i == index) for i in range(len(self.values))]
        numbers = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        if len(numbers) != len(self.keys) or not all(_is_number(n) for n in numbers):
            raise ValueError(f"{self.name} must be {len(self.keys)} finite numbers, got {brief(value)}")
        if self.kind == "angle":
            return [math.sin(numbers[0]), math.cos(numbers[0])]
        return [2 * (n - lo) / (hi - lo) - 1 for n, lo, hi in zip(numbers, self.low, self.high, strict=True)]

    def decode(self, vector: Sequence[float]) -> Any:
        """The value of a label vector: the inverse of ``encode``, for the nearest value where there is none."""
        if len(vector) != self.label_dim:
            raise ValueError(f"a label of {self.name} has {self.label_dim} numbers, got {len(vector)}")
        if self.kind in ("binary", "choice"):
            return self.values[max(range(len(vector)), key=vector.__getitem__)]
        if self.kind == "angle":
            return math.atan2(vector[0], vector[1]) % (2 * math.pi)
        return [lo + (v + 1) / 2 * (hi - lo) for v, lo, hi in zip(vector, self.low, self.high, strict=True)]

    def describe(self, vector: Sequence[float]) -> str:
        """The label vector in words: "not smiling", "cube", "x 0.50, y -0.20", "rotation 90 degrees"."""
        value = self.decode(vector)
        if isinstance(value, str):
            return value
        if self.kind == "angle":
            return f"{self.name} {math.degrees(value):.0f} degrees"
        return ", ".join(f"{key} {number:.2f}" for key, number in zip(self.keys, value, strict=True))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
