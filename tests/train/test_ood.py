"""Detection on scores whose answers are known, the sets of the table, calibrating, and the report."""

import hashlib
import io
import json
import zipfile

import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score

from ebm_core import images
from ebm_core.calibration import Calibration
from ebm_core.checkpoint import ModelInfo, load_model, read_info, save_model
from ebm_core.hub import title_of
from ebm_core.nets import EnergyNetwork
from ebm_core.ood import scores
from ebm_core.pixel_statistics import PixelStatistics
from ebm_core.sampling import SamplePlan
from tests.conftest import CONDITIONAL_TINY, TINY, conditional_tiny
from train.__main__ import main
from train.data import DataConfig
from train.evaluate.ood import chosen
from train.evaluate.ood_sets import BLUR_STD, KEPT, blurred, compressed, constant, interpolated, noise
from train.score.detector import load_detector


@pytest.fixture
def inside(rng):
    return torch.randint(256, (7, 3, 8, 8), generator=rng, dtype=torch.uint8)


def test_interpolations_are_means_of_two_different_pictures(inside, rng):
    means = interpolated(inside, rng)
    used = torch.zeros(7)
    for mean in means:
        pairs = [
            (i, j)
            for i in range(7)
            for j in range(i)
            if ((inside[i].float() + inside[j].float()) / 2 - mean.float()).abs().max() <= 0.5
        ]
        assert len(pairs) == 1
        used[list(pairs[0])] += 1
    assert used.tolist() == [2] * 7


@pytest.mark.parametrize(
    ("model", "title"),
    [
        ("cats128", "cats128"),
        ("../runs/one/cats128", "cats128"),
        ("/home/maria/runs/cats128/model.safetensors", "cats128"),
        ("model.safetensors", "model"),
        ("/tmp/mine.v2.safetensors", "mine.v2"),
        ("hf:maria/cats@main", "hf:maria/cats@main"),
    ],
)
def test_a_report_calls_a_model_by_its_name(model, title):
    assert title_of(model) == title


def test_noise_and_constants_are_drawn_by_the_seed(inside):
    for make in (noise, constant):
        a, b, c = (make(inside, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
        assert a.shape == inside.shape
        assert a.dtype == torch.uint8
        assert torch.equal(a, b)
        assert not torch.equal(a, c)
    assert torch.equal(a, a[:, :, :1, :1].expand_as(a))
    assert len({tuple(colour) for colour in a[:, :, 0, 0].tolist()}) == 7


def test_damaged_pictures_are_near_the_pictures(rng):
    smooth = torch.arange(64, dtype=torch.uint8).reshape(1, 1, 8, 8).repeat(2, 3, 1, 1) * 4
    jpeg = compressed(smooth, rng)
    assert not torch.equal(jpeg, smooth)
    assert (jpeg.float() - smooth.float()).abs().mean() < 20
    point = torch.zeros(1, 1, 15, 15, dtype=torch.uint8)
    point[0, 0, 7, 7] = 255
    gaussian = torch.exp(-(torch.arange(-3.0, 4.0) ** 2) / (2 * BLUR_STD**2))
    gaussian /= gaussian.sum()
    expected = torch.zeros(15, 15)
    expected[4:11, 4:11] = 255 * gaussian[:, None] * gaussian
    assert (blurred(point, rng)[0, 0] - expected).abs().max() <= 0.51
    grey = compressed(smooth[:, :1], rng)
    assert grey.shape == (2, 1, 8, 8)


def test_a_zip_comes_before_the_official_files(tmp_path):
    assert KEPT["svhn"].find(tmp_path) == DataConfig("svhn", str(tmp_path), "test")
    assert KEPT["textures_crop"].find(tmp_path) == DataConfig("dtd", str(tmp_path), "test", "top_left")
    assert KEPT["svhn"].where(tmp_path) == "svhn, split test"
    (tmp_path / "svhn-test.zip").touch()
    assert KEPT["svhn"].find(tmp_path) == DataConfig("zip", str(tmp_path / "svhn-test.zip"))
    assert KEPT["svhn"].where(tmp_path) == "svhn-test.zip"
    with pytest.raises(ValueError, match=r"objects64-test.zip is not there"):
        KEPT["objects"].find(tmp_path)


def test_a_choice_is_made_by_the_seed_and_keeps_the_order(inside):
    few = chosen(inside, 4, seed=3)
    places = [next(i for i in range(7) if torch.equal(picture, inside[i])) for picture in few]
    assert places == sorted(set(places))
    assert torch.equal(few, chosen(inside, 4, seed=3))
    assert any(not torch.equal(few, chosen(inside, 4, seed=seed)) for seed in range(3))
    assert chosen(inside, 9, seed=3) is inside


# --- the commands ---


def write_zip(path, pictures):
    with zipfile.ZipFile(path, "w") as archive:
        for number, picture in enumerate(pictures):
            archive.writestr(f"{number:03d}.png", images.encode(images.to_pil(picture), "PNG"))
    return path


def weights(path):
    """The bytes of a safetensors file behind its header."""
    data = path.read_bytes()
    return hashlib.sha256(data[8 + int.from_bytes(data[:8], "little") :]).hexdigest()


@pytest.fixture
def model(tmp_path, tiny_net):
    path = tmp_path / "weights" / "tiny" / "model.safetensors"
    half = {name: tensor.half() for name, tensor in tiny_net.state_dict().items()}
    save_model(path, half, ModelInfo(TINY, SamplePlan(rounds=1), {"commit": "abc"}, family="f"))
    return path


@pytest.fixture
def folder(tmp_path, rng, monkeypatch):
    """Test sets in a folder, and no network to fetch others from."""

    def refuse(*args, **kwargs):
        raise OSError("no network in tests")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr("torchvision.datasets.celeba.download_file_from_google_drive", refuse)
    path = tmp_path / "data"
    path.mkdir()
    write_zip(path / "cifar10-test.zip", torch.randint(256, (12, 3, 8, 8), generator=rng, dtype=torch.uint8))
    write_zip(path / "mnist-test32.zip", torch.full((5, 3, 8, 8), 9, dtype=torch.uint8))
    write_zip(path / "objects64-test.zip", torch.randint(100, (4, 3, 8, 8), generator=rng, dtype=torch.uint8))
    return path


def test_calibrating_changes_the_calibration_and_nothing_else(model, folder, capsys):
    before, info = weights(model), read_info(model)
    command = ["calibrate", str(model.parent), "--data", str(folder / "cifar10-test.zip"), "--device", "cpu"]
    assert main([*command, "--skip", "2", "--first", "8", "--batch", "3", "--name", "eight"]) == 0
    assert "calibrated on 8 pictures (eight), median energy" in capsys.readouterr().out
    assert weights(model) == before
    found = Calibration.from_plain(read_info(model).calibration)
    assert (found.data, found.num) == ("eight", 8)
    own = found.to_plain() | {"weights": load_model(model)[1].weights}
    assert read_info(model) == ModelInfo(info.net, info.plan, info.provenance, own, info.family, info.attribute)
    net, _ = load_model(model)
    with zipfile.ZipFile(folder / "cifar10-test.zip") as archive:
        pictures = [Image.open(io.BytesIO(archive.read(f"{i:03d}.png"))) for i in range(2, 10)]
    with torch.no_grad():
        energy = net((torch.stack([images.from_pil(p, 8) for p in pictures]) + 0.5) / 256)
    assert found.energy_median == pytest.approx(float(energy.quantile(0.5)), rel=1e-5)
    assert found.quantiles["energy"][0] == pytest.approx(float(energy.min()), rel=1e-5)
    assert found.quantiles["energy"][-1] == pytest.approx(float(energy.max()), rel=1e-5)

    assert main([*command, "--skip", "6"]) == 0
    assert read_info(model).calibration["data"] == "cifar10-test.zip, pictures 7 to 12"
    detector = load_detector(str(model), "cpu")
    measured = detector.measure(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
    assert list(scores(measured, detector.calibration)) == detector.score_names
    assert list(scores(measured, None)) == detector._replace(calibration=None).score_names


def _files(path):
    with zipfile.ZipFile(path) as archive:
        return [archive.read(name) for name in sorted(archive.namelist()) if name.endswith(".png")]


def test_evaluating_tells_every_set_from_the_models_own(model, folder, tmp_path, capsys):
    command = ["evaluate", "ood", str(model), "--data", str(folder), "--device", "cpu"]
    assert main([*command, "--out", str(tmp_path / "raw")]) == 0
    assert "no calibration, so typicality, complexity, residual and joint are missing" in capsys.readouterr().out
    calibrate = ["calibrate", str(model), "--data", str(folder / "cifar10-test.zip"), "--first", "6"]
    assert main([*calibrate, "--device", "cpu"]) == 0
    for out in ("a", "b"):
        assert main([*command, "--batch", "4", "--out", str(tmp_path / out)]) == 0
    raw, report, again = (json.loads((tmp_path / out / "ood.json").read_text()) for out in ("raw", "a", "b"))
    assert report["sets"] == again["sets"]
    assert report["scores"] == [*raw["scores"][:-1], "typicality", "complexity", "residual", "pixel statistics"]
    assert raw["scores"][-1] == "pixel statistics"
    assert report["in_distribution"]["num"] == report["in_distribution"]["skipped"] == 6
    assert report["calibration"] == {"data": "cifar10-test.zip, pictures 1 to 6", "num": 6}

    rows = {row["name"]: row for row in report["sets"]}
    assert list(rows)[:4] == ["svhn", "textures_crop", "interpolation", "cifar100"]
    ran = {name for name, row in rows.items() if "detection" in row}
    assert ran == {"interpolation", "mnist", "objects", "noise", "constant", "jpeg", "blur"}
    assert "no network in tests" in rows["svhn"]["not_run"]
    assert [rows[name]["paper_auroc"] for name in list(rows)[:4]] == [0.91, 0.88, 0.65, 0.83]
    assert rows["mnist"]["paper_auroc"] is None
    assert report["mean_auroc_of_the_papers_sets"] is None

    net = EnergyNetwork(TINY)
    net.load_state_dict(load_model(model)[0].state_dict())
    with zipfile.ZipFile(folder / "cifar10-test.zip") as archive:
        held = [images.from_pil(Image.open(io.BytesIO(archive.read(f"{i:03d}.png"))), 8) for i in range(6, 12)]
    with torch.no_grad():
        inside, outside = (net((x + 0.5) / 256) for x in (torch.stack(held), torch.full((5, 3, 8, 8), 9.0)))
    expected = roc_auc_score([0] * 6 + [1] * 5, torch.cat([inside, outside]).numpy())
    assert rows["mnist"]["detection"]["energy"]["auroc"] == pytest.approx(expected)
    assert rows["mnist"]["energy"]["median"] == pytest.approx(float(outside[0]), rel=1e-4)

    archive = [images.from_pil(Image.open(io.BytesIO(data)), 8) for data in _files(folder / "cifar10-test.zip")]
    pixels = PixelStatistics.fit(torch.stack(archive[:6]))  # on the pictures for calibrating alone
    nines = torch.full((5, 3, 8, 8), 9, dtype=torch.uint8)
    inside, outside = pixels.score(torch.stack(archive[6:])), pixels.score(nines)
    expected = roc_auc_score([0] * 6 + [1] * 5, torch.cat([inside, outside]).numpy())
    assert rows["mnist"]["detection"]["pixel statistics"]["auroc"] == pytest.approx(expected)
    ran_rows = [row["detection"]["energy"]["auroc"] for row in rows.values() if "detection" in row]
    assert report["mean_auroc"]["all sets"]["energy"] == pytest.approx(sum(ran_rows) / len(ran_rows))
    files = [rows[name]["detection"]["energy"]["auroc"] for name in ("mnist", "objects")]
    assert report["mean_auroc"]["sets from files"]["energy"] == pytest.approx(sum(files) / 2)
    assert str(tmp_path) not in json.dumps(report)

    table = (tmp_path / "a" / "README.md").read_text()
    assert "| SVHN test | not run |  |  |  |  |  |  |  |" in table
    assert "*pixel statistics* is no model" in table
    assert "Tiny ImageNet, box-resized" in table
    assert "| 0.91 |" in table
    assert "| mean of the paper's four | not all run |" in table
    assert "- **SVHN test**: 'svhn' is neither whole in" in table
    with Image.open(tmp_path / "a" / "histograms.png") as figure:
        assert figure.width > 1000


def test_another_set_can_be_the_models_own_and_then_the_paper_has_no_say(model, folder, tmp_path, capsys):
    command = ["evaluate", "ood", str(model), "--data", str(folder), "--device", "cpu", "--skip", "0"]
    for number, inside in enumerate(["objects", str(folder / "objects64-test.zip")]):
        assert main([*command, "--in", inside, "--num", "3", "--out", str(tmp_path / str(number))]) == 0
    named, by_path = (json.loads((tmp_path / str(n) / "ood.json").read_text()) for n in range(2))
    assert named["in_distribution"]["title"] == "rendered objects"
    assert named["in_distribution"]["num"] == 3
    assert "objects" not in {row["name"] for row in named["sets"]}
    assert {row["num"] for row in named["sets"] if "num" in row} == {3}
    assert not any(row["paper_auroc"] for row in named["sets"])
    assert "the paper's" not in (tmp_path / "0" / "README.md").read_text()
    assert by_path["in_distribution"]["title"] == "objects64-test"
    assert by_path["in_distribution"]["energy"] == named["in_distribution"]["energy"]
    cifar = [next(row for row in r["sets"] if row["name"] == "cifar10")["detection"] for r in (named, by_path)]
    assert cifar[0] == cifar[1]
    capsys.readouterr()


def test_the_mean_of_the_papers_sets_is_given_when_all_of_them_ran(model, folder, tmp_path, rng, capsys):
    for name in ("svhn-test", "dtd10-crop32", "cifar100-test"):
        write_zip(folder / f"{name}.zip", torch.randint(256, (3, 3, 8, 8), generator=rng, dtype=torch.uint8))
    assert main(["evaluate", "ood", str(model), "--data", str(folder), "--device", "cpu", "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "ood.json").read_text())
    four = [row["detection"]["energy"]["auroc"] for row in report["sets"] if row["paper_auroc"]]
    assert len(four) == 4
    assert report["mean_auroc_of_the_papers_sets"]["energy"] == pytest.approx(sum(four) / 4)
    assert "| mean of the paper's four |  |" in capsys.readouterr().out


def test_bad_input_is_one_sentence_and_changes_nothing(model, folder, tmp_path, capsys):
    save_model(
        tmp_path / "conditional.safetensors", conditional_tiny().state_dict(), ModelInfo(CONDITIONAL_TINY, SamplePlan())
    )
    conditional, data = str(tmp_path / "conditional.safetensors"), str(folder / "cifar10-test.zip")
    before = model.read_bytes()
    evaluate = ["evaluate", "ood", str(model), "--out", str(tmp_path / "out"), "--data"]
    for arguments, message in [
        (["calibrate", conditional, "--data", data], "is a conditional model"),
        (["calibrate", str(model), "--data", "no.zip"], "no.zip"),
        (["calibrate", str(model), "--data", data, "--skip", "12"], "no pictures are left to measure"),
        (["calibrate", str(model), "--data", data, "--first", "1"], "two held-out pictures or more, got 1"),
        (["calibrate", str(model), "--data", data, "--first", "0"], "--first: must be a whole number of 1 or more"),
        (["calibrate", str(model), "--data", data, "--skip", "-1"], "--skip: must be a whole number of 0 or more"),
        (["calibrate", "nobody", "--data", data], "no model 'nobody'"),
        ([*evaluate, str(tmp_path / "nowhere")], "nowhere is not a folder"),
        ([*evaluate, str(folder), "--in", "cats"], "'cats' is neither one of cifar10, "),
        ([*evaluate, str(folder), "--skip", "11"], "--skip 11 of 12 in-distribution pictures must leave two or more"),
        ([*evaluate, str(folder), "--num", "1"], "--num: must be a whole number of 2 or more, got '1'"),
        ([*evaluate, str(folder), "--in", str(model)], "is not a zip file that can be read"),
    ]:
        assert main([*arguments, "--device", "cpu"]) == 2
        error = capsys.readouterr().err.rpartition("\r")[2]
        assert error.startswith("error: ")
        assert message in error
        assert len(error.splitlines()) == 1
    assert model.read_bytes() == before
    assert not (tmp_path / "out").exists()
