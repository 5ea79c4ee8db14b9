"""Which held-out pictures an evaluation reads: validation for choosing settings, test for results."""

import argparse
from pathlib import Path
from typing import Literal, NamedTuple, Self

SAYING = {
    "test": "Read on the test file `{file}`: no setting may be chosen by these figures.",
    "validation": "Read on the validation file `{file}`: for choosing settings; no result is read here.",
}


class Split(NamedTuple):
    """A zip of held-out pictures and what it is for."""

    kind: Literal["test", "validation"]
    path: str

    @classmethod
    def of(cls, a: argparse.Namespace) -> Self:
        """What ``add_split``'s options say."""
        return cls("test", a.test) if a.test is not None else cls("validation", a.validation)

    def to_plain(self) -> dict[str, str]:
        """For a report; no folder of the machine is in it."""
        return {"kind": self.kind, "file": Path(self.path).name}


def add_split(parser: argparse.ArgumentParser, what: str) -> None:
    """Exactly one of ``--test`` and ``--validation``; ``what`` says what the pictures are for."""
    either = parser.add_mutually_exclusive_group(required=True)
    either.add_argument("--test", metavar="ZIP", help=f"the test images ({what}); for results")
    either.add_argument("--validation", metavar="ZIP", help="validation images instead; for choosing settings")


def saying(read_on: dict[str, str]) -> str:
    """A sentence for a report on what ``Split.to_plain`` gave."""
    return SAYING[read_on["kind"]].format(file=read_on["file"])
