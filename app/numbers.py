"""A walk's energies as numbers for other programs: CSV and JSON."""

import csv
import io
import json
from typing import Any

from app.walk import Walk
from ebm_core.config import to_dict
from ebm_core.files import spreadsheet_text
from ebm_core.recipe import Recipe


def to_csv(walk: Walk) -> str:
    """A row for each step: the energy of each chain, numbered as its PNG, and of each named line its mean over chains.

    A line's cell is empty at a step at which it was not asked for.
    """
    steps, lines = _rounded(walk), _lines(walk)
    out = io.StringIO()
    writer = csv.writer(out)
    names = [spreadsheet_text(f"mean {name}") for name in lines]
    writer.writerow(["step", *(f"chain_{i:02d}" for i in range(walk.recipe.num)), *names])
    for step, energies in enumerate(steps):
        writer.writerow([step, *energies, *(values.get(step, "") for values in lines.values())])
    return out.getvalue()


def to_json(walk: Walk, recipe: Recipe) -> str:
    """The same with the recipe: ``energies[step][chain]``, and ``means[name][step]`` (null where not asked for)."""
    steps = _rounded(walk)
    means = {name: [values.get(step) for step in range(len(steps))] for name, values in _lines(walk).items()}
    plain: dict[str, Any] = {"recipe": to_dict(recipe), "energies": steps, "means": means}
    return json.dumps(plain, allow_nan=False, separators=(",", ":"))


def _rounded(walk: Walk) -> list[list[float]]:
    return [[_round(value) for value in energies.tolist()] for energies in list(walk.energies)]


def _lines(walk: Walk) -> dict[str, dict[int, float]]:
    # Copies: the walk may be continued meanwhile.
    return {name: {step: _round(v) for step, v in dict(by).items()} for name, by in sorted(walk.lines.items())}


def _round(value: float) -> float:
    """A float32 in as few digits as give it back."""
    return float(f"{value:.9g}")
