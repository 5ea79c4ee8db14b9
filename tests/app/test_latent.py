"""The page with a model of latents: walks of points that show pictures of the codec's size."""

import io
from pathlib import Path

import pytest
import torch
from PIL import Image

from app import handlers, scoring
from app.catalog import Catalog
from app.settings import controls_of
from app.ui import build_ui
from app.understanding import distances
from app.walk import Walk
from ebm_core import images
from ebm_core.checkpoint import ModelInfo, save_model
from ebm_core.diversity import mean_pairwise_distance
from ebm_core.nets import EnergyNetwork
from ebm_core.recipe import Recipe
from tests.app.conftest import PLAN, png
from tests.conftest import TINY
from tests.latents import save_latent, save_random_codec


@pytest.fixture
def folder(tmp_path):
    """A weights folder with a model of pixels and one of latents, whose codec is in a folder beside it."""
    codec = save_random_codec(tmp_path / "weights" / "tiny-codec")
    save_latent(tmp_path / "weights" / "latent", codec)
    torch.manual_seed(0)
    save_model(tmp_path / "weights" / "plain" / "model.safetensors", EnergyNetwork(TINY).state_dict(),
               ModelInfo(TINY, PLAN))  # fmt: skip
    return tmp_path / "weights"


@pytest.fixture
def catalog(folder):
    return Catalog(folder)


def begin(session, catalog, num=3, seed=7):
    return handlers.start(session, catalog, "latent", controls_of(catalog.get("latent")), num, seed)


def walked(catalog, num=2):
    model = catalog.get("latent")
    walk = Walk(model.landscape, Recipe("latent", model.fingerprint, model.info.plan, 0, num))
    walk.go_on()
    walk.wait(10)
    return walk


def test_a_walk_records_packed_points_and_gives_pictures(catalog):
    walk, space = walked(catalog), catalog.get("latent").space
    assert walk.finished
    assert walk.glimpse().shape == (2, 3, 8, 8)
    assert torch.equal(walk.glimpse(), space.preview(walk.state.x))
    assert walk.pictures().shape == (2, 3, 16, 16)
    assert torch.equal(walk.pictures(), space.decode(walk.state.x))
    frames = walk.frames()
    assert [step for step, _ in frames] == list(range(walk.recipe.plan.num_steps + 1))
    assert {(frame.dtype, frame.shape) for _, frame in frames} == {(torch.float16, (2, 5, 8, 8))}
    assert torch.equal(walk.points(frames[-1][1]), walk.state.x.half().float())
    assert torch.equal(walk.pictures_of(frames[0][1]), space.decode(frames[0][1].float()))
    assert distances(walk)[0] == pytest.approx(float(mean_pairwise_distance(frames[0][1].float())))


def test_a_walk_from_points_takes_those_of_its_space(catalog):
    model = catalog.get("latent")
    recipe = Recipe("latent", model.fingerprint, model.info.plan, 0, 2)
    with pytest.raises(ValueError, match=r"points of shape \(2, 5, 8, 8\), got \(2, 3, 16, 16\)"):
        Walk(model.landscape, recipe, torch.zeros(2, 3, 16, 16))


def test_samples_are_saved_in_the_codecs_size_and_made_again_from_their_png(session, catalog, tmp_path):
    result = list(begin(session, catalog))[-1].result
    first = {Path(path).name: Path(path).read_bytes() for path, _ in result.gallery}
    assert len(first) == 3
    for data in first.values():
        with Image.open(io.BytesIO(data)) as image:
            assert image.size == (16, 16)
    (tmp_path / "dropped.png").write_bytes(next(iter(first.values())))
    recipe, sentence = handlers.read_settings(session, catalog, str(tmp_path / "dropped.png"))
    assert sentence == "Settings restored (seed 7). Press Sample to make it again."
    again = list(begin(session, catalog, recipe.num, recipe.seed))
    assert {Path(path).name: Path(path).read_bytes() for path, _ in again[-1].result.gallery} == first
    frame, _ = handlers.scrub(session, 0)
    with Image.open(io.BytesIO(frame)) as image:
        assert min(image.size) > 32  # two rows of 16 pixels


def test_pictures_are_scored_and_pulled_back_as_the_codec_gives_them(session, catalog, tmp_path):
    picture = torch.randint(0, 256, (3, 16, 16), generator=torch.Generator().manual_seed(5), dtype=torch.uint8)
    (tmp_path / "a.png").write_bytes(png(picture))
    scoring.choose(session.board, catalog, "latent")
    scoring.take_files(session.board, [str(tmp_path / "a.png")])
    list(scoring.score(session))
    scored, model = session.board.entries[0].scored, catalog.get("latent")
    assert torch.equal(scored.picture.u8, picture)
    energy = model.exact(model.space.encode(picture[None]))
    assert scored.scores["energy"] == pytest.approx(float(energy), abs=1e-5)
    list(scoring.pull_back(session, 1, 3))
    assert session.walk.finished
    assert torch.equal(session.walk.frames()[0][1], model.space.pack_pictures(picture[None]))
    assert images.quantise(session.walk.pictures()).shape == (1, 3, 16, 16)


def test_a_model_whose_codec_cannot_be_used_is_not_offered_and_the_page_says_why(folder):
    assert Catalog(folder).names() == ["latent", "plain"]
    for spoil, reason in (
        (lambda path: save_random_codec(path.parent, seed=1), "in the latents of another 'tiny-codec'"),
        (lambda path: path.write_bytes(b"text"), "codec.safetensors is no safetensors file that can be used"),
        (lambda path: path.unlink(), "the codec 'tiny-codec', which is not there"),
    ):
        spoil(folder / "tiny-codec" / "codec.safetensors")
        catalog = Catalog(folder)
        assert catalog.names() == ["plain"]
        assert [reason in problem for problem in catalog.problems()] == [True]
        with pytest.raises(ValueError, match=reason):
            catalog.get("latent")
        build_ui(catalog)
