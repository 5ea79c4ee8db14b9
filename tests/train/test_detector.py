"""Own detectors by command: fitted, carded, asked by ``score``, and evaluated."""

import json
import zipfile

import pyarrow.parquet
import pytest

from ebm_core.detector import fit as fitting
from ebm_core.detector import model as models
from ebm_core.detector.methods import METHODS
from ebm_core.detector.model import load_detector
from tests.detectors import OPTIONS, Colours, normal, picture, png, write_zip
from train.__main__ import main
from train.evaluate import detector_sets


@pytest.fixture(autouse=True)
def colours(monkeypatch):
    """Mean colours are the features, and fits are quick."""
    monkeypatch.setattr("ebm_core.detector.points.Activations", Colours)
    options = fitting.FitOptions

    def quick(size, seed, limits):
        return options(size, seed, limits, OPTIONS.whole, OPTIONS.places)

    monkeypatch.setattr(fitting, "FitOptions", quick)
    models.shared_extractor.cache_clear()
    yield
    models.shared_extractor.cache_clear()


@pytest.fixture
def weights(tmp_path):
    """A weights folder with the detector ``mine``."""
    folder = tmp_path / "weights"
    data = str(write_zip(tmp_path / "normal.zip", normal(30) | {"broken.png": b"nothing"}))
    assert main(["detector", data, "--name", "mine", "--weights", str(folder), "--size", "64", "--device", "cpu"]) == 0
    return folder


def test_a_detector_is_made_with_a_card_and_an_account(weights, tmp_path, capsys):
    text = (weights / "mine" / "README.md").read_text()
    assert "python -m train detector normal.zip --name mine --size 64 --seed 0" in text
    assert str(tmp_path) not in text
    again = ["detector", str(tmp_path / "normal.zip"), "--name", "mine", "--weights", str(weights), "--size", "64"]
    assert main(again) == 2
    assert "exists already; choose another --name, or --force replaces it" in capsys.readouterr().err
    assert main([*again, "--force"]) == 0
    said = capsys.readouterr()
    assert "30 pictures" in said.out
    assert "Held-out false-alarm rate" in said.out
    assert "not read: broken.png" in said.err
    assert main([*again, "--force", "--size", "100"]) == 2
    assert "must be a multiple of 32, got 100" in capsys.readouterr().err


def test_score_judges_files_by_a_detector_and_resumes_as_with_a_model(weights, tmp_path, capsys):
    asked = tmp_path / "asked"
    asked.mkdir()
    for name, data in {"usual": png(picture(3)), "odd": png(picture(61, mean=230.0)), "broken": b"nothing"}.items():
        (asked / f"{name}.png").write_bytes(data)
    path = weights / "mine"
    out = tmp_path / "scores.parquet"
    assert main(["score", str(asked), "--model", str(path), "--out", str(out), "--device", "cpu"]) == 3
    rows = {row["file"]: row for row in pyarrow.parquet.read_table(out).to_pylist()}
    assert list(rows["odd.png"]) == ["file", *METHODS, "percentile", "verdict", "notes", "error"]
    assert rows["usual.png"]["verdict"] == "in-distribution"
    assert rows["odd.png"]["verdict"] == "out-of-distribution"
    assert rows["odd.png"]["percentile"] == 1
    assert rows["broken.png"]["error"].startswith("this is not an image")
    detector = load_detector(path / "detector.safetensors")
    scores = detector.judge(fitted_u8(asked / "odd.png")).scores
    for name in METHODS:
        assert rows["odd.png"][name] == pytest.approx(float(scores[name]), rel=1e-5)
    capsys.readouterr()
    unknown = ["score", str(asked), "--model", str(path), "--out", str(tmp_path / "b.csv"), "--by", "typicality"]
    assert main(unknown) == 2
    assert "no calibrated score 'typicality'" in capsys.readouterr().err


def fitted_u8(path):
    from ebm_core.pictures import read_picture

    return read_picture(path.read_bytes(), 64).u8[None]


def write_labelled(path, labels):
    with zipfile.ZipFile(path, "w") as archive:
        for number, label in enumerate(labels):
            mean = 60.0 + 140 * (label in (0, 5, {"type": "cube"}))
            archive.writestr(f"{number:03d}.png", png(picture(number, mean=mean)))
        archive.writestr("dataset.json", json.dumps({"labels": [[f"{i:03d}.png", v] for i, v in enumerate(labels)]}))


def test_the_evaluation_has_every_task_and_says_whether_the_energy_is_best(tmp_path, capsys):
    types = [{"type": kind} for kind in detector_sets.TYPES]
    for name in ("cats128-train", "celeba128-train"):
        write_labelled(tmp_path / f"{name}.zip", [0] * 22)
    for name in ("cats128-test", "celeba128-test"):
        write_labelled(tmp_path / f"{name}.zip", [name.startswith("cats") - 1] * 10)
    write_labelled(tmp_path / "objects64-train.zip", types * 21)
    write_labelled(tmp_path / "objects64-test.zip", types * 10)
    write_labelled(tmp_path / "dtd10-resize32.zip", [*range(5, 10)] * 31)
    out = tmp_path / "report"
    command = ["evaluate", "detector", "--data", str(tmp_path), "--normal", "31", "--num", "10", "--size", "64"]
    only = ["--only", "cube", "--only", "defects", "--only", "texture-5"]
    assert main([*command, *only, "--out", str(out), "--device", "cpu"]) == 0
    report = json.loads((out / "detector.json").read_text())
    assert [row["name"] for row in report["tasks"]] == ["texture-5", "cube", "defects"]
    cube = report["tasks"][1]
    assert cube["num_normal"] == 21
    assert cube["num"] == [10, 10]
    assert cube["auroc"][cube["chosen"]] == [1, 1, 1]
    assert cube["called_unusual"]["outside"] == 1
    text = (out / "README.md").read_text()
    assert "learned energy is" in text
    assert "| **mean** |" in text
    assert str(tmp_path) not in text
    assert main([*command, "--only", "nothing", "--out", str(out)]) == 2
    assert "a task must be one of texture-5, texture-7, cats, faces-cats, faces, cube" in capsys.readouterr().err
    (tmp_path / "cats128-test.zip").unlink()
    assert main([*command, "--out", str(out)]) == 2
    assert "must hold the zips of the tasks, with labels" in capsys.readouterr().err


def test_a_defect_is_small(rng):
    u8 = picture(0, size=64)
    shares = [float((detector_sets.paint_defect(u8, rng) != u8).any(dim=0).float().mean()) for _ in range(20)]
    assert 0.002 < min(shares) < max(shares) < 0.03
