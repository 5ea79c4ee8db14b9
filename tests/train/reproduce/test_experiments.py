"""Every experiment from end to end, in seconds, on made data."""

import json

import pytest
from PIL import Image

from tests.train.reproduce.conftest import SECONDS_LONG
from train.reproduce.registry import EXPERIMENTS
from train.run import load_config


def report_of(tmp_path, name):
    return json.loads((tmp_path / "reports" / name / "report.json").read_text())


def test_every_experiment_is_run_here():
    assert list(EXPERIMENTS) == list(SECONDS_LONG)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_leaves_a_whole_report(name, reproduce, tmp_path, capsys):
    assert reproduce(name) == 0
    report = report_of(tmp_path, name)
    folder = tmp_path / "reports" / name
    assert report["size"] == "small"
    assert report["seed"] == 0
    assert report["command"].startswith(f"python -m train reproduce {name} --size small --seeds 1 --data data ")
    assert str(tmp_path) not in json.dumps(report)
    assert all(report[key] for key in ("commit", "machine", "date", "paper", "question", "place"))
    assert report["wall_seconds"] == pytest.approx(sum(piece["seconds"] for piece in report["pieces"].values()))
    assert report["table"]
    assert report["claims"]
    assert all(claim["shown"] is False and claim["measured"] for claim in report["claims"])
    assert all(claim["verdict"].startswith("not shown, one seed (") for claim in report["claims"])
    for picture in ("figure.png", *report["pictures"]):
        with Image.open(folder / picture) as image:
            assert min(image.size) > 8
    page = (folder / "README.md").read_text()
    for told in (report["paper"], report["command"], report["claims"][0]["measured"][0], "figure.png"):
        assert told in page
    assert capsys.readouterr().out.count("show") >= len(report["claims"])


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_settings_of_both_sizes_are_valid(name):
    settings = EXPERIMENTS[name].settings
    assert settings("full") != settings("small")


def test_the_full_size_is_the_papers_config():
    config = EXPERIMENTS["gradients"].settings("full").config
    assert (config.net.width, config.net.image_size, config.icd.batch_size, config.icd.steps) == (64, 32, 128, 40)
    assert config.data.path == "cifar10-train-0.zip,cifar10-train-1.zip"


def test_models_that_are_not_there_are_left_out_with_a_note(reproduce, weights, tmp_path):
    (weights / "faces" / "model.safetensors").unlink()
    assert reproduce("mixing") == 0
    report = report_of(tmp_path, "mixing")
    assert {row["model"] for row in report["table"]} == {"objects"}
    assert any(note.startswith("faces: not run: no model 'faces' is in the folder") for note in report["notes"])


def test_rows_of_table_1_without_model_or_data_say_why(reproduce, data, tmp_path):
    (data / "celeba128-test.zip").unlink()
    assert reproduce("table1") == 0
    rows = {row["data"]: row for row in report_of(tmp_path, "table1")["table"]}
    assert "no model 'imagenet32'" in rows["ImageNet 32x32"]["not run"]
    assert rows["ImageNet 32x32"]["FID in the paper"] == 32.48
    assert "celeba128-test.zip is not in" in rows["CelebA faces (not in the paper)"]["not run"]
    assert rows["rendered objects (not in the paper)"]["Fréchet distance (efficientnet-lite0)"] > 0
    assert not any("FID" in key and "paper" not in key for row in rows.values() for key in row)


def test_sets_of_table_3_that_are_not_there_say_why(reproduce, tmp_path):
    assert reproduce("table3") == 0
    rows = {row["told from"]: row for row in report_of(tmp_path, "table3")["table"]}
    assert "svhn" in rows["SVHN test"]["not run"]
    assert rows["SVHN test"]["AUROC in the paper"] == 0.91
    assert rows["rendered objects"]["AUROC by energy"] is not None
    assert rows["mean of two in-distribution pictures"]["AUROC in the paper"] == 0.65


def test_faces_of_table_4_are_beside_the_papers(reproduce, tmp_path, weights, capsys):
    assert reproduce("table4") == 0
    report = report_of(tmp_path, "table4")
    assert report["table"][0] == {"asked for": "all", "of": "samples", "young": 0.7, "female": 0.5, "all at once": None}
    assert [row["young"] for row in report["table"][:3]] == [0.7, 0.4, 0.9]
    assert [claim["margins"] for claim in report["claims"]] == [[pytest.approx(0.3)], [0.0]]
    assert any("None of it." in note for note in report["notes"])
    assert any("Read on the test file" in note for note in report["notes"])
    (weights / "faces128" / "model.safetensors").unlink()
    assert reproduce("table4", out=tmp_path / "without") == 2
    assert "not run: no model 'faces128' is in the folder" in capsys.readouterr().err


def test_real_faces_are_in_no_picture(reproduce, tmp_path):
    assert reproduce("modes") == 0
    captions = report_of(tmp_path, "modes")["pictures"].values()
    assert [caption for caption in captions if caption.startswith("faces")] == ["faces: lowest energies from noise"]


def test_a_run_that_diverges_is_a_result(reproduce, tmp_path):
    assert reproduce("stability", "--set", "limit=1e-9") == 0
    rows = report_of(tmp_path, "stability")["table"]
    assert all(row["gap beyond 1e-09 at iteration"] == 0 for row in rows)
    out = tmp_path / "stopped"
    stopped = ("--set", "config.diverged_at=1e-12", "--set", "config.log.checkpoint_every=1")
    assert reproduce("table2", *stopped, out=out) == 0
    table = json.loads((out / "report.json").read_text())["table"]
    assert len(table) == 7


def test_baselines_differ_in_what_they_say_and_have_the_same_compute(reproduce, tmp_path):
    assert reproduce("baselines") == 0
    runs = tmp_path / "reports" / "baselines" / "runs" / "seed-0"
    full, no_kl, still, one = (
        load_config(runs / f"{variant}, smiling")
        for variant in ("all of it", "no KL term", "no transitions", "one scale")
    )
    assert (full.icd.opt_weight, no_kl.icd.opt_weight, no_kl.icd.entropy_weight) == (1.0, 0.0, 0.0)
    assert no_kl.icd.iterations > full.icd.iterations
    assert (still.plan.transition.crop_min_scale, still.matching.moved_data, still.matching.noise) == (1.0, 0.0, 1.0)
    assert (len(full.net.layouts), len(one.net.layouts)) == (2, 1)
    assert one.warm_start.iterations > full.warm_start.iterations
    assert full.attribute.keys == ("Smiling",)
    assert full.start_from == str(runs / "all of it, base" / "model.safetensors")


def test_baselines_need_the_classifier(reproduce, weights, tmp_path):
    (weights / "faces" / "classifier.safetensors").unlink()
    assert reproduce("baselines") == 2
    assert "classifier.safetensors" in report_of(tmp_path, "baselines")["not_run"]
