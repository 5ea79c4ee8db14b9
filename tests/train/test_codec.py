"""Training a codec: it learns, with and without a teacher, resumes bit for bit, and its command and evaluation."""

import json
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from ebm_core.codec import CodecConfig, load_codec, moments, psnr
from ebm_core.config import load_toml
from tests.core.test_codec import smooth
from tests.train.conftest import Pixels, write_zip
from train import codec_training as training
from train import teacher as teaching
from train.__main__ import main
from train.classifier import CONFIGS
from train.codec_training import CodecLogConfig, CodecRun, CodecTrainer, fit_codec, write_codec
from train.config import OptimConfig
from train.data import DataConfig
from train.evaluate import codec_figures, features
from train.evaluate.latents import latent_statistics
from train.lock import RunError
from train.perceptual import TAPS, FeatureLoss
from train.teacher import load_teacher, teacher_latents

RUN = CodecRun(
    DataConfig("zip", "nowhere.zip"),
    CodecConfig(16, 6, (8, 12), (0, 1), (8, 12), (0, 1)),
    OptimConfig(lr=5e-3, muon_lr=1e-2, beta1=0.9, beta2=0.99, clip_norm=1.0),
    CodecLogConfig(scalars_every=2, checkpoint_every=4),
    iterations=8,
    batch_size=8,
    feature_weight=0.0,
    held_out=4,
    ema_decay=0.9,
    bf16=False,
)


def coarse(u8):
    """Latents that a codec could have: the mean colour of 4x4 pixels, twice."""
    return F.avg_pool2d(u8.float() / 128 - 1, 4).repeat(1, 2, 1, 1).half()


def test_a_codec_learns_to_code_and_its_held_out_pictures_are_not_trained_on(tmp_path):
    u8 = smooth(64)
    config = replace(RUN, iterations=60, log=CodecLogConfig(50, 1000))
    trainer = fit_codec(config, u8, None, tmp_path, resume=False, minutes=None, device="cpu")
    assert len(trainer.u8) == 60
    assert torch.equal(trainer.held_out, u8[[0, 16, 32, 48]])
    flat = trainer.u8.float().mean(dim=(0, 2, 3), keepdim=True)[0].to(torch.uint8).expand_as(trainer.held_out)
    worth, of_flat = (float(psnr(trainer.held_out, y).mean()) for y in (trainer.reconstructions(), flat))
    assert worth > of_flat + 6
    codec = load_codec(write_codec(trainer, tmp_path / "c.safetensors"))
    z = codec.encode(u8)
    assert z.std(dim=(0, 2, 3)).sub(1).abs().max() < 0.1
    assert codec.provenance["iteration"] == 60


def test_a_codec_learns_the_teachers_latents():
    u8 = smooth(64)
    config, latents = replace(RUN, iterations=60), coarse(u8)
    trainer = CodecTrainer(config, u8, latents, "cpu")
    first = float(trainer.step()["distill"])
    for _ in range(59):
        figures = trainer.step()
    assert float(figures["distill"]) < 0.2 * first
    assert float(figures["loss"]) == pytest.approx(sum(float(figures[n]) for n in ("distill", "pixels")), rel=1e-4)


def test_the_decoder_is_lent_the_teachers_latents_at_first(monkeypatch):
    inputs, u8 = [], smooth(16)
    trainer = CodecTrainer(replace(RUN, noise_std=0.0, lent_share=0.25), u8, coarse(u8), "cpu")
    decode = trainer.net.reconstruct
    monkeypatch.setattr(trainer.net, "reconstruct", lambda z: inputs.append(z) or decode(z))
    for _ in range(3):
        trainer.step()
    mean, std = (m.float()[:, None, None] for m in moments(trainer.latents))
    teachers = (trainer.latents.float() - mean) / std
    # How far the first picture's input is from the nearest of the teacher's latents; after 2 of 8 iterations it is own.
    first, *_, last = [float((teachers - z[:1].detach()).square().flatten(1).mean(dim=1).min()) for z in inputs]
    assert first < 1e-9
    assert last > 0.1


@pytest.mark.parametrize(
    "change",
    [
        {"noise_std": 1.0},
        {"distill_weight": 3.0},
        {"final_distill": 1.0},
        {"lent_share": 0.0},
        {"feature_weight": 1.0},
        {"batch_size": 4},
        {"ema_decay": 0.05},
        {"seed": 1},
        {"held_out": 5},
    ],
)
def test_every_setting_matters(change, monkeypatch):
    monkeypatch.setattr(training, "FeatureLoss", Edges)
    assert not torch.equal(fingerprint(RUN), fingerprint(replace(RUN, **change)))


class Edges(nn.Module):
    """A loss on features without a pretrained network."""

    def forward(self, y, x):
        return F.mse_loss(y.diff(dim=3), x.diff(dim=3))


def fingerprint(config):
    u8 = smooth(16)
    trainer = CodecTrainer(config, u8, coarse(u8), "cpu")
    for _ in range(3):
        trainer.step()
    return torch.cat([p.flatten() for p in trainer.ema.net.parameters()])


def test_the_moments_matter_without_a_teacher():
    u8 = smooth(16)
    trainers = [CodecTrainer(replace(RUN, moment_weight=w), u8, None, "cpu") for w in (0.0, 1.0)]
    losses = [float(trainer.step()["moments"]) for trainer in trainers]
    assert losses[0] == 0 < losses[1]


def test_a_resumed_run_is_the_same_bit_for_bit(tmp_path):
    u8 = smooth(16)
    whole = fit_codec(RUN, u8, coarse(u8), tmp_path / "a", resume=False, minutes=None, device="cpu")
    part = CodecTrainer(RUN, u8, coarse(u8), "cpu")
    for _ in range(3):
        part.step()
    training.save_state(tmp_path / "b", part.state_dict())
    resumed = fit_codec(RUN, u8, coarse(u8), tmp_path / "b", resume=True, minutes=None, device="cpu")
    for name in ("net", "ema"):
        one, other = (getattr(t, name).state_dict() for t in (whole, resumed))
        one, other = (d.get("net", d) for d in (one, other))
        assert all(torch.equal(one[n], other[n]) for n in one)
    lines = [json.loads(line) for line in (tmp_path / "a" / "log.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines if "held_out_psnr" in line] == [4, 8, 8]
    assert (tmp_path / "a" / "sheets" / "000008.png").is_file()


def test_a_run_of_another_config_is_not_resumed(tmp_path):
    u8 = smooth(16)
    fit_codec(replace(RUN, iterations=1), u8, None, tmp_path, resume=False, minutes=None, device="cpu")
    other = replace(RUN, codec=replace(RUN.codec, channels=7))
    with pytest.raises(RunError, match="does not fit this config"):
        fit_codec(other, u8, None, tmp_path, resume=True, minutes=None, device="cpu")
    with pytest.raises(ValueError, match="4 pictures and 4 are held out"):
        CodecTrainer(RUN, u8[:4], None, "cpu")


@pytest.mark.parametrize(
    ("codec", "message"),
    [
        (CodecConfig(16, 6, (4, 4, 4), (0,) * 3, (4, 4, 4), (0,) * 3), "has 32 channels, codec.channels is 6"),
        (CodecConfig(16, 32, (4, 4), (0, 0), (4, 4), (0, 0)), "reduces pictures 8-fold, this codec 4-fold"),
    ],
)
def test_a_codec_that_its_teacher_does_not_fit_is_refused(codec, message):
    with pytest.raises(ValueError, match=message):
        replace(RUN, codec=codec, teacher="somewhere")


def save_teacher(folder):
    """A teacher's files with random weights."""
    folder.mkdir()
    torch.manual_seed(0)
    for name, network in (("encoder", teaching._encoder()), ("decoder", teaching._decoder())):
        save_file(network.state_dict(), folder / f"{name}.safetensors")
    return str(folder)


def test_the_teachers_latents_are_kept(tmp_path, monkeypatch):
    folder, u8, cache = save_teacher(tmp_path / "teacher"), smooth(3), tmp_path / "latents.safetensors"
    latents = teacher_latents(folder, u8, cache)
    assert latents.shape == (3, 32, 2, 2)
    teacher = load_teacher(folder)
    torch.testing.assert_close(latents.float(), teacher.encoder((u8 + 0.5) / 256), atol=2e-2, rtol=5e-2)
    assert teacher.decoder(latents.float()).shape == (3, 3, 16, 16)
    monkeypatch.setattr(teaching, "load_teacher", None)  # not asked again
    assert torch.equal(teacher_latents(folder, u8, cache), latents)


def test_a_teacher_that_is_none_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(ValueError, match="not the teacher's encoder"):
        load_teacher(str(tmp_path))
    save_file({"a": torch.zeros(1)}, tmp_path / "encoder.safetensors")
    with pytest.raises(ValueError, match="is not the teacher's encoder"):
        load_teacher(str(tmp_path))
    (tmp_path / "cache").write_bytes(b"x")
    with pytest.raises(ValueError, match="cannot be read"):
        teacher_latents(str(tmp_path), smooth(2), tmp_path / "cache")


def test_statistics_of_latents_have_known_values():
    rng = torch.Generator().manual_seed(0)
    white = torch.randn(200, 3, 6, 6, generator=rng)
    statistics = latent_statistics(white)
    assert statistics.lag1 == pytest.approx(0.0, abs=0.02)
    assert statistics.unpredicted == pytest.approx(1.0, abs=0.02)
    assert statistics.mean_picture == pytest.approx(1 / 200, abs=0.003)
    flat = torch.randn(200, 3, 1, 1, generator=rng).expand(-1, -1, 6, 6)
    statistics = latent_statistics(flat)
    assert statistics.lag1 == pytest.approx(1.0, abs=1e-3)
    assert statistics.unpredicted == pytest.approx(0.0, abs=1e-3)
    same = white[:1].expand(50, -1, -1, -1)
    assert latent_statistics(same).mean_picture == pytest.approx(1.0, abs=1e-3)
    assert latent_statistics(5 * white + 7) == latent_statistics(white)


def test_the_commands_train_a_codec_and_measure_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(training, "FeatureLoss", Edges)
    monkeypatch.setattr(features, "EfficientNetFeatures", Pixels)
    monkeypatch.setattr(codec_figures, "BATCH", 4)
    folder, data = save_teacher(tmp_path / "teacher"), str(write_zip(tmp_path / "data.zip", [0] * 9))
    more = str(write_zip(tmp_path / "more.zip", [0] * 12))
    config = tmp_path / "c.toml"
    config.write_text(
        "iterations = 2\nbatch_size = 2\nheld_out = 2\n[data]\n[codec]\nimage_size = 32\nencoder_widths = [4, 4, 4]\n"
        "encoder_blocks = [0, 0, 0]\ndecoder_widths = [4, 4, 4]\ndecoder_blocks = [0, 0, 0]\n"
    )
    asked = ["codec", str(config), "--data", data, "--teacher", folder, "--out", str(tmp_path / "run")]
    assert main([*asked, "--device", "cpu"]) == 0, capsys.readouterr().err
    assert main([*asked, "--device", "cpu", "--resume"]) == 0, capsys.readouterr().err
    file = tmp_path / "run" / "codec.safetensors"
    config = load_codec(file).provenance["config"]  # names, but no folders of this machine
    assert config["data"]["path"] == "data.zip"
    assert config["teacher"].startswith("TAESD")
    out = tmp_path / "out"
    code = main(
        [
            "evaluate",
            "codec",
            str(file),
            "--data",
            more,
            data,
            "--teacher",
            folder,
            "--out",
            str(out),
            "--device",
            "cpu",
        ]
    )
    assert code == 0, capsys.readouterr().err
    report = json.loads((out / "codec.json").read_text())
    assert [(row["coder"], row["num"]) for row in report["rows"]] == [("codec", 9), ("teacher", 9)]
    assert report["rows"][0]["floor_train_against_test"] == report["rows"][1]["floor_train_against_test"] > 0
    text = (out / "README.md").read_text()
    assert "| data (9) | codec |" in text
    assert "Trained on data.zip for 2 iterations of 2 pictures" in text
    assert "against the latents of TAESD" in text
    assert {path.name for path in out.glob("*.png")} == {"data-reconstructions-private.png"}
    assert main(["codec", str(tmp_path / "no.toml"), "--out", str(tmp_path), "--device", "cpu"]) == 2
    assert "is not there" in capsys.readouterr().err


def test_the_shipped_config_fits_the_teacher_and_the_pictures():
    config = load_toml(CodecRun, CONFIGS / "codec" / "codec.toml", ['teacher="somewhere"', 'data.path="x.zip"'])
    assert config.codec.latent_shape == (32, 16, 16)


def test_the_loss_on_features_is_zero_for_equal_pictures_and_gives_gradients_only_to_reconstructions():
    loss, x = FeatureLoss(), torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert float(loss(x, x)) == pytest.approx(0.0, abs=1e-6)
    near, far = (x + d * torch.randn(x.shape, generator=torch.Generator().manual_seed(1)) for d in (0.05, 0.3))
    assert 0 < float(loss(near, x)) < float(loss(far, x)) < 4 * len(TAPS)
    y, x = near.requires_grad_(), x.requires_grad_()
    loss(y, x).backward()
    assert y.grad.abs().sum() > 0
    assert x.grad is None
