"""The page with a model of latents: walks of points that show pictures of the codec's size."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from app import live, present, scoring, verdicts
from app.catalog import Catalog
from app.live import Live
from app.sampling import read_settings, start
from app.session import Session, scrub
from app.settings import controls_of
from app.ui import build_ui
from app.understanding import distances, part, plunge
from app.walk import Walk
from ebm_core import images
from ebm_core.checkpoint import ModelInfo, replace_calibration, save_model
from ebm_core.diversity import mean_pairwise_distance
from ebm_core.nets import EnergyNetwork
from ebm_core.ood import calibrate, measure
from ebm_core.recipe import Recipe
from tests.app.conftest import ATTRIBUTES, PLAN, png
from tests.conftest import TINY
from tests.latents import NET, save_latent, save_random_codec

PICTURE = torch.randint(0, 256, (3, 16, 16), generator=torch.Generator().manual_seed(5), dtype=torch.uint8)


@pytest.fixture
def folder(tmp_path):
    """A weights folder with a model of pixels and one of latents, whose codec is in a folder beside it."""
    codec = save_random_codec(tmp_path / "weights" / "tiny-codec")
    save_latent(tmp_path / "weights" / "latent", codec)
    torch.manual_seed(0)
    save_model(
        tmp_path / "weights" / "plain" / "model.safetensors", EnergyNetwork(TINY).state_dict(), ModelInfo(TINY, PLAN)
    )
    return tmp_path / "weights"


@pytest.fixture
def catalog(folder):
    return Catalog(folder)


def begin(session, catalog, num=3, seed=7):
    return start(session, catalog, "latent", controls_of(catalog.get("latent")), num, seed)


def walked(catalog, num=2):
    model = catalog.get("latent")
    walk = Walk(model.landscape, Recipe("latent", model.fingerprint, model.info.plan, 0, num))
    walk.go_on()
    walk.wait(60)
    return walk


def test_a_walk_records_packed_points_and_gives_pictures(catalog):
    walk, space = walked(catalog), catalog.get("latent").space
    assert walk.finished
    assert walk.glimpse(walk.state).shape == (2, 3, 8, 8)
    assert torch.equal(walk.glimpse(walk.state), space.preview(walk.state.x))
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
    recipe, sentence = read_settings(session, catalog, str(tmp_path / "dropped.png"))
    assert sentence == "Settings restored (seed 7). Press Sample to make it again."
    again = list(begin(session, catalog, recipe.num, recipe.seed))
    assert {Path(path).name: Path(path).read_bytes() for path, _ in again[-1].result.gallery} == first
    frame = scrub(session, 0).frame
    with Image.open(io.BytesIO(frame)) as image:
        assert min(image.size) > 32  # two rows of 16 pixels


def test_pictures_are_scored_and_pulled_back_as_the_codec_gives_them(session, catalog, tmp_path):
    picture = PICTURE
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


def size_of(jpeg):
    with Image.open(io.BytesIO(jpeg)) as image:
        return image.size


def test_a_preview_is_enlarged_and_has_the_detail_of_the_last_decoded_picture(catalog):
    walk = walked(catalog)
    view, space, state = Live(walk), catalog.get("latent").space, walk.state
    coarse = torch.nn.functional.interpolate(space.preview(state.x), size=(16, 16), mode="bilinear")
    assert view.frame(1e9) == present.encode_frame(coarse), "the first frame waits for no decoder"
    view.spent = 1.0  # as if it had been drawn in that time
    assert view.frame(1e9) == present.encode_frame((coarse + (space.decode(state.x) - coarse)).clamp(0, 1))
    assert view.decoding > 0
    walk.state = state._replace(x=state.x + 0.1)
    moved = torch.nn.functional.interpolate(space.preview(walk.state.x), size=(16, 16), mode="bilinear")
    assert view.frame(0.0) == present.encode_frame((moved + (space.decode(state.x) - coarse)).clamp(0, 1))
    assert view.decoding == 0.0


def test_decoding_takes_what_other_drawing_left_of_its_share(catalog, monkeypatch):
    walk = walked(catalog)
    view = Live(walk)
    clock = [100.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: clock[0])
    view._began, view.spent, view._cost = 0.0, 2.0, 3.5  # 2 s drawn in 100 s, and a picture would take 3.5 more
    view.frame(0.05)
    assert view._detail is None
    view._cost = 2.5
    view.frame(0.05)
    assert view._detail is not None


def test_frames_of_a_walk_may_be_smaller_than_its_end(session, catalog, every_frame, gate, monkeypatch):
    monkeypatch.setattr(live, "LIVE_WIDTH", 16)
    views = begin(session, catalog, num=4)
    gate.let(2)
    first = next(views)
    gate.let(100)
    *_, last = views
    assert first.smooth
    assert last.smooth
    assert size_of(first.frame) == (2 * 8 + 3, 2 * 8 + 3)
    assert size_of(last.frame) == (2 * 16 + 3, 2 * 16 + 3)


def test_the_film_and_looking_back_show_decoded_pictures(session, catalog, monkeypatch):
    monkeypatch.setattr("app.session.MAX_FILM_PICTURES", 1)  # so eight frames at most, and the last
    *_, last = begin(session, catalog)
    with Image.open(last.result.film) as film:
        assert film.n_frames <= 9 + 1
        assert min(film.size) > 32
    walk = session.walk
    view = scrub(session, 2)
    assert view.smooth
    assert view.frame == present.encode_frame(walk.pictures_of(walk.frames()[2][1]))


def test_chains_part_and_fall_in_latents(session, catalog, every_frame):
    pair = [session, Session()]
    *_, last = part(pair, catalog, "latent", 2, 1, 1.0, 0)
    assert last.phase == "finished"
    jolted, bare = (distances(one.walk) for one in pair)
    assert bare[0] == 0
    assert jolted[0] > 0
    *_, last = plunge(pair[1], catalog, "latent", 2, 4, 0, session.walk)
    assert torch.equal(pair[1].walk.frames()[0][1], session.walk.frames()[-1][1])
    pair[1].close()


def test_what_the_codec_lost_is_a_score_with_a_picture_beside(session, folder, catalog, tmp_path):
    held_out = torch.randint(0, 256, (40, 3, 16, 16), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    model = catalog.get("latent")
    calibration = calibrate(measure(model.exact, held_out, model.space), "noise")
    lost = ((held_out + 0.5) / 256 - model.space.decode(model.space.encode(held_out))).square().flatten(1).mean(1)
    assert calibration.quantiles["reconstruction"][-1] == pytest.approx(float(lost.max()))
    path = folder / "latent" / "model.safetensors"
    replace_calibration(path, calibration.to_plain())
    (tmp_path / "a.png").write_bytes(png(PICTURE))

    def scored():
        scoring.choose(session.board, Catalog(folder), "latent")
        scoring.take_files(session.board, [str(tmp_path / "a.png")])
        return list(scoring.score(session))[-1]

    last = scored()
    one = session.board.entries[0].scored
    decoded = model.space.decode(model.space.encode(PICTURE[None]))
    assert one.scores["reconstruction"] == pytest.approx(float(((PICTURE + 0.5) / 256 - decoded).square().mean()))
    share = float((lost < one.scores["reconstruction"]).double().mean())
    assert one.percentiles["reconstruction"] == pytest.approx(share, abs=0.03)
    assert list(one.shown) == ["itself", "as its code gives it back", "gradient of its energy"]
    assert one.shown["as its code gives it back"] == present.encode_row(decoded)
    assert size_of(one.shown["gradient of its energy"]) == (16, 16)
    assert last.cards.count("score-picture smooth") == 3
    assert "8 by 8 places" in last.cards
    assert "Reconstruction error" in last.cards
    assert "**0 unusual** by reconstruction error" in scoring.judge(session, "reconstruction", 1e-6).status

    # One from before it was a score judges as ever; the error is not among its scores.
    plain = calibration.to_plain()
    del plain["quantiles"]["reconstruction"]
    replace_calibration(path, plain)
    session.board.clear()
    session.board.model = None
    assert "by energy" in scored().status
    assert "reconstruction" not in verdicts.judges_of(session.board.model, session.board.calibration)


def test_scores_of_latents_speak_of_the_code(catalog):
    latent, plain = (verdicts.judges_of(catalog.get(name), None) for name in ("latent", "plain"))
    assert latent["scale_0"].purpose.endswith("what the model thinks of the picture's code at 8x8 places.")
    assert plain["scale_0"].purpose.endswith("what the model thinks of the picture at 8x8 pixels.")
    assert set(latent) - set(plain) == {"reconstruction"}


def test_a_classifier_of_larger_pictures_captions_none_and_the_page_says_why(folder):
    from ebm_core.classifier import CLASSIFIER_FILE, Classifier, ClassifierConfig, save_classifier

    codec = save_random_codec(folder / "tiny-codec")
    save_latent(folder / "latent", codec, family="latent")
    save_latent(
        folder / "latent-bright", codec, family="latent", attribute=ATTRIBUTES["bright"], net=replace(NET, label_dim=2)
    )

    def save(size):
        classifier = Classifier(ClassifierConfig((ATTRIBUTES["bright"],), image_size=size, width=2)).eval()
        save_classifier(folder / "latent" / CLASSIFIER_FILE, classifier)

    save(32)
    assert [problem.split(": ")[-1] for problem in Catalog(folder).problems() if "32 pixels" in problem]
    save(8)
    catalog = Catalog(folder)
    assert not catalog.problems()
    assert len(catalog.captioner("latent")(torch.rand(2, 3, 16, 16))) == 2
    build_ui(catalog)
