"""What a person may give to a command or to the page: numbers within bounds, names, devices; errors are sentences.

An instance of ``Bounds`` is an argparse type; the page and the configs ask its ``check``.
"""

import argparse
import math
import sys
from dataclasses import dataclass
from typing import Any, NoReturn

from ebm_core.files import FileError, safe_name

BRIEF = 80  # characters of a value in a message


class ArgumentError(ValueError):
    """An argument that cannot be used; the message says which, what was expected and what came."""


def brief(value: Any) -> str:
    """A value as it is written in Python, cut to a readable length."""
    text = f"{value!r:.{BRIEF + 1}}"
    return text if len(text) <= BRIEF else f"{text[: BRIEF - 3]}..."


def is_finite(value: object) -> bool:
    """Whether it is a number that a float can hold: JSON's whole numbers may be too large for one."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


@dataclass(frozen=True)
class Bounds:
    """The numbers from ``low`` to ``high``; ``open`` leaves the two ends out. Never NaN or infinite."""

    low: float
    high: float = math.inf
    whole: bool = False
    open: bool = False

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        if self.high == math.inf:
            return f"{kind} above {self.low:g}" if self.open else f"{kind} of {self.low:g} or more"
        ends = f"{self.low:.10g}", f"{self.high:.10g}"
        return f"{kind} between {ends[0]} and {ends[1]}" if self.open else f"{kind} from {ends[0]} to {ends[1]}"

    def check(self, value: Any, name: str) -> Any:
        """The value, an int where ``whole``. Raises ArgumentError, which names it, for anything out of bounds."""
        if value is None:
            raise ArgumentError(f"{name} is empty: it must be {self}")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not self._has(value):
            raise ArgumentError(f"{name} must be {self}, got {brief(value)}")
        return int(value) if self.whole else value

    def __call__(self, text: str) -> Any:
        try:
            value = int(text) if self.whole else float(text)
        except ValueError:
            value = math.nan
        if not self._has(value):
            raise argparse.ArgumentTypeError(f"must be {self}, got '{text}'")
        return value

    def _has(self, value: float) -> bool:
        inside = self.low < value < self.high if self.open else self.low <= value <= self.high
        return inside and value != math.inf and not (self.whole and value != int(value))


def whole(low: int, high: float = math.inf) -> Bounds:
    """Whole numbers from ``low`` to ``high``, both included."""
    return Bounds(low, high, whole=True)


COUNT, POSITIVE = whole(1), Bounds(0, open=True)


def device(text: str) -> str:
    """An argparse type: the name of a device that is there, such as cpu, cuda or cuda:1."""
    import torch  # here, so that --help need not wait for it

    try:
        named = torch.device(text)
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"must be cpu or cuda, got '{text}'") from error
    if named.type not in ("cpu", "cuda"):
        raise argparse.ArgumentTypeError(f"must be cpu or cuda, got '{text}'")
    if named.type == "cuda" and (named.index or 0) >= torch.cuda.device_count():
        raise argparse.ArgumentTypeError(f"'{text}' is not on this machine; it has {torch.cuda.device_count()} GPUs")
    return text


def add_device(parser: argparse.ArgumentParser) -> None:
    """The option of all that computes; without it the default device."""
    from ebm_core.device import default_device

    parser.add_argument("--device", type=device, default=default_device(), help="(default: %(default)s)")


def folder_name(text: str) -> str:
    """An argparse type: ``ebm_core.files.safe_name``."""
    try:
        return safe_name(text)
    except FileError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


class Parser(argparse.ArgumentParser):
    """A command line whose errors are ArgumentErrors, in one sentence, in place of a usage and an exit."""

    def error(self, message: str) -> NoReturn:
        raise ArgumentError(f"{message} ({self.prog} --help says more)")
