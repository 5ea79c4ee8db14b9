"""The scoring page's handlers, as plain functions and generators."""

import base64
import csv
import io
import re
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from app import score_view, scoring
from app.catalog import Catalog
from app.examples import EXAMPLES, SAMPLE, SEED
from app.limits import PICTURES
from app.sampling import start
from app.session import Session
from app.settings import controls_of
from app.ui import build_ui
from app.verdicts import judges_of
from ebm_core import images
from ebm_core.checkpoint import ModelInfo, save_model
from ebm_core.nets import EnergyNetwork
from ebm_core.ood import calibrate, measure
from tests.app.conftest import CENTRE, PLAN, png, save_calibrated
from tests.conftest import PIXELS, TINY


def rows_of(shown):
    return [dict(zip(shown.table["headers"], row, strict=True)) for row in shown.table["data"]]


def csv_of(shown):
    data = re.search(r"base64,([^\"]+)", shown.csv)[1]
    return list(csv.DictReader(io.StringIO(base64.b64decode(data).decode())))


def test_a_picture_has_its_exact_percentile_and_a_verdict(session, drop):
    *_, last = drop({"centre.png": png()})
    scored = session.board.entries[0].scored
    assert torch.equal(scored.picture.u8, CENTRE)
    assert scored.percentiles["energy"] == pytest.approx(0.9, abs=1e-4)
    assert scored.percentiles["scale_0"] == pytest.approx(0.9, abs=1e-4)
    assert scored.percentiles["typicality"] == pytest.approx(0.5, abs=1e-4)
    (row,) = rows_of(last)
    assert (row["#"], row["picture"], row["verdict"], row["% lower"]) == (1, "centre.png", "not unusual", 90.0)
    assert "<b>not unusual</b>: 90.0 % of held-out pictures have a lower energy" in last.cards
    assert "**0 unusual** by energy" in last.status
    assert last.cards.count("<img") == 2
    assert "at 8x8" in last.cards
    assert "at 4x4" in last.cards
    assert last.choices == [("1 · centre.png", 1)]


def test_another_rate_or_score_judges_again_without_the_network(session, drop, monkeypatch):
    drop({"centre.png": png()})
    monkeypatch.setattr(scoring, "measure", lambda *_: pytest.fail("the network ran"))
    monkeypatch.setattr(scoring, "read_picture", lambda *_: pytest.fail("a file was read"))
    strict = scoring.judge(session, "energy", 11)
    assert rows_of(strict)[0]["verdict"] == "unusual"
    assert "<b>unusual</b>: 90.0 % of held-out pictures have a lower energy" in strict.cards
    assert "**1 unusual** by energy" in strict.status
    assert rows_of(scoring.judge(session, "energy", 9))[0]["verdict"] == "not unusual"
    typical = scoring.judge(session, "typicality", 9)
    assert rows_of(typical)[0]["% lower"] == pytest.approx(50.0, abs=0.1)
    assert "are nearer to the median energy" in typical.cards
    assert typical.choices is None, "judging must not change which picture is to be pulled back"


@pytest.mark.parametrize(("name", "percent"), [("energy", 0), ("energy", 100), ("energy", float("nan"))])
def test_a_rate_that_cannot_be_is_refused_and_the_old_one_stays(session, drop, name, percent):
    drop({"centre.png": png()})
    with pytest.raises(ValueError, match="'False alarms in percent' must be a number between 0 and 100"):
        scoring.judge(session, name, percent)
    assert session.board.rate == 0.05


def test_a_score_that_says_the_same_of_all_pictures_cannot_judge(session, drop):
    *_, last = drop({"centre.png": png()})
    assert "the same for all" in last.cards
    assert "scale_1" not in session.board.entries[0].scored.percentiles
    for name in ("scale_1", "complexity", "luck"):
        with pytest.raises(ValueError, match=f"'{name}' cannot judge here; choose one of Energy, Energy at 8x8"):
            scoring.judge(session, name, 5)


def test_an_energy_below_almost_all_is_told_to_be_suspicious(session, calibrated, drop, tmp_path):
    save_calibrated(tmp_path / "weights", "low", share=0.0)
    *_, last = drop({"centre.png": png()}, "low")
    assert "not unusual" in last.cards
    assert "suspiciously few, see what typicality says" in last.cards
    assert "score-low" in last.cards


def test_without_a_calibration_there_are_raw_energies_and_no_verdict(session, calibrated, drop):
    *_, last = drop({"centre.png": png()}, "raw")
    (row,) = rows_of(last)
    assert row["verdict"] == "no verdict"
    assert row["% lower"] is None
    torch.manual_seed(0)
    assert row["Energy"] == pytest.approx(float(measure(EnergyNetwork(TINY), CENTRE[None], PIXELS).energy), rel=1e-3)
    assert "Typicality" not in row
    assert "no calibration" in last.cards
    assert "has no calibration" in score_view.about(session.board)
    assert [trace.name for trace in last.plot.data] == ["your pictures"]
    assert "unusual" not in last.status
    assert rows_of(scoring.judge(session, "grad_norm", 5))[0]["verdict"] == "no verdict"
    assert csv_of(last)[0]["false_alarm_rate"] == ""


def test_a_calibration_that_cannot_be_read_is_told_and_none_is_used(session, tmp_path):
    info = ModelInfo(TINY, PLAN, calibration={"data": "x"})
    save_model(tmp_path / "w" / "odd" / "model.safetensors", EnergyNetwork(TINY).state_dict(), info)
    scoring.choose(session.board, Catalog(tmp_path / "w"), "odd")
    assert session.board.calibration is None
    assert "cannot be read" in score_view.about(session.board)


def test_another_model_scores_all_anew(session, calibrated, drop):
    drop({"centre.png": png()})
    scoring.take_refused(session.board, [("huge.png", 3e7)])
    before = session.board.entries[0].scored
    scoring.choose(session.board, calibrated, "tiny")
    assert session.board.entries[0].scored is before
    scoring.choose(session.board, calibrated, "other")
    assert session.board.entries[0].scored is None
    *_, last = scoring.score(session)
    assert rows_of(last)[0]["% lower"] == pytest.approx(20, abs=0.1)
    assert "28.6 MiB; the limit is 20" in rows_of(last)[1]["notes"]
    with pytest.raises(ValueError, match="no model 'gamma'"):
        scoring.choose(session.board, calibrated, "gamma")


def huge_png():
    """A sound header that promises 30,000 x 30,000 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    pixels = b"IDAT" + zlib.compress(bytes(1000))
    chunks = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, pixels, b"IEND")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def odd_files():
    """Every kind of file that people drop, and what its row says: a piece of a note, or of the reason."""
    rng = np.random.default_rng(0)
    rgb = Image.fromarray(rng.integers(0, 256, (20, 16, 3), dtype=np.uint8))
    deep = Image.fromarray(rng.integers(0, 65536, (16, 16), dtype=np.uint16))
    turned = Image.Exif()
    turned[0x0112] = 6

    def encoded(image, kind, **options):
        return images.encode(image, kind, **options)

    jpeg = encoded(rgb, "JPEG")
    return {
        "good.png": (png(), ""),
        "truncated.jpg": (jpeg[:-100], "not scored: the image is damaged or cut off"),
        "empty.png": (b"", "not scored: the file is empty"),
        "animated.gif": (encoded(rgb, "GIF", save_all=True, append_images=[rgb.rotate(90)]), "only the first frame"),
        "print.jpg": (encoded(rgb.convert("CMYK"), "JPEG"), "CMYK colours converted"),
        "deep.png": (encoded(deep, "PNG"), "16 bits reduced to 8"),
        "palette.png": (encoded(rgb.quantize(8), "PNG"), "enlarged" * False),
        "phone.jpg": (encoded(rgb, "JPEG", exif=turned), "turned upright"),
        "dot.png": (encoded(Image.new("RGB", (1, 1)), "PNG"), "enlarged from 1 to 8"),
        "bomb.png": (huge_png(), "not scored: the picture unpacks to far too many pixels"),
        "large.png": (encoded(Image.new("1", (7100, 7100)), "PNG"), "not scored: the picture has 7100x7100 pixels"),
        "letter.png": (b"Dear model, how are you?", "not scored: this is not an image"),
        "program.jpg": (b"MZ" + bytes(500), "not scored: this is not an image"),
        "drawing.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not scored: this is not an image"),
        "glass.png": (encoded(rgb.convert("RGBA").resize((8, 8)), "PNG"), ""),
        "strip.png": (encoded(rgb.resize((80, 8)), "PNG"), "only the centre square of 80x8 pixels"),
        "floats.tiff": (encoded(Image.fromarray(np.zeros((8, 8), np.float32)), "TIFF"), "not scored: its pixels are"),
        "heavy.png": (png() + bytes(PICTURES.max_bytes), "not scored: the file has 20.0 MiB; the limit is 20"),
    }


def test_every_kind_of_file_has_a_result_or_a_sentence(drop):
    files = odd_files()
    *_, last = drop({name: data for name, (data, _) in files.items()})
    rows = {row["picture"]: row for row in rows_of(last)}
    assert list(rows) == list(files)
    for name, (_, told) in files.items():
        row = rows[name]
        if told.startswith("not scored: "):
            assert row["verdict"] == "not scored", name
            assert row["notes"].startswith(told.removeprefix("not scored: ")), name
            assert row["Energy"] is None, name
        else:
            assert row["verdict"] in ("unusual", "not unusual"), name
            assert told in row["notes"], name
            assert row["Energy"] is not None, name
    bad = sum(told.startswith("not scored") for _, told in files.values())
    assert f"{bad} could not be scored" in last.status
    assert rows["good.png"]["% lower"] == 90.0


def test_the_examples_are_scored_once_and_the_sample_is_the_models_own(session, calibrated):
    scoring.choose(session.board, calibrated, "tiny")
    scoring.take_examples(session.board)
    scoring.take_examples(session.board)
    views = list(scoring.score(session))
    assert scoring.SAMPLING in views[-2].status
    assert [row["picture"] for row in rows_of(views[-1])] == [f"example: {name}" for name in EXAMPLES]
    assert all(entry.scored for entry in session.board.entries)
    walked = Session()
    for _ in start(walked, calibrated, "tiny", controls_of(calibrated.get("tiny")), 1, SEED):
        pass
    sample = next(entry for entry in session.board.entries if entry.source == SAMPLE)
    assert torch.equal(sample.scored.picture.u8, images.quantise(walked.walk.state.x[0]))
    walked.close()


def test_scores_are_those_of_float32_weights(calibrated):
    model = calibrated.get("tiny")
    model.net.bf16 = True
    assert not model.exact.bf16
    assert model.net.bf16
    assert next(model.exact.parameters()) is next(model.net.parameters())


def test_a_real_calibration_judges_every_score(session, calibrated, drop, tmp_path):
    torch.manual_seed(0)
    net = EnergyNetwork(TINY)
    held_out = torch.randint(0, 256, (40, 3, 8, 8), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    info = ModelInfo(TINY, PLAN, calibration=calibrate(measure(net, held_out, PIXELS), "noise").to_plain())
    save_model(tmp_path / "weights" / "real" / "model.safetensors", net.state_dict(), info)
    drop({f"{number}.png": png(held_out[number]) for number in range(40)}, "real")
    for name in judges_of(session.board.model, session.board.calibration):
        shown = scoring.judge(session, name, 10)
        # What the residual's mean and spread were made of is nearer to them than new pictures are.
        assert f"**{0 if name == 'residual' else 4} unusual**" in shown.status, name


def test_the_page_has_a_score_tab(calibrated, family_catalog):
    for page in (build_ui(calibrated), build_ui(family_catalog)):
        ids = {getattr(block, "elem_id", None) for block in page.blocks.values()}
        assert {"score-files", "score-judge", "score-rate", "score-cards", "score-table", "score-pull"} <= ids
        assert {"score-chain-picture", "score-gallery"} <= ids
