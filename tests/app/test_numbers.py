"""Energies as CSV and JSON: the very float32 numbers of the walk, by chain and step."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from app import composing
from app.sampling import start
from app.session import resume
from app.settings import controls_of
from ebm_core.config import to_dict
from ebm_core.recipe import from_png
from tests.app.asking import BRIGHT, RING

pytestmark = pytest.mark.usefixtures("every_frame")


def read_csv(path):
    with open(path, newline="") as file:
        return list(csv.reader(file))


def test_numbers_are_those_of_the_walk(session, catalog):
    *_, last = start(session, catalog, "alpha", controls_of(catalog.get("alpha")), 3, 7)
    energies = torch.stack(session.walk.energies).numpy()
    assert energies.shape == (11, 3)
    head, *rows = read_csv(last.result.csv)
    assert head == ["step", "chain_00", "chain_01", "chain_02"]
    table = np.array(rows)
    assert (table[:, 0].astype(int) == range(11)).all()
    assert (table[:, 1:].astype(np.float32) == energies).all()
    plain = json.loads(Path(last.result.json).read_text())
    assert (np.array(plain["energies"], np.float32) == energies).all()
    assert plain["recipe"] == to_dict(from_png(Path(last.result.grid).read_bytes()))
    assert plain["means"] == {}


def test_a_line_has_gaps_where_it_was_not_asked_for(session, family_catalog, family, gate):
    views = composing.start(session, family_catalog, family, [BRIGHT], 2, 5)
    gate.let(5)
    next(view for view in views if "step 4 of" in view.status)
    composing.follow(session, family_catalog, family, [replace(RING, weight=1.0)])
    gate.let(1000)
    *_, last = views
    head, *rows = read_csv(last.result.csv)
    assert head[3:] == ["mean bright", "mean ring"]
    assert [bool(row[3]) for row in rows] == [step <= 4 for step in range(11)]
    assert [bool(row[4]) for row in rows] == [step >= 4 for step in range(11)]
    means = json.loads(Path(last.result.json).read_text())["means"]
    assert [value is None for value in means["ring"]] == [step < 4 for step in range(11)]
    assert means["ring"][10] == pytest.approx(float(session.walk.energies[10].mean()))
    session.folder.cleanup()  # as another walk does that begins while files are written
    assert {view.result for view in resume(session)} == {None}
