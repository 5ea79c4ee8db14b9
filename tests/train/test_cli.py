"""The command line from end to end on tiny files."""

import json
import subprocess
import sys
import zipfile
from dataclasses import replace

import pytest
import torch
from PIL import ImageChops, ImageStat

from ebm_core import images
from ebm_core.checkpoint import load_model
from ebm_core.hub import WEIGHTS
from ebm_core.recipe import fingerprint, from_png
from train.__main__ import COMMANDS, main

CONFIG = """
[data]
source = "zip"
[net]
image_size = 8
width = 8
layouts = ["2d attn 2", "1"]
[plan]
rounds = 1
refinement_steps = 1
[plan.langevin]
steps = 2
[warm_start]
iterations = 2
batch_size = 4
[icd]
iterations = 2
batch_size = 4
steps = 2
buffer_size = 8
matching_weight = 1.0
matching_batch = 4
[log]
samples_every = 2
num_samples = 2
"""


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data.zip"
    generator = torch.Generator().manual_seed(0)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(12):
            x = torch.randint(256, (3, 8, 8), generator=generator, dtype=torch.uint8)
            archive.writestr(f"{number}.png", images.encode(images.to_pil(x), "PNG"))
    return path


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    return path


def test_fit_resume_export_sample_evaluate(config, data, tmp_path, capsys, monkeypatch):
    run, weights = str(tmp_path / "run"), str(tmp_path / "weights")
    fit = ["fit", str(config), "--data", str(data), "--out", run, "--device", "cpu"]
    assert main([*fit, "--set", "icd.iterations=1"]) == 0
    assert main([*fit, "--resume"]) == 0
    export = ["export", run, "--name", "tiny", "--weights", weights]
    assert main(export) == 0
    assert main(export) == 2
    assert "exists already; choose another --name, or --force replaces it" in capsys.readouterr().err
    (tmp_path / "weights" / "tiny" / "README.md").touch()
    assert main([*export, "--force"]) == 0
    assert "README.md is still of the model before" in capsys.readouterr().err
    assert main(fit) == 2
    assert "go on with --resume, or choose another folder" in capsys.readouterr().err
    net, info = load_model(tmp_path / "weights" / "tiny" / "model.safetensors")
    assert info.provenance["iteration"] == 4
    assert info.provenance["warm_start_iterations"] == 2

    model = f"{weights}/tiny"
    for out in ("a", "b"):
        sample = ["sample", model, "--num", "3", "--seed", "5", "--out", str(tmp_path / out)]
        assert main([*sample, "--device", "cpu"]) == 0
    listing = json.loads((tmp_path / "a" / "energies.json").read_text())
    assert [entry["file"] for entry in listing["images"]] == ["00000.png", "00001.png", "00002.png"]
    for entry in listing["images"]:
        png = (tmp_path / "a" / entry["file"]).read_bytes()
        assert png == (tmp_path / "b" / entry["file"]).read_bytes()
    assert from_png(png).index == 2
    ordered = sorted(listing["images"], key=lambda entry: entry["energy"])
    expected = images.sheet(torch.stack([images.from_pil(open_png(tmp_path / "a" / e["file"]), 8) for e in ordered]))
    sheet = open_png(tmp_path / "a" / "by-energy.webp").convert("RGB")
    assert max(ImageStat.Stat(ImageChops.difference(sheet, expected)).mean) < 12  # not lossless
    again = ["sample", model, "--num", "2", "--seed", "5", "--out", str(tmp_path / "b"), "--device", "cpu"]
    assert main(again) == 2
    assert main([*again, "--force"]) == 0
    assert sorted(p.name for p in (tmp_path / "b").iterdir()) == [
        "00000.png",
        "00001.png",
        "by-energy.webp",
        "energies.json",
    ]
    assert from_png(png).plan == info.plan
    assert main([*sample[:-1], str(tmp_path / "c"), "--device", "cpu", "--set", "candidates=3"]) == 0
    best = json.loads((tmp_path / "c" / "energies.json").read_text())
    assert from_png((tmp_path / "c" / "00000.png").read_bytes()).plan == replace(info.plan, candidates=3)
    assert sum(e["energy"] for e in best["images"]) < sum(e["energy"] for e in listing["images"])
    # The energy beside a picture is the energy of that very picture, to the byte the PNG keeps of it.
    with torch.no_grad():
        x = torch.stack([images.from_pil(open_png(tmp_path / "a" / e["file"]), 8) for e in listing["images"]])
        energy = net((x + 0.5) / 256)
    torch.testing.assert_close(energy, torch.tensor([e["energy"] for e in listing["images"]]), rtol=0.05, atol=1e-3)

    monkeypatch.setattr("train.evaluate.features.EfficientNetFeatures", Means)
    out = tmp_path / "frechet"
    evaluate = ["evaluate", "frechet", model, "--train", str(data), "--test", str(data), "--num", "6"]
    assert main([*evaluate, "--out", str(out), "--device", "cpu", "--set", "rounds=0"]) == 0
    report = json.loads((out / "frechet.json").read_text())
    assert report["features"] == "efficientnet-lite0"
    assert report["num_samples"] == 6
    assert report["fingerprint"] == fingerprint(tmp_path / "weights" / "tiny" / "model.safetensors")
    assert report["floor_train_against_test"] < report["ceiling_noise_against_test"]
    assert (out / "samples.png").is_file()
    capsys.readouterr()


def open_png(path):
    from PIL import Image

    with Image.open(path) as image:
        return image.copy()


class Means(torch.nn.Module):
    """Stands in for the pretrained features: the means of four quarters of the image."""

    num_features = 12

    def forward(self, x):
        return torch.nn.functional.adaptive_avg_pool2d(x, 2).flatten(1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "no.toml", "--out", "x"], "no.toml is not there"),
        (["fit", "CONFIG", "--out", "x", "--set", "net.widht=3"], "did you mean 'net.width'?"),
        (["fit", "CONFIG", "--out", "x", "--data", "no.zip"], "no.zip"),
        (["fit", "CONFIG", "--out", "x", "--data", "DATA", "--resume"], "start it without --resume"),
        (["sample", "nobody", "--out", "x"], "no model 'nobody'"),
        (["fit", "CONFIG", "--out", "USED", "--data", "DATA"], "used is in use, it has old.txt; delete it, or choose"),
        (["fit", "CONFIG", "--out", "x", "--minutes", "nan"], "--minutes: must be a number above 0, got 'nan'"),
        (["fit", "CONFIG", "--out", "x", "--minutes", "0"], "--minutes: must be a number above 0, got '0'"),
        (["fit", "CONFIG", "--out", "x", "--set", "ema_decay=nan"], "'ema_decay' must be a finite number, got nan"),
        (["fit", "CONFIG", "--out", "x", "--set", "log.checkpoint_every=0"], "checkpoint_every must be"),
        (["fit", "CONFIG", "--out", "x", "--set", "icd.batch_size=-1"], "batch_size must be"),
        (["fit", "DATA", "--out", "x"], "data.zip is not valid TOML"),
        (["fit", "CONFIG"], "the following arguments are required: --out"),
        (["sample", "USED", "--out", "USED"], "used is in use, it has old.txt; choose another folder, or --force"),
        (["sample", "m", "--out", "CONFIG"], "config.toml is no folder to write to: Not a directory"),
        (["sample", "m", "--out", "x", "--num", "0"], "--num: must be a whole number from 1 to 64, got '0'"),
        (["sample", "m", "--out", "x", "--seed", "1.5"], "--seed: must be a whole number from 0 to 4294967295, got"),
        (["sample", "m", "--out", "x", "--seed", "-1"], "--seed: must be a whole number"),
        (
            ["sample", "cifar10", "--out", "x", "--set", "candidates=9"],
            "candidates must be a whole number from 1",
        ),
        (["sample", "m", "--out", "x", "--device", "gpu"], "--device: must be cpu or cuda, got 'gpu'"),
        (["sample", "m", "--out", "x", "--device", "cuda:99"], "'cuda:99' is not on this machine"),
        (["sample", "m" * 300, "--out", "x"], "File name too long"),
        (["export", "x", "--name", "y"], "is not a run"),
        *((["export", "x", "--name", name], "--name: a name has 1 to 100 letters") for name in ("../../x", "", "a/b")),
        (["card", "../x", "--trained", "", "--poor", ""], "name: a name has 1 to 100 letters"),
        (["classifier", "../x", "--train", "x", "--test", "x"], "family: a name has 1 to 100 letters"),
        (["evaluate", "compose", "../x", "--train", "x", "--test", "x", "--out", "x"], "family: a name has"),
        (["evaluate", "frechet", "m", "--train", "x", "--test", "x", "--out", "x", "--num", "1"], "--num: must be"),
        (["reproduce", "mixing", "--minutes", "inf"], "--minutes: must be a number above 0, got 'inf'"),
        (["render", "--num", "0", "--out", "x.zip"], "--num: must be a whole number of 1 or more, got '0'"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments, message, config, data, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "old.txt").touch()
    places = {"CONFIG": str(config), "DATA": str(data), "USED": str(tmp_path / "used")}
    arguments = [places.get(a, a) for a in arguments]
    before = sorted(tmp_path.rglob("*"))
    assert main(arguments) == 2
    error = capsys.readouterr().err.rpartition("\r")[2]  # behind the progress bar of loading the data
    assert error.startswith("error: ")
    assert message in error
    assert len(error.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


HEAVY = ("matplotlib", "pyarrow", "scipy", "tensorboard", "torchmetrics", "bpy", "lmdb")  # seconds each, or optional


def modules_after(program):
    """What a program prints, and the names of the packages that it has imported."""
    end = "\nprint(*{name.partition('.')[0] for name in sys.modules})"
    result = subprocess.run([sys.executable, "-c", program + end], capture_output=True, text=True, check=True)
    return result.stdout, set(result.stdout.splitlines()[-1].split())


def test_help_lists_the_commands_and_waits_for_nothing():
    program = """
import sys
from train.__main__ import main
try:
    main(["--help"])
except SystemExit:
    pass
"""
    text, modules = modules_after(program)
    assert {command.name for command in COMMANDS} <= set(text.split())
    assert not modules & {*HEAVY, "numpy", "torch"}


def test_no_command_imports_before_it_runs_what_its_arguments_do_not_need():
    program = """
import argparse, importlib, sys
from train.__main__ import COMMANDS
waiting = [command.home for command in COMMANDS]
while waiting:
    home = waiting.pop()
    if isinstance(home, str):
        module = importlib.import_module(home)
        module.add_arguments(argparse.ArgumentParser())
        assert callable(module.run)
    else:
        waiting += [command.home for command in home]
"""
    _, modules = modules_after(program)
    assert "torch" in modules
    assert not modules & set(HEAVY)


def test_every_shipped_config_is_valid():
    from ebm_core.config import load_toml
    from ebm_core.nets import EnergyNetwork
    from train.config import TrainConfig

    configs = sorted((WEIGHTS.parent / "train" / "configs").glob("*.toml"))
    assert configs
    for path in configs:
        EnergyNetwork(load_toml(TrainConfig, path).net)


def test_sample_makes_compositions_of_recipes_and_of_the_pages_pictures(tmp_path, capsys):
    from tests.app.conftest import save_tiny_family

    save_tiny_family(tmp_path / "w")
    node = {
        "and": [
            {"weight": 1.0, "term": {"model": "tiny-bright", "label": [0, 1]}},
            {"weight": 0.5, "term": {"model": "tiny-kind", "label": [1, 0, 0]}},
        ]
    }
    (tmp_path / "recipe.json").write_text(json.dumps(node))
    arguments = ["sample", "--weights", str(tmp_path / "w"), "--device", "cpu", "--out"]
    recipe = ["--recipe", str(tmp_path / "recipe.json"), "--num", "3", "--seed", "5"]
    assert main([*arguments, str(tmp_path / "a"), *recipe]) == 0
    made = from_png((tmp_path / "a" / "00001.png").read_bytes())
    assert (made.model, made.composition.to_plain(), made.seed, made.num) == ("tiny", node, 5, 3)
    assert main([*arguments, str(tmp_path / "b"), "--recipe", str(tmp_path / "a" / "00001.png")]) == 0
    for number in range(3):
        one, other = (tmp_path / folder / f"0000{number}.png" for folder in "ab")
        assert one.read_bytes() == other.read_bytes()

    (tmp_path / "no.json").write_text("[")
    for wrong, message in [
        (["--recipe", str(tmp_path / "no.json")], "neither JSON nor a PNG"),
        (["--recipe", str(tmp_path / "absent.json")], "cannot be read"),
        (["tiny", *recipe], "either a model's name or --recipe"),
        ([], "either a model's name or --recipe"),
    ]:
        assert main([*arguments, str(tmp_path / "c"), *wrong]) == 2
        assert message in capsys.readouterr().err
