"""Every transition against torchvision's functional operation on the same parameters."""

import pytest
import torch
import torchvision.transforms.functional as TF

from ebm_core import transitions as T
from ebm_core.transitions import TransitionConfig, transition

OFF = {"crop_min_scale": 1.0, "flip_prob": 0.0, "jitter_prob": 0.0, "grayscale_prob": 0.0, "blur_prob": 0.0}


@pytest.fixture
def x(rng):
    return torch.rand(16, 3, 12, 12, generator=rng)


def each(x, op, *parameters):
    return torch.stack([op(image, *(p[i] for p in parameters)) for i, image in enumerate(x)])


@pytest.mark.parametrize("size", [(12, 12), (8, 12)])
def test_resized_crop(rng, size):
    x = torch.rand(64, 3, *size, generator=rng)
    boxes = T.draw_boxes(64, *size, 0.08, rng)
    ours = T.resized_crop(x, boxes)
    theirs = each(x, lambda i, b: TF.resized_crop(i, *b.int().tolist(), list(size), antialias=True), boxes)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_boxes_lie_inside_and_have_the_areas_asked_for(rng):
    boxes = T.draw_boxes(5000, 32, 32, 0.5, rng)
    top, left, h, w = boxes.unbind(1)
    assert torch.equal(boxes, boxes.round())
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + h <= 32).all()
    assert (left + w <= 32).all()
    area = h * w / 1024
    assert area.min() < 0.52
    assert area.min() > 0.4  # an elongated box near the full area is cut to the picture, rounding adds a little
    assert area.max() > 0.95
    assert abs(area.mean() - 0.74) < 0.03
    assert len(boxes.unique(dim=0)) > 1000


def test_brightness_contrast_saturation_hue(x, rng):
    f = 2 * torch.rand(len(x), generator=rng)
    torch.testing.assert_close(T.adjust_brightness(x, f), each(x, TF.adjust_brightness, f))
    torch.testing.assert_close(T.adjust_contrast(x, f), each(x, TF.adjust_contrast, f))
    torch.testing.assert_close(T.adjust_saturation(x, f), each(x, TF.adjust_saturation, f))
    shift = torch.rand(len(x), generator=rng) - 0.5
    torch.testing.assert_close(T.adjust_hue(x, shift), each(x, TF.adjust_hue, shift), atol=2e-5, rtol=0)


def test_hue_of_grey_black_and_pure_colours(rng):
    colours = torch.tensor([[0.5] * 3, [0.0] * 3, [1.0] * 3, [1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [1.0, 1.0, 0]])
    x = colours[:, :, None, None].expand(-1, -1, 4, 4)
    shift = torch.full((len(x),), 0.3)
    torch.testing.assert_close(T.adjust_hue(x, shift), each(x, TF.adjust_hue, shift), atol=1e-5, rtol=0)


def test_grayscale(x):
    torch.testing.assert_close(T.grayscale(x).expand_as(x), TF.rgb_to_grayscale(x, 3))


def test_gaussian_blur(x, rng):
    sigma = 0.1 + 1.9 * torch.rand(len(x), generator=rng)
    theirs = each(x, lambda i, s: TF.gaussian_blur(i, [5, 5], [float(s)] * 2), sigma)
    torch.testing.assert_close(T.gaussian_blur(x, sigma), theirs, atol=1e-5, rtol=0)


def test_jitter_applies_each_images_own_order(x, rng):
    factors, order = T.draw_jitter(x, 1.0, rng)
    ops = [TF.adjust_brightness, TF.adjust_contrast, TF.adjust_saturation, TF.adjust_hue]

    def one(image, f, o):
        for i in o.tolist():
            image = ops[i](image, f[i])
        return image

    torch.testing.assert_close(T.colour_jitter(x, factors, order), each(x, one, factors, order), atol=1e-4, rtol=0)
    assert len(order.unique(dim=0)) > 4


def test_jitter_factors_have_the_stated_ranges(rng):
    factors, _ = T.draw_jitter(torch.zeros(4000, 3, 1, 1), 0.5, rng)
    low, high = factors.amin(0), factors.amax(0)
    torch.testing.assert_close(low, torch.tensor([0.6, 0.6, 0.6, -0.2]), atol=0.01, rtol=0)
    torch.testing.assert_close(high, torch.tensor([1.4, 1.4, 1.4, 0.2]), atol=0.01, rtol=0)


def test_all_off_is_the_identity(x, rng):
    assert torch.equal(transition(x, TransitionConfig(**OFF), rng), x)


@pytest.mark.parametrize(
    "on",
    [{"crop_min_scale": 0.3}, {"flip_prob": 0.5}, {"jitter_prob": 0.5}, {"grayscale_prob": 0.5}, {"blur_prob": 0.5}],
)
def test_each_field_acts_and_each_image_has_its_own_draw(on, rng):
    x = torch.rand(1, 3, 12, 12, generator=rng).repeat(200, 1, 1, 1)
    y = transition(x, TransitionConfig(**(OFF | on)), rng)
    changed = (y != x).flatten(1).any(1).float().mean().item()
    expected = 0.5 if "crop_min_scale" not in on else 1.0
    assert abs(changed - expected) < 0.15
    assert len(y.unique(dim=0)) > (1 if "flip_prob" in on or "grayscale_prob" in on else 20)
    assert y.min() >= 0
    assert y.max() <= 1


def test_jitter_strength_acts(rng):
    x = torch.rand(64, 3, 12, 12, generator=rng)

    def moved(strength):
        config = TransitionConfig(**(OFF | {"jitter_prob": 1.0, "jitter_strength": strength}))
        return (transition(x, config, torch.Generator().manual_seed(1)) - x).abs().mean()

    assert moved(0.0) == 0
    assert 0 < moved(0.2) < moved(1.0)


def test_pictures_without_colour_keep_what_changes_colours_alone(rng):
    x = torch.rand(8, 1, 12, 12, generator=rng)
    assert torch.equal(transition(x, TransitionConfig(**(OFF | {"grayscale_prob": 1.0})), rng), x)
    assert torch.equal(T.adjust_hue(x, torch.full((8,), 0.3)), x)
    assert torch.equal(T.adjust_saturation(x, torch.zeros(8)), x)
    y = transition(x, TransitionConfig(), rng)
    assert y.shape == x.shape
    assert not torch.equal(y, x)


def test_same_seed_same_transition(x):
    def run(seed):
        return transition(x, TransitionConfig(), torch.Generator().manual_seed(seed))

    assert torch.equal(run(5), run(5))
    assert not torch.equal(run(5), run(6))


@pytest.mark.parametrize("bad", [{"crop_min_scale": 0.0}, {"flip_prob": 1.1}, {"jitter_strength": -1.0}])
def test_bad_configuration_is_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        TransitionConfig(**bad)
