"""Pulling a picture back: chains from the very image, and what is said of them."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from app import scoring
from app.board import Entry, Scored
from app.catalog import Model
from app.sampling import read_settings
from app.session import _plot
from app.walk import Walk
from ebm_core.checkpoint import ModelInfo
from ebm_core.langevin import LangevinConfig
from ebm_core.pictures import Picture
from ebm_core.recipe import Recipe, from_png
from tests.app.conftest import CENTRE, PLAN, png
from tests.conftest import PIXELS, TINY


class Bowl(torch.nn.Module):
    """``E(x) = |x - 1/2|^2 / 2``, as a network."""

    def __init__(self):
        super().__init__()
        self.anchor = torch.nn.Parameter(torch.zeros(()))
        self.bf16 = False

    def forward(self, x):
        return 0.5 * (x - 0.5).square().flatten(1).sum(1)


@pytest.fixture
def bowl(session):
    """A board with one picture in a landscape with known walks: each step goes a tenth of the way to the middle."""
    plan = replace(PLAN, langevin=LangevinConfig(steps=3, step_size=0.1, noise_std=0.0))
    session.board.choose(Model("bowl", Path("bowl.safetensors"), Bowl(), PIXELS, ModelInfo(TINY, plan), "f"))
    session.board.add([Entry("centre.png", None, Scored(Picture(CENTRE, ()), {"energy": 1.0}, {}, None))])
    return session.board


def test_pulling_back_starts_from_the_very_image_and_the_energy_falls(session, bowl):
    *_, last = scoring.pull_back(session, 1, 12)
    walk = session.walk
    assert last.phase == "finished"
    assert torch.equal(walk.frames()[0][1][0], CENTRE)
    energies = torch.stack(walk.energies)[:, 0]
    x = (CENTRE.float() + 0.5) / 256
    exact = Bowl()(x[None]) * 0.81 ** torch.arange(13)
    torch.testing.assert_close(energies, exact, rtol=1e-4, atol=1e-6)
    recipe = from_png(Path(last.result.grid).read_bytes())
    assert recipe.from_picture
    assert (recipe.plan.num_steps, recipe.plan.rounds, recipe.num) == (12, 0, 1)
    assert session.board.entries, "pulling back must not clear the board"


def test_a_file_is_found_by_what_was_opened(session, drop, tmp_path):
    drop({"one.png": png(), "two.png": png(), "bad.png": b"words"})
    assert scoring.number_of(session.board, str(tmp_path / "two.png")) == 2
    with pytest.raises(ValueError, match="cannot be pulled back: this is not an image that can be read"):
        scoring.number_of(session.board, str(tmp_path / "bad.png"))
    with pytest.raises(ValueError, match="pictures are the most at once: press Clear"):
        scoring.number_of(session.board, str(tmp_path / "left out.png"))


def test_the_first_energy_of_pulling_back_is_the_score_and_the_plot_has_the_held_out_ones(session, drop):
    drop({"centre.png": png()})
    for _ in scoring.pull_back(session, 1, 10):
        pass
    board = session.board
    assert float(session.walk.energies[0]) == pytest.approx(board.entries[0].scored.scores["energy"], abs=1e-5)
    names = [trace.name for trace in _plot(session.walk).data]
    assert names[-2:] == ["unusual above", "held-out median"]
    assert session.walk.landscape.levels["unusual above"] == board.calibration.threshold("energy", 0.05)


@pytest.mark.parametrize("number", [0, 2, -1, None])
def test_only_a_scored_picture_can_be_pulled_back(session, bowl, number):
    bowl.add([Entry("bad", None, problem="bad")])
    with pytest.raises(ValueError, match="Choose a picture that has been scored"):
        next(scoring.pull_back(session, number, 10))
    with pytest.raises(ValueError, match="'Langevin steps' must be a whole number from 1 to 5000, got 0"):
        next(scoring.pull_back(session, 1, 0))
    with pytest.raises(ValueError, match="'Langevin steps' must be"):
        next(scoring.pull_back(session, 1, 10**6))


def test_a_walk_from_pictures_fits_them_and_stays_one_when_it_is_steered(session, bowl):
    landscape, recipe = bowl.model.landscape, Recipe("bowl", "f", bowl.model.info.plan, seed=0, num=2)
    with pytest.raises(ValueError, match=r"points of shape \(2, 3, 8, 8\), got \(1, 3, 8, 8\)"):
        Walk(landscape, recipe, torch.zeros(1, 3, 8, 8))
    walk = Walk(landscape, recipe, torch.zeros(2, 3, 8, 8))
    walk.change(landscape, recipe)
    assert (walk.recipe.steered, walk.recipe.from_picture) == (True, True)
    assert not Walk(landscape, walk.recipe).recipe.from_picture


def test_a_pulled_back_picture_is_not_claimed_to_come_from_its_seed(session, calibrated, drop):
    drop({"centre.png": png()})
    *_, last = scoring.pull_back(session, 1, 10)
    _, sentence = read_settings(session, calibrated, last.result.grid)
    assert "began at a given picture" in sentence
