"""Fréchet distance and nearest images against known answers."""

import pytest
import torch

from tests.train.conftest import Pixels
from train.evaluate import features
from train.evaluate.features import EfficientNetFeatures, FrechetDistance
from train.evaluate.frechet import nearest


def gaussian(mean, std, generator, num=4000):
    values = torch.randn(num, 2, generator=generator) * torch.tensor(std) + torch.tensor(mean)
    x = torch.zeros(num, 3, 2, 2)
    x[:, 0, 0] = values
    return x.round().clamp(0, 255).to(torch.uint8)


def test_distance_between_gaussians_is_the_closed_form(rng, monkeypatch):
    monkeypatch.setattr(features, "EfficientNetFeatures", Pixels)
    a, b = gaussian([100.0, 100.0], [10.0, 20.0], rng), gaussian([103.0, 96.0], [20.0, 10.0], rng)
    to_a = FrechetDistance(a)
    # |difference of means|^2 + sum of (difference of standard deviations)^2 for diagonal covariances
    assert to_a(b) == pytest.approx(9 + 16 + 100 + 100, rel=0.05)
    assert to_a.name == "efficientnet-lite0"
    assert to_a(a) == pytest.approx(0, abs=1e-3)


def test_too_few_images_are_refused():
    x = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    with pytest.raises(ValueError, match="needs two images of each kind, got 1"):
        FrechetDistance(x)


def test_pretrained_features_tell_textures_apart(rng):
    pytest.importorskip("efficientnet_lite_pytorch")
    net = EfficientNetFeatures(side=64)
    with torch.no_grad():
        f = net(torch.stack([torch.rand(3, 16, 16, generator=rng), torch.full((3, 16, 16), 0.5)]))
    assert f.shape == (2, 1280)
    assert f.isfinite().all()
    assert (f[0] - f[1]).norm() > 1
    assert not any(p.requires_grad for p in net.parameters())


def test_nearest_finds_the_image_and_its_error(rng):
    among = torch.randint(256, (20, 3, 4, 4), generator=rng, dtype=torch.uint8)
    x = among[[7, 3]].clone()
    x[1, 0, 0, 0] ^= 128
    error, index = nearest(x, among)
    assert index.tolist() == [7, 3]
    assert error[0] == pytest.approx(0, abs=1e-6)
    assert error[1] == pytest.approx(0.25 / 48, rel=1e-3)
