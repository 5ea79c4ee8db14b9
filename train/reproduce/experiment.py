"""What an experiment is, and what it finds."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from matplotlib.figure import Figure
from PIL import Image

from train.reproduce.lab import Lab

Size = Literal["small", "full"]


@dataclass(frozen=True)
class Claim:
    """An effect that the paper has, and how far the figures of one seed go its way.

    Only several seeds together show it (``train.reproduce.verdicts``).
    """

    effect: str
    margin: float  # above 0: this seed has the effect; minus infinity where there are no numbers
    measured: str  # the sentence with the figures
    compute: tuple[float, ...] = ()  # of the runs that are compared, where runs are
    one_model: bool = False  # about a shipped model: seeds draw from it anew, and none trains it anew


@dataclass
class Findings:
    """Everything that a report is made of; only numbers, strings, lists and dictionaries but for the pictures."""

    table: list[dict[str, Any]]  # a row for each variant; the paper's figures are columns that say so
    claims: list[Claim]
    figure: Figure
    pictures: dict[str, Image.Image] = field(default_factory=dict)  # by caption
    notes: list[str] = field(default_factory=list)  # what a reader must know to judge the figures
    curves: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """One table or figure of the paper.

    ``settings(size)`` is a dataclass, whose fields can be overridden on the command line, and ``run`` makes the
    findings of one seed from it. All work that takes longer than a moment is a ``Lab.piece``.
    """

    name: str
    place: str  # in the paper
    question: str
    paper: str  # what the paper says to it
    settings: Callable[[Size], Any]
    run: Callable[[Lab, Any], Findings]
