"""More looks at each training picture: what they are, that they are always the same, and that each field acts."""

from dataclasses import replace

import pytest
import torch

from ebm_core.space import latent
from tests.conftest import PIXELS
from tests.latents import random_codec
from train.batch import Labels, TrainingData
from train.views import ViewsConfig, views

STILL = ViewsConfig(1, turn=0, zoom=0, shift=0)


@pytest.fixture
def pictures():
    """Smooth ones, so that a small move is a small change."""
    coarse = torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    return (255 * torch.nn.functional.interpolate(coarse, size=16, mode="bicubic").clamp(0, 1)).to(torch.uint8)


def looks(images, config):
    return torch.stack([*views(images, config)])


def test_a_view_that_is_not_moved_is_the_picture(pictures):
    assert torch.equal(looks(pictures, STILL)[0], pictures)


@pytest.mark.parametrize("change", [{"turn": 30.0}, {"zoom": 0.2}, {"shift": 0.1}])
def test_each_field_moves_every_picture_by_itself(pictures, change):
    same = pictures[:1].expand(4, -1, -1, -1)
    moved = looks(same, replace(STILL, **change))[0]
    assert all(not torch.equal(view, same[0]) for view in moved)
    assert len({view.numpy().tobytes() for view in moved}) == 4


def test_nothing_black_comes_into_sight(pictures):
    bright = pictures.clamp(min=100)
    assert looks(bright, ViewsConfig(40, 30.0, 0.2, 0.1)).min() >= 100


def test_a_turn_and_a_shift_are_of_the_size_that_is_said():
    half = torch.zeros(64, 3, 32, 32, dtype=torch.uint8)
    half[..., 16:] = 255
    white = looks(half, replace(STILL, shift=0.1))[0][:, 0, 16].float().mean(dim=1) / 255  # share of a row
    assert 0.06 < (white - 0.5).abs().max() <= 0.1 + 1 / 32
    row = torch.zeros(64, 3, 33, 33, dtype=torch.uint8)
    row[:, :, 16] = 255
    turned = looks(row, replace(STILL, turn=20.0))[0][:, 0].float()
    heights = (turned * torch.arange(33)[:, None]).sum(dim=1) / turned.sum(dim=1).clamp(min=1)
    slopes = ((heights[:, 24] - heights[:, 8]) / 16).atan().rad2deg()
    assert 10 < slopes.abs().max() < 23


def test_the_same_pictures_have_the_same_views_whatever_was_drawn_before(pictures):
    first = looks(pictures, ViewsConfig(2))
    before = torch.random.get_rng_state()
    torch.rand(5)
    drawn = torch.random.get_rng_state()
    assert torch.equal(looks(pictures, ViewsConfig(2)), first)
    assert torch.equal(torch.random.get_rng_state(), drawn)
    assert not torch.equal(before, drawn)
    assert not torch.equal(first[0], first[1])


def test_views_and_their_mirror_images_are_learned_with_the_labels_of_their_pictures(pictures):
    labels, config = Labels(torch.arange(3.0)[:, None], torch.ones(3, dtype=torch.bool)), ViewsConfig(2)
    data = TrainingData(pictures, labels, PIXELS, mirror=True, looks=config, device="cpu")
    expected = [side for part in (pictures, *views(pictures, config)) for side in (part, part.flip(3))]
    assert torch.equal(data.packed, torch.cat(expected))
    assert data.labels[:, 0].tolist() == [0, 1, 2] * 6


def test_views_are_coded_like_pictures(pictures):
    codec = random_codec()
    data = TrainingData(pictures, None, latent(codec), mirror=False, looks=STILL, device="cpu")
    assert torch.equal(data.packed[3:], data.packed[:3])


def test_a_number_below_zero_is_refused():
    with pytest.raises(ValueError, match="number"):
        ViewsConfig(-1)
