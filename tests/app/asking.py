"""Asks of the tiny family, as its controls make them."""

from app.asks import read_ask
from tests.app.conftest import ATTRIBUTES


def ask(name, *values):
    asked = read_ask(f"tiny-{name}", ATTRIBUTES[name], values)
    assert asked is not None
    return asked


BRIGHT, DARK = ask("bright", 1.0, "and"), ask("bright", -0.5, "and")
RING = ask("kind", "ring", 0.8, "and")
