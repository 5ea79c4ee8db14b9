"""Images between files, bytes and tensors."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.utils import make_grid

from ebm_core import images


def test_quantise_inverts_dequantise(rng):
    u8 = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
    x = images.dequantise(u8, rng)
    assert torch.equal(images.quantise(x), u8)
    assert x.min() >= 0
    assert x.max() < 1
    assert images.quantise(torch.ones(1)) == 255


def test_pil_round_trip(rng):
    u8 = torch.randint(256, (3, 8, 8), generator=rng, dtype=torch.uint8)
    assert torch.equal(images.from_pil(images.to_pil(u8), 8), u8)
    grey = u8[:1]
    assert torch.equal(images.from_pil(images.to_pil(grey), 8, 1), grey)


def test_resizing_takes_the_centre_square_and_averages():
    array = np.zeros((4, 8, 3), dtype=np.uint8)
    array[:, 2:6] = 100
    array[::2, 2:6] = 200
    assert (images.from_pil(Image.fromarray(array), 2) == 150).all()


def test_grid_places_images_in_rows():
    x = torch.stack([torch.full((3, 2, 2), v) for v in (0.0, 0.25, 0.5)])
    picture = images.grid(x, 2, zoom=3, padding=1)
    assert picture.size == (2 * 6 + 3, 2 * 6 + 3)
    assert picture.getpixel((1, 1)) == (0, 0, 0)
    assert picture.getpixel((8, 1)) == (64, 64, 64)
    assert picture.getpixel((1, 8)) == (128, 128, 128)


def test_film_has_every_frame():
    frames = [Image.new("RGB", (4, 4), (v, 0, 0)) for v in (0, 100, 200)]
    with Image.open(io.BytesIO(images.encode_film(frames))) as film:
        assert film.n_frames == 3
        assert film.info["loop"] == 0


def test_a_recipe_is_read_without_decoding_a_pixel(monkeypatch):
    data = images.encode_png(Image.new("RGB", (5, 5)), {"seed": 3})
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("pixels were decoded"))
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", lambda self: pytest.fail("pixels were decoded"))
    assert images.read_recipe(data) == {"seed": 3}


def test_recipe_round_trip_and_damage():
    picture = Image.new("RGB", (4, 4))
    data = images.encode_png(picture, {"seed": 3, "text": "ü"})
    assert images.read_recipe(data) == {"seed": 3, "text": "ü"}
    with pytest.raises(ValueError, match="no settings in it"):
        images.read_recipe(images.encode(picture, "PNG"))
    for bad in (b"", b"garbage", data[:20], images.encode(picture, "JPEG")):
        with pytest.raises(ValueError, match="not a PNG file that can be read"):
            images.read_recipe(bad)
    with pytest.raises(ValueError, match="not of EBM Studio's form"):
        images.read_recipe(images.encode_png(picture, [1]))


@pytest.mark.parametrize(("num", "channels", "columns"), [(1, 3, 4), (2, 1, 4), (5, 3, 2), (6, 3, 3)])
def test_tiles_lie_as_torchvision_lays_them(num, channels, columns, rng):
    x = torch.rand(num, channels, 5, 4, generator=rng)
    assert torch.equal(images.tile(x, columns, 2, 0.5), make_grid(x, nrow=columns, padding=2, pad_value=0.5))
