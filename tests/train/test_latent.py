"""Training and sampling in the latents of a tiny codec."""

import json
import zipfile
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from PIL import Image

from ebm_core import hub, images
from ebm_core.checkpoint import load_model, read_info
from ebm_core.hub import open_space, pinned
from ebm_core.precision import for_sampling
from ebm_core.recipe import from_png
from ebm_core.sampling import sample
from ebm_core.space import SpaceConfig, latent
from tests.latents import NET, PLAN, random_codec, save_latent, save_random_codec
from tests.train.conftest import CONFIG, Pixels
from tests.train.test_loop import same
from train.__main__ import main
from train.batch import Labels, TrainingData
from train.evaluate.held_out import held_out_loss
from train.export import export_run
from train.lock import RunError
from train.loop import fit
from train.run import load_config
from train.trainer import Trainer
from train.views import ViewsConfig

SMALL = replace(CONFIG, net=NET, plan=PLAN, log=replace(CONFIG.log, samples_every=4))
LATENT = replace(SMALL, space=SpaceConfig("tiny-codec"))


@pytest.fixture
def codec(tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "WEIGHTS", tmp_path / "shipped")
    return save_random_codec(tmp_path / "shipped" / "tiny-codec")


@pytest.fixture
def pictures():
    return torch.randint(256, (32, 3, 16, 16), generator=torch.Generator().manual_seed(9), dtype=torch.uint8)


@pytest.fixture
def folder(pictures, tmp_path):
    """The pictures as files."""
    (tmp_path / "pictures").mkdir()
    for number, picture in enumerate(pictures):
        images.to_pil(picture).save(tmp_path / "pictures" / f"{number:02d}.png")
    return tmp_path / "pictures"


@pytest.fixture
def model(codec, tmp_path):
    return save_latent(tmp_path / "model", codec)


def test_pictures_are_coded_once_and_their_mirror_images_too(pictures):
    codec, labels = random_codec(), Labels(torch.arange(32.0)[:, None], torch.ones(32, dtype=torch.bool))
    data = TrainingData(pictures, labels, latent(codec), mirror=True, looks=ViewsConfig(), device="cpu")
    assert len(data) == 64
    torch.testing.assert_close(data.packed, codec.encode(torch.cat([pictures, pictures.flip(3)])).half())
    assert data.labels[:, 0].tolist() == [*range(32), *range(32)]
    batch = data.draw(50, torch.Generator().manual_seed(0))
    assert batch.x.dtype == torch.float32
    numbers = torch.tensor([int((data.packed == x.half()).flatten(1).all(1).nonzero()[0]) for x in batch.x])
    assert torch.equal(batch.y[:, 0], numbers.float() % 32)
    assert torch.equal(data.first(3).x, data.packed[:3].float())


@pytest.mark.parametrize(("warm", "icd"), [(1, 0), (0, 2)])
def test_a_step_of_each_phase_trains_and_its_state_is_kept_bit_for_bit(warm, icd, codec, pictures):
    phases = {"warm_start": replace(LATENT.warm_start, iterations=warm), "icd": replace(LATENT.icd, iterations=icd)}
    config = replace(LATENT, **phases)
    trainer, other = (Trainer(config, pictures, "cpu") for _ in range(2))
    before = {name: value.clone() for name, value in trainer.net.state_dict().items()}
    figures = trainer.step(measure=True)
    assert all(bool(torch.isfinite(value).all()) for value in figures.values())
    assert not same(before, trainer.net.state_dict())
    other.load_state_dict(deepcopy(trainer.state_dict()))
    assert same(trainer.state_dict(), other.state_dict())
    if icd:
        assert trainer.buffer.images.shape == (20, 5, 8, 8)
        assert trainer.buffer.images.dtype == torch.float16
        assert 0 <= float(figures["saturated"]) <= 1
        trainer.step()
        other.step()
        assert same(trainer.state_dict(), other.state_dict())
    sheet, energies = trainer.sample_sheet(2)
    assert sheet.shape == (2, 3, 16, 16)
    assert energies.shape == (2,)


def test_the_space_changes_the_result(codec, pictures):
    """The same network on the same pictures, in the latents of another codec."""
    losses = [
        held_out_loss(Trainer(LATENT, pictures, "cpu").net, LATENT, pictures, latent(random_codec(seed)))
        for seed in (0, 1)
    ]
    assert losses[0] != losses[1]


def test_a_run_is_exported_with_its_space(codec, pictures, tmp_path):
    config = replace(LATENT, space=pinned(LATENT.space))
    trainer = fit(config, pictures, tmp_path / "run", resume=False, minutes=None, device="cpu")
    assert trainer.iteration == 4
    assert len(list((tmp_path / "run" / "sheets").glob("*.png"))) == 1
    path = export_run(tmp_path / "run", tmp_path / "exported" / "model.safetensors")
    net, info = load_model(path)
    assert info.space == SpaceConfig("tiny-codec", codec.weights)
    space = open_space(info.space, info.net, model=path)
    assert net(space.encode(pictures[:2])).shape == (2,)


def write_config(path):
    path.write_text(
        f"[data]\nsource = 'folder'\npath = '{path.parent / 'pictures'}'\n[net]\nimage_size = 8\nchannels = 5\n"
        "width = 8\nlayouts = ['1']\n[space]\ncodec = 'tiny-codec'\n[warm_start]\niterations = 1\nbatch_size = 4\n"
    )
    return str(path)


def test_the_fit_command_pins_the_codec_and_goes_on_with_no_other(codec, folder, tmp_path, capsys):
    command = ["fit", write_config(tmp_path / "c.toml"), "--device", "cpu", "--out", str(tmp_path / "run")]
    assert main(command) == 0
    assert load_config(tmp_path / "run").space == SpaceConfig("tiny-codec", codec.weights)
    more = ["--resume", "--set", "warm_start.iterations=2"]
    assert main([*command, *more]) == 0
    save_random_codec(tmp_path / "shipped" / "tiny-codec", seed=1)
    assert main([*command, "--resume", "--set", "warm_start.iterations=3"]) == 2
    assert "was trained in the latents of the codec 'tiny-codec'" in capsys.readouterr().err
    assert load_config(tmp_path / "run").space.weights == codec.weights


def test_a_run_of_pixels_does_not_go_on_in_latents(codec, pictures, tmp_path):
    run = {"minutes": None, "device": "cpu"}
    pixels = replace(SMALL, net=replace(NET, channels=3))
    fit(pixels, pictures[..., :8, :8], tmp_path / "run", resume=False, **run)
    with pytest.raises(RunError, match="was trained in pixels, this config is of the latents of the codec"):
        fit(LATENT, pictures, tmp_path / "run", resume=True, **run)


def test_the_sample_command_decodes_and_its_pngs_make_the_same_pictures(codec, model, tmp_path):
    out, device = tmp_path / "out", ["--device", "cpu"]
    assert main(["sample", str(model), "--num", "2", "--seed", "4", "--out", str(out), *device]) == 0
    net, _ = load_model(model)
    space, rng = latent(codec), torch.Generator().manual_seed(4)
    *_, final = sample(for_sampling(net), space.noise(2, rng), PLAN, rng, space)
    expected = images.quantise(codec.decode(final.x))
    files = sorted(out.glob("*.png"))
    pictures = torch.stack([images.from_pil(Image.open(file), 16) for file in files])
    assert torch.equal(pictures, expected)
    assert from_png(files[1].read_bytes()).plan == PLAN
    again = ["sample", "--recipe", str(files[1]), "--out", str(tmp_path / "again"), *device]
    assert main(again) == 0
    assert (tmp_path / "again" / files[1].name).read_bytes() == files[1].read_bytes()


def test_the_commands_that_score_take_pictures_of_the_codecs_size(model, folder, tmp_path, capsys):
    device = ["--device", "cpu"]
    assert main(["calibrate", str(model), "--source", "folder", "--data", str(folder), *device]) == 0
    assert read_info(model).calibration["num"] == 32
    assert main(["score", str(folder), "--model", str(model), "--out", str(tmp_path / "t.csv"), *device]) == 0
    assert "32 of 32 files scored" in capsys.readouterr().out


@pytest.fixture
def archive(folder):
    """The pictures in a zip, twice, so that they are enough to choose a plan on."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
            archive.write(file, f"again-{file.name}")
    return str(path)


@pytest.fixture
def two_pixels(monkeypatch):
    monkeypatch.setattr("train.evaluate.features.EfficientNetFeatures", Pixels)


def test_the_commands_that_compare_samples_with_pictures_take_latent_models(
    codec, model, archive, two_pixels, tmp_path, capsys
):
    device = ["--device", "cpu"]
    assert main(["tune", str(model), "--data", archive, "--num", "3", "--steps", "41", *device]) == 0
    assert [row["steps"] for row in read_info(model).provenance["tuning"]["plans"]] == [PLAN.num_steps, 41]
    sets = ["--train", archive, "--test", archive]
    assert main(["evaluate", "frechet", str(model), *sets, "--num", "3", "--out", str(tmp_path / "f"), *device]) == 0
    assert json.loads((tmp_path / "f" / "frechet.json").read_text())["num_samples"] == 3
    assert (
        main(
            [
                "trials",
                write_config(tmp_path / "c.toml"),
                "--data",
                archive,
                "--val",
                archive,
                "--num",
                "3",
                "--core-minutes",
                "0.001",
                "--out",
                str(tmp_path / "t"),
                *device,
            ]
        )
        == 0
    )
    row = json.loads((tmp_path / "t" / "c.json").read_text())
    assert row["distance"] >= 0
    assert row["held_out"] > 0


def test_a_card_shows_decoded_pictures(model, tmp_path):
    assert main(["card", "model", "--weights", str(tmp_path), "--device", "cpu"]) == 0
    with Image.open(tmp_path / "model" / "samples.webp") as sheet:
        assert min(sheet.size) >= 8 * 96
    assert "16" in (tmp_path / "model" / "README.md").read_text()


def test_a_start_from_a_model_of_another_space_is_refused(codec, model, pictures):
    Trainer(replace(LATENT, start_from=str(model)), pictures, "cpu")
    with pytest.raises(ValueError, match=r"that is an energy of the latents .*, this one of pixels; give .* \[space\]"):
        Trainer(replace(SMALL, start_from=str(model)), pictures, "cpu")
