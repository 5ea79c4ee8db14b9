"""The sampling page and a session's walk, as plain functions and generators."""

from pathlib import Path
from zipfile import ZipFile

import pytest
import torch
from PIL import Image

from app.sampling import read_settings, start
from app.session import Session, resume, stop
from app.settings import Controls, controls_of, controls_of_recipe
from ebm_core import images
from ebm_core.recipe import MAX_SEED, from_png
from ebm_core.restore import chain, load_scene
from tests.app.conftest import save_tiny

pytestmark = pytest.mark.usefixtures("every_frame")


def view_of(views, step):
    """The first view of a step; the gate must have let it through."""
    return next(view for view in views if f"step {step} of" in view.status)


def begin(session, catalog, num=3, seed=7, *, model="alpha", **changes):
    controls = Controls(**(controls_of(catalog.get(model)).__dict__ | changes))
    return start(session, catalog, model, controls, num, seed)


def pixels(path):
    with Image.open(path) as image:
        return images.from_pil(image.copy(), 8)


def test_sample_shows_frames_then_results(session, catalog, gate):
    views = begin(session, catalog)
    frames = set()
    for step, stage in enumerate(["round 1 of 2"] * 3 + ["round 2 of 2"] * 3 + ["refinement"] * 4):
        gate.let(1)
        view = view_of(views, step)
        assert view.phase == "running"
        assert stage in view.status
        frames.add(view.frame)
    assert len(frames) == 10
    gate.let(2)
    *_, last = views
    assert last.phase == "finished"
    assert "step 10 of 10 · refinement" in last.status
    energies = [float(caption) for _, caption in last.result.gallery]
    assert energies == sorted(energies)
    assert len(energies) == 3
    with Image.open(last.result.film) as film:
        assert film.n_frames == 11


def test_the_best_of_several_candidates_is_shown_and_made_again_from_its_recipe(session, catalog):
    views = list(begin(session, catalog, candidates=3))
    assert any("round 1 of 2, the best of 3 each" in view.status for view in views)
    assert len(views[-1].result.gallery) == 3
    recipe = session.walk.recipe
    assert recipe.plan.candidates == 3
    *_, again = chain(load_scene(recipe, catalog.weights, "cpu"), recipe)
    assert torch.equal(again.x, session.walk.state.x)
    list(begin(session, catalog))
    assert float(again.energy.mean()) < float(session.walk.state.energy.mean())


def test_stop_and_continue_is_exactly_the_uninterrupted_walk(session, catalog, gate):
    views = begin(session, catalog)
    gate.let(5)
    view_of(views, 4)
    stop(session)
    gate.let(1)  # the step that the walk stood before when it was told
    *_, view = views
    assert view.phase == "stopped"
    assert session.walk.state.step in (4, 5)  # the stop may come just before the walk asks for its next step
    assert f"step {session.walk.state.step} of 10" in view.status
    assert view.result is not None
    gate.let(20)
    *_, view = resume(session)
    assert view.phase == "finished"
    whole = Session()
    list(begin(whole, catalog))
    assert torch.equal(session.walk.state.x, whole.walk.state.x)
    assert torch.equal(torch.stack(session.walk.energies), torch.stack(whole.walk.energies))
    assert len(session.walk.energies) == 11
    whole.close()


def test_continue_at_once_after_stop_has_one_viewer(session, catalog, gate):
    first = begin(session, catalog)
    gate.let(2)
    view_of(first, 1)
    stop(session)
    second = resume(session)
    gate.let(1)
    view_of(second, 2)
    assert list(first) == []  # it ends silently and leaves the walk to the other
    gate.let(20)
    assert list(second)[-1].phase == "finished"


def test_a_second_walk_replaces_the_first(session, catalog, gate):
    first = begin(session, catalog, seed=1)
    gate.let(1)
    next(first)
    old = session.walk
    second = begin(session, catalog, seed=2)
    gate.let(30)
    assert next(second).phase in ("running", "finished")
    assert list(first) == []  # the first ends silently and overwrites nothing
    list(second)
    assert session.walk.finished
    assert session.walk.recipe.seed == 2
    assert not old.wait(60)
    assert not old.finished


def test_two_sessions_walk_on_their_own(session, catalog):
    other = Session()
    a, b = begin(session, catalog, seed=1), begin(other, catalog, seed=2, refinement_steps=3000)
    next(a)
    next(b)
    stop(other)
    assert list(b)[-1].phase == "stopped"
    assert list(a)[-1].phase == "finished"
    alone = Session()
    list(begin(alone, catalog, seed=1))
    assert torch.equal(session.walk.state.x, alone.walk.state.x)
    other.close()
    alone.close()


def test_closing_a_session_stops_its_walk_and_removes_its_files(session, catalog, gate):
    gate.let(12)  # eleven states, and the end
    *_, view = begin(session, catalog)
    folder = Path(view.result.grid).parent
    assert folder.is_dir()
    running = begin(session, catalog)
    gate.let(1)
    next(running)
    assert not folder.exists()
    files, walking = Path(session.folder.name), session.walk
    session.close()
    gate.let(1)
    assert list(running) == []
    assert not files.exists()
    assert not walking.wait(60)
    assert len(walking.energies) <= 2
    assert session.walk is None


def test_pngs_make_the_same_pictures_again(session, catalog):
    first = list(begin(session, catalog, seed=11, step_size=3.0, transition_strength=0.5))[-1].result
    kept = [(Path(p).read_bytes(), pixels(p)) for p, _ in first.gallery] + [(Path(first.grid).read_bytes(), None)]
    for data, picture in kept:
        recipe = from_png(data)
        assert recipe.transition_strength == 0.5
        again = list(start(session, catalog, recipe.model, controls_of_recipe(recipe), recipe.num, recipe.seed))
        if picture is not None:
            path = next(p for p, _ in again[-1].result.gallery if p.endswith(f"-{recipe.index:02d}.png"))
            assert torch.equal(pixels(path), picture)
        else:
            assert recipe.index == -1
    assert session.walk.recipe.plan == recipe.plan


def test_all_pictures_come_as_one_zip(session, catalog):
    result = list(begin(session, catalog))[-1].result
    with ZipFile(result.zip) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            Path(path).name: Path(path).read_bytes() for path, _ in result.gallery
        }


def test_a_stopped_picture_says_where(session, catalog, tmp_path, gate):
    views = begin(session, catalog)
    gate.let(5)
    view_of(views, 4)
    stop(session)
    gate.let(1)
    *_, view = views
    data = Path(view.result.grid).read_bytes()
    step = session.walk.state.step
    assert step in (4, 5)  # the stop may come just before the walk asks for its next step
    assert from_png(data).stopped_at == step
    (tmp_path / "x.png").write_bytes(data)
    assert (
        f"stopped at step {step}, and stops there again" in read_settings(session, catalog, str(tmp_path / "x.png"))[1]
    )


def test_settings_come_back_from_a_png(session, catalog, weights, tmp_path):
    png = tmp_path / "x.png"
    png.write_bytes(Path(list(begin(session, catalog, seed=5, rounds=1))[-1].result.grid).read_bytes())
    recipe, sentence = read_settings(session, catalog, str(png))
    assert controls_of_recipe(recipe).rounds == 1
    assert (recipe.seed, recipe.num) == (5, 3)
    assert "another version" not in sentence
    save_tiny(weights, "alpha", seed=9)
    assert "another version" in read_settings(session, type(catalog)(weights), str(png))[1]
    (weights / "alpha" / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"by the model 'alpha', which is not here; there are: beta"):
        read_settings(session, type(catalog)(weights), str(png))


def test_a_dropped_file_that_is_gone_is_a_sentence(catalog, session, tmp_path):
    with pytest.raises(ValueError, match="no longer here; drop it again"):
        read_settings(session, catalog, str(tmp_path / "gone.png"))


def test_hostile_recipes_are_sentences(session, catalog, tmp_path):
    good = images.read_recipe(Path(list(begin(session, catalog))[-1].result.grid).read_bytes())

    def refused(change, message):
        path = tmp_path / "bad.png"
        recipe = {**good, "plan": {**good["plan"]}}
        change(recipe)
        path.write_bytes(images.encode_png(Image.new("RGB", (2, 2)), recipe))
        with pytest.raises(ValueError, match=message):
            read_settings(session, catalog, str(path))

    refused(lambda r: r.update(num=10**9), "number of chains must be a whole number from 1 to 64")
    refused(lambda r: r.update(seed=-1), "seed must be a whole number")
    refused(lambda r: r["plan"].update(rounds=10**4), "Langevin steps are more than")
    refused(lambda r: r.update(extra=1), "unknown key 'extra'")
    refused(lambda r: r.pop("plan"), "missing key 'plan'")
    refused(lambda r: r.update(index=3), "no chain 3 among 3")
    refused(lambda r: r.update(model="../alpha"), "which is not here")
    (tmp_path / "text.png").write_text("not a picture")
    with pytest.raises(ValueError, match="neither JSON nor a PNG"):
        read_settings(session, catalog, str(tmp_path / "text.png"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"step_size": 0.0}, "'Step size' must be a number between 0 and 1000000, got 0.0"),
        ({"step_size": 1e30}, "'Step size' must be a number between 0 and 1000000, got 1e.30"),
        ({"noise_std": 1e9}, "'Noise' must be a number from 0 to 10, got 1000000000.0"),
        ({"noise_std": -1.0}, "'Noise' must be a number from 0 to 10, got -1.0"),
        ({"rounds": 0, "refinement_steps": 0}, "at least one step"),
        ({"rounds": 20, "steps": 300}, "more than 5000"),
        ({"transition_strength": 9.0}, "'Strength of the jolts' must be a number from 0 to 4, got 9.0"),
        ({"rounds": 1.5}, "'Rounds N' must be a whole number of 0 or more, got 1.5"),
        ({"steps": None}, "'Steps K in each round' is empty"),
        ({"num": 0}, "'Chains' must be a whole number from 1 to 64, got 0"),
        ({"seed": MAX_SEED + 1}, "'Seed' must be a whole number from 0 to 4294967295, got 4294967296"),
        ({"seed": 1.5}, "'Seed' must be a whole number .*, got 1.5"),
        ({"seed": None}, "'Seed' is empty"),
    ],
)
def test_impossible_settings_are_refused_and_the_old_walk_is_kept(session, catalog, changes, message):
    list(begin(session, catalog))
    before = session.walk
    with pytest.raises(ValueError, match=message):
        next(begin(session, catalog, **changes))
    assert session.walk is before
    with pytest.raises(ValueError, match="no model 'gamma'"):
        next(start(session, catalog, "gamma", controls_of(catalog.get("alpha")), 1, 0))


def test_a_chain_that_leaves_the_finite_numbers_is_told_and_kept(session, catalog, monkeypatch, gate):
    views = begin(session, catalog)
    gate.let(1)
    next(views)
    broken = catalog.get("alpha").net.scales[0].head.weight
    monkeypatch.setattr(broken, "data", torch.full_like(broken, torch.nan))
    gate.let(1)
    *_, last = views
    assert last.phase == "stopped"
    assert "not a finite number at step 1" in last.status
    assert last.result is not None
    gate.let(1)
    with pytest.raises(ValueError, match="not a finite number at step 0"):
        list(begin(session, catalog))
