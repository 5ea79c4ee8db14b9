"""The codec: shapes, standardised latents, the preview, and its file."""

import json
import math

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ebm_core.checkpoint import CheckpointError
from ebm_core.codec import METADATA_KEY, Codec, CodecConfig, load_codec, moments, psnr, save_codec

TINY = CodecConfig(16, 5, (4, 6), (1, 1), (6, 8), (0, 1))


def codec(config=TINY):
    torch.manual_seed(0)
    return Codec(config).eval().requires_grad_(False)


def smooth(num, side=16, seed=0):
    """Pictures that change slowly, uint8."""
    coarse = torch.rand(num, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return (255 * F.interpolate(coarse, size=(side, side), mode="bilinear")).to(torch.uint8)


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        (TINY, (5, 4, 4)),
        (CodecConfig(16, 3, (4,), (0,), (4,), (0,)), (3, 8, 8)),
        (CodecConfig(32, 16, (4, 4, 4), (0, 0, 1), (4, 4, 4), (0, 0, 1)), (16, 4, 4)),
    ],
)
def test_pictures_and_latents_have_the_shapes_of_the_config(config, shape):
    net = codec(config)
    x = torch.rand(2, 3, config.image_size, config.image_size)
    z = net.encode(x)
    assert z.shape == (2, *shape) == (2, *config.latent_shape)
    assert net.decode(z).shape == x.shape
    assert net.preview(z).shape == (2, 3, *shape[1:])
    assert net.decode(100 * z).isfinite().all()
    assert 0 <= float(net.decode(100 * z).min()) <= float(net.decode(100 * z).max()) <= 1


def test_a_file_of_bytes_and_its_values_have_the_same_latents():
    net, u8 = codec(), smooth(2)
    torch.testing.assert_close(net.encode(u8), net.encode((u8 + 0.5) / 256))


def test_each_picture_is_coded_alone():
    net, x = codec(), torch.rand(3, 3, 16, 16)
    torch.testing.assert_close(net.encode(x)[1:2], net.encode(x[1:2]))
    z = net.encode(x)
    torch.testing.assert_close(net.decode(z)[1:2], net.decode(z[1:2]))


def test_standardised_latents_have_mean_0_and_deviation_1_and_decode_to_the_same():
    net, u8 = codec(), smooth(40)
    before = net.decode(net.encode(u8))
    net.fit_latents(u8, batch=7)
    z = net.encode(u8)
    mean, std = moments(z)
    torch.testing.assert_close(mean, torch.zeros(5, dtype=torch.float64), atol=1e-2, rtol=0)
    torch.testing.assert_close(std, torch.ones(5, dtype=torch.float64), atol=1e-2, rtol=0)
    torch.testing.assert_close(net.decode(z), before, atol=1e-5, rtol=0)
    net.fit_latents(u8)  # fitting again changes nothing
    torch.testing.assert_close(net.encode(u8), z, atol=1e-2, rtol=1e-2)


def test_moments_are_those_of_all_values_of_a_channel():
    z = 3 * torch.randn(5, 2, 3, 3, generator=torch.Generator().manual_seed(1)) + 2
    mean, std = moments(z)
    torch.testing.assert_close(mean.float(), z.mean(dim=(0, 2, 3)))
    torch.testing.assert_close(std.float(), z.std(dim=(0, 2, 3), correction=0))


def test_the_preview_is_the_best_linear_map_to_mean_colours():
    net, u8 = codec(), smooth(40)
    net.fit_latents(u8)
    z, colours = net.encode(u8), F.avg_pool2d((u8 + 0.5) / 256, 4)
    error = (net.preview(z) - colours).square().mean()
    design = torch.cat([z, torch.ones(40, 1, 4, 4)], dim=1).movedim(1, -1).flatten(0, 2)
    wanted = colours.movedim(1, -1).flatten(0, 2)
    best = (design @ torch.linalg.lstsq(design, wanted).solution - wanted).square().mean()
    torch.testing.assert_close(error, best, atol=1e-5, rtol=1e-2)
    assert error < 0.9 * colours.var()


def test_pictures_and_latents_of_another_shape_are_refused_in_a_sentence():
    net = codec()
    with pytest.raises(ValueError, match=r"takes pictures shaped \(B, 3, 16, 16\), got \(1, 3, 8, 8\); resize"):
        net.encode(torch.rand(1, 3, 8, 8))
    for use in (net.decode, net.preview):
        with pytest.raises(ValueError, match=r"latents shaped \(B, 5, 4, 4\), got \(1, 4, 4, 4\)"):
            use(torch.rand(1, 4, 4, 4))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"image_size": 18}, "multiple of the reduction, 4"),
        ({"channels": 0}, "channels must be a whole number from 1 to 1024, got 0"),
        ({"decoder_blocks": (1,)}, "one entry for each of 1 to 6 halvings"),
        ({"encoder_blocks": (-1, 1)}, "encoder_blocks must be a whole number from 0 to 100, got -1"),
    ],
)
def test_configs_that_make_no_codec_are_refused(values, message):
    fields = {name: getattr(TINY, name) for name in TINY.__dataclass_fields__}
    with pytest.raises(ValueError, match=message):
        CodecConfig(**fields | values)


def test_a_file_gives_the_codec_back(tmp_path):
    net, u8, path = codec(), smooth(8), tmp_path / "c.safetensors"
    net.fit_latents(u8)
    net.provenance = {"commit": "abc"}
    save_codec(path, net)
    again = load_codec(path)
    assert again.config == TINY
    assert again.provenance == {"commit": "abc"}
    assert torch.equal(again.latent_std, net.latent_std)  # not rounded to float16
    torch.testing.assert_close(again.encode(u8), net.encode(u8), atol=2e-2, rtol=2e-2)
    assert not any(p.requires_grad for p in again.parameters())
    assert load_file(path)["encoder.1.weight"].dtype == torch.float16


def test_psnr_is_that_of_the_mean_squared_error():
    x = torch.zeros(3, 3, 2, 2, dtype=torch.uint8)
    y = x.clone()
    y[0] += 255
    y[1] += 51
    assert psnr(x, y).tolist() == pytest.approx([0.0, 13.9794, 99.0], abs=1e-3)


def altered(path, tensors=None, **metadata):
    """A codec's file with other tensors or other metadata."""
    save_codec(path, codec())
    with safe_open(path, framework="pt") as file:
        content = json.loads(file.metadata()[METADATA_KEY])
    save_file(load_file(path) | (tensors or {}), path, {METADATA_KEY: json.dumps(content | metadata)})
    return path


def test_files_that_are_no_codec_are_refused_in_a_sentence(tmp_path):
    path = tmp_path / "c.safetensors"
    with pytest.raises(CheckpointError, match="is not there"):
        load_codec(path)
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="no 'ebm_studio_codec' metadata"):
        load_codec(path)
    save_file({"a": torch.zeros(2)}, path, {METADATA_KEY: "{}"})
    with pytest.raises(CheckpointError, match="metadata cannot be read"):
        load_codec(path)
    save_codec(path, codec())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="damaged or cut off"):
        load_codec(path)
    with pytest.raises(CheckpointError, match="has format version 99"):
        load_codec(altered(path, format_version=99))
    with pytest.raises(CheckpointError, match="configuration is not valid"):
        load_codec(altered(path, codec={"encoder_widths": 3}))
    with pytest.raises(CheckpointError, match="unexpected tensor 'foreign'"):
        load_codec(altered(path, {"foreign": torch.zeros(1)}))
    with pytest.raises(CheckpointError, match=r"'latent_mean' has shape \(4,\), its configuration asks for \(5,\)"):
        load_codec(altered(path, {"latent_mean": torch.zeros(4)}))
    with pytest.raises(CheckpointError, match="'latent_mean' has values that are not finite"):
        load_codec(altered(path, {"latent_mean": torch.full((5,), math.nan)}))
    with pytest.raises(CheckpointError, match="deviations must be positive"):
        load_codec(altered(path, {"latent_std": torch.zeros(5)}))
    save_codec(path, codec())
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    tensors.pop("latent_mean")
    save_file(tensors, path, metadata)
    with pytest.raises(CheckpointError, match="'latent_mean' is missing"):
        load_codec(path)
