"""The kinds of attributes, by name."""

from ebm_core.kinds import angle, binary, choice, numbers
from ebm_core.kinds.kind import MOST, Control, Kind

KINDS: dict[str, Kind] = {"binary": binary, "choice": choice, "numbers": numbers, "angle": angle}

__all__ = ["KINDS", "MOST", "Control", "Kind"]
