"""What the label vector of a conditional model means: one attribute of a picture, such as "smiling" or "position"."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from torch import Tensor

from ebm_core.arguments import Bounds, brief
from ebm_core.config import check_fields
from ebm_core.kinds import KINDS, MOST, Control, Kind
from ebm_core.kinds.binary import ends

RANGE = Bounds(-1e9, 1e9)


@dataclass(frozen=True)
class Attribute:
    """One attribute, where data sets keep it, and how it becomes a label vector: ``ebm_core.kinds`` says how.

    ======== ========================================== ==================================================
    kind     in the data                                label vector
    ======== ========================================== ==================================================
    binary   0 or 1                                     one-hot of two
    choice   one of ``values``, by name or, where       one-hot
             no name is a number, by its place from 0
    numbers  a number under each key                    each mapped from [``low``, ``high``] to [-1, 1]
    angle    radians                                    (sin, cos)
    ======== ========================================== ==================================================
    """

    name: str
    kind: str
    keys: tuple[str, ...]  # under which names the labels of a data set have it
    values: tuple[str, ...] = ()  # of "binary" what 0 and 1 mean, of "choice" the names
    low: Annotated[tuple[float, ...], RANGE] = ()  # of "numbers": the range of the data, for each key
    high: Annotated[tuple[float, ...], RANGE] = ()
    # Another attribute and its value, in pictures of which alone this one can be seen: ("type", "monkey") of an angle.
    seen_on: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_fields(self)
        if self.kind not in KINDS:
            raise ValueError(f"'kind' must be one of {', '.join(map(repr, KINDS))}; got {brief(self.kind)}")
        if not self.name or not self.keys or len(self.keys) > MOST or len(self.values) > MOST:
            raise ValueError(f"an attribute needs a name and at least one key, and at most {MOST:,} keys and values")
        if not self._of.RANGES and len(self.keys) != 1:
            raise ValueError(f"attribute '{self.name}' of kind '{self.kind}' has one key, got {len(self.keys)}")
        least, most = self._of.NUM_VALUES
        if not least <= len(self.values) <= most:
            several = f"{least} to {most:,}" if least < most else f"{least or 'no'}"
            raise ValueError(
                f"attribute '{self.name}' of kind '{self.kind}' has {several} values, got {len(self.values)}"
            )
        ranges = len(self.keys) if self._of.RANGES else 0
        if len(self.low) != ranges or len(self.high) != ranges:
            raise ValueError(f"attribute '{self.name}': low and high need {ranges} entries")
        if any(low >= high for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError(f"attribute '{self.name}': low must be below high")
        if len(self.seen_on) not in (0, 2):
            raise ValueError(f"attribute '{self.name}': seen_on is another attribute and its value, or is left out")

    @property
    def _of(self) -> Kind:
        return KINDS[self.kind]

    @property
    def label_dim(self) -> int:
        """Length of the label vector."""
        return self._of.label_dim(self)

    @property
    def is_choice(self) -> bool:
        """Whether it has one of a few named values, so that its label is one-hot."""
        return self._of.CHOICE

    @property
    def has_opposites(self) -> bool:
        """Whether its values are the two ends of one scale."""
        return self._of.OPPOSITES

    @property
    def opposites(self) -> tuple[str, str]:
        """The value at the far negative and at the far positive end, which is the one it is named for."""
        return ends(self)

    @property
    def controls(self) -> list[Control]:
        """The inputs by which a person says a value; none where the sign of a weight does."""
        return self._of.controls(self)

    @property
    def sheet(self) -> list[Any]:
        """Values for the rows of a sheet of samples."""
        return self._of.sheet(self)

    @property
    def levels(self) -> list[Any]:
        """A few values across the range."""
        return self._of.levels(self)

    def bearer(self, attributes: Mapping[str, "Attribute"]) -> tuple["Attribute", str] | None:
        """The attribute, of those by name, and its value on which alone this one is seen; None where it is anywhere."""
        if not self.seen_on or self.seen_on[0] not in attributes:
            return None
        name, value = self.seen_on
        return attributes[name], value

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
        return self.encode(self._joined([label[key] for key in self.keys]))

    def encode(self, value: Any) -> list[float]:
        """The label vector of a value: a name or number, radians, or one number for each key.

        Raises ValueError for a value that the attribute cannot have.
        """
        return self._of.encode(self, value)

    def decode(self, vector: Sequence[float]) -> Any:
        """The value of a label vector: the inverse of ``encode``, for the nearest value where there is none."""
        if len(vector) != self.label_dim:
            raise ValueError(f"a label of {self.name} has {self.label_dim} numbers, got {len(vector)}")
        return self._of.decode(self, vector)

    def describe(self, vector: Sequence[float]) -> str:
        """The label vector in words: "not smiling", "cube", "x 0.50, y -0.20", "rotation 90 degrees"."""
        return self._of.describe(self, self.decode(vector))

    def error(self, output: Tensor, label: Tensor) -> Tensor:
        """How wrong a classifier is, ``(B,)``: 0 or 1 for choices, degrees for angles, else the distance in the data's
        units. ``output`` and ``label`` are label vectors ``(B, label_dim)``, of a choice logits."""
        return self._of.error(self, output, label)

    def matches(self, output: Tensor, label: Tensor) -> Tensor:
        """Which pictures, ``(B,)``, are read as the label says: of numbers and angles, close to it."""
        return self._of.matches(self, output, label)

    def hear(self, said: Any) -> list[Any]:
        """What a person said, in degrees where it is an angle, as values any of which will do.

        Raises ValueError, in a sentence, for what cannot be said.
        """
        return self._of.hear(self, said)

    def hear_controls(self, inputs: Sequence[Any]) -> list[Any]:
        """``hear`` of what the ``controls`` have."""
        return self.hear(self._joined(inputs))

    def say_controls(self, values: Sequence[Any]) -> list[Any]:
        """The inverse of ``hear_controls``. Raises ValueError where the controls cannot have several values."""
        if len(values) > 1 and not any(control.options for control in self.controls):
            raise ValueError(f"asks twice for '{self.name}'")
        said = self._of.say(self, values)
        return list(said) if self._of.RANGES else [said] * len(self.controls)

    def _joined(self, parts: Sequence[Any]) -> Any:
        """One value of what stands under several keys, where it has several."""
        return list(parts) if self._of.RANGES else parts[0]
