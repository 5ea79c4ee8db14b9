"""The Understand page's handlers, as plain functions and generators."""

import pytest
import torch

from app import understanding, walk
from app.line import Line
from app.sampling import start
from app.session import Session
from app.settings import controls_of
from app.understanding import NAMES, distance_plot, distances, mixing_recipe, part, plunge, stop_both, watch
from app.walk import Walk
from ebm_core.diversity import mean_pairwise_distance


@pytest.fixture(autouse=True)
def every_look(every_frame, monkeypatch):
    monkeypatch.setattr(understanding, "FRAME_INTERVAL", 0.001)


@pytest.fixture
def pair():
    sessions = [Session(), Session()]
    yield sessions
    for session in sessions:
        session.close()


def begin(pair, catalog, num=3, rounds=2, strength=1.0, seed=7):
    return part(pair, catalog, "alpha", num, rounds, strength, seed)


def ended(pair):
    return [session.walk.state.x for session in pair]


def test_chains_of_one_start_part_with_jolts_only(pair, catalog):
    *_, last = begin(pair, catalog)
    assert last.phase == "finished"
    jolted, bare = (session.walk for session in pair)
    assert jolted.finished
    assert bare.finished
    first_frame = bare.frames()[0][1]
    assert (first_frame == first_frame[:1]).all(), "the chains without jolts do not start alike"
    assert distances(bare)[0] == 0
    assert distances(jolted)[0] > 0.01, "the first round has no jolt"
    assert distances(bare)[10] > 0, "they have no noise of their own"
    assert jolted.recipe.plan.langevin == bare.recipe.plan.langevin
    assert bare.recipe.plan.transition.crop_min_scale == 1.0
    assert all(session.walk.recipe.from_picture for session in pair)


def test_the_start_is_the_models_own_picture_of_that_seed(pair, catalog):
    list(begin(pair, catalog))
    other = Session()
    list(start(other, catalog, "alpha", controls_of(catalog.get("alpha")), 1, 7))
    assert torch.equal(pair[1].walk.frames()[0][1][:1], other.walk.frames()[-1][1])
    other.close()


def test_views_begin_with_the_start_and_end_with_pictures_and_two_curves(pair, catalog, gate):
    views = begin(pair, catalog)
    gate.let(3)
    made = next(views)
    assert made.phase == "running"
    assert "Making the picture that all chains start from" in made.views[0].status
    assert made.views[0].frame == made.views[1].frame
    gate.let(500)
    seen = list(views)
    results = [view for item in seen for view in item.views if view is not None and view.result and view.result.film]
    assert len(results) == 2
    assert all(len(view.result.gallery) == 3 for view in results)
    plot = next(item.plot for item in reversed(seen) if item.plot is not None)
    assert [line.name for line in plot.data] == list(NAMES)
    assert plot.data[1].y[0] == 0


def test_stop_and_continue_is_exactly_the_uninterrupted_comparison(pair, catalog, monkeypatch):
    record = Walk._record

    def stopped_at_four(self, state):
        record(self, state)
        if state.step == 4 and self.recipe.num == 3:  # not the one that makes the start
            self.stop()

    with monkeypatch.context() as patch:
        patch.setattr(Walk, "_record", stopped_at_four)
        *_, last = begin(pair, catalog)
    assert last.phase == "stopped"
    assert [session.walk.state.step for session in pair] == [4, 4]
    *_, last = watch(pair)
    assert last.phase == "finished"
    stopped = ended(pair)
    whole = [Session(), Session()]
    list(begin(whole, catalog))
    assert all(torch.equal(a, b) for a, b in zip(stopped, ended(whole), strict=True))
    for session in whole:
        session.close()


def test_a_stop_before_the_chains_part_says_so(pair, catalog, gate):
    gate.let(3)
    views = begin(pair, catalog)
    next(views)
    stop_both(pair)
    gate.let(1)
    *_, last = views
    assert last.phase == "finished"
    assert "before the chains parted" in last.views[0].status
    with pytest.raises(ValueError, match="no chains to continue"):
        next(watch(pair))


def test_one_side_goes_on_to_be_seen_while_the_other_waits_in_line(pair, catalog, gate, monkeypatch):
    recipe = mixing_recipe(catalog.get("alpha"), 2, 1, 1.0, 0)
    monkeypatch.setattr(walk, "LINE", Line(places=1))
    for session in pair:
        session.begin(Walk(catalog.get("alpha").landscape, recipe))
    views = watch(pair)
    steps = set()
    for _ in range(3):
        gate.let(1)
        item = next(views)
        assert (item.phase, item.views[1].phase) == ("running", "waiting")
        steps.add(item.views[0].status)
    assert len(steps) > 1
    gate.let(500)
    *_, last = views
    assert last.phase == "finished"


def test_a_stop_in_line_says_that_it_is_left(pair, catalog, gate, monkeypatch):
    monkeypatch.setattr(walk, "LINE", Line(places=1))
    ahead = Session()
    seen = start(ahead, catalog, "alpha", controls_of(catalog.get("alpha")), 1, 7)
    gate.let(1)
    next(seen)
    views = begin(pair, catalog)
    assert "first in line" in next(views).views[0].note
    stop_both(pair)
    *_, last = views
    assert last.phase == "finished"
    assert all("Out of the line" in view.note for view in last.views)
    ahead.close()


def test_another_comparison_takes_the_place_of_the_first(pair, catalog, gate):
    first = begin(pair, catalog, seed=1)
    gate.let(2)
    next(first)
    second = begin(pair, catalog, seed=2)
    gate.let(500)
    next(second)
    assert list(first) == []  # it ends silently and overwrites nothing
    list(second)
    assert pair[0].walk.recipe.seed == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num": 1}, "'Chains on each side' must be a whole number from 2 to 64, got 1"),
        ({"rounds": 0}, "'Rounds' must be a whole number of 1 or more, got 0"),
        ({"strength": 9.0}, "'Strength of the jolts' must be a number from 0 to 4"),
        ({"num": 65}, "from 2 to 64, got 65"),
    ],
)
def test_settings_that_make_no_comparison_are_refused(pair, catalog, changes, message):
    with pytest.raises(ValueError, match=message):
        list(begin(pair, catalog, **changes))
    assert pair[0].walk is None, "a walk began all the same"


def test_distances_are_those_of_the_recorded_pictures(catalog):
    model = catalog.get("alpha")
    walk = Walk(model.landscape, mixing_recipe(model, 3, 1, 1.0, 0))
    walk.go_on()
    while walk.wait(0.1):
        pass
    found = distances(walk)
    assert list(found) == list(range(walk.recipe.plan.num_steps + 1))
    step, x = walk.frames()[2]
    assert found[step] == pytest.approx(float(mean_pairwise_distance(x.float() / 256)))
    assert not distance_plot([]).data


def test_the_plunge_has_neither_noise_nor_jolts(session, catalog):
    *_, last = plunge(session, catalog, "alpha", 4, 30, 3)
    assert last.phase == "finished"
    plan = session.walk.recipe.plan
    assert (plan.rounds, plan.refinement_steps, plan.langevin.noise_std) == (0, 30, 0.0)
    energies = torch.stack(session.walk.energies)
    assert (energies[-1] < energies[0]).all()
    captions = [float(caption) for _, caption in last.result.gallery]
    assert captions == sorted(captions)


def test_the_plunge_starts_where_other_chains_stand(pair, session, catalog):
    list(begin(pair, catalog))
    chains = pair[0].walk
    list(plunge(session, catalog, "alpha", 16, 5, 0, chains))
    assert torch.equal(session.walk.frames()[0][1], chains.frames()[-1][1])
    assert session.walk.recipe.num == 3
    with pytest.raises(ValueError, match="no chains of 'beta' to start from"):
        list(plunge(session, catalog, "beta", 16, 5, 0, chains))
    assert session.walk.recipe.model == "alpha", "the walk before was lost"
