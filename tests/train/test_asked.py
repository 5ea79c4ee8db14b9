"""The distance of samples to the real pictures that have what was asked for."""

import pytest
import torch

from ebm_core.attribute import Attribute
from tests.app.conftest import ATTRIBUTES
from tests.train.conftest import Pixels
from train.evaluate import asked, features
from train.evaluate.asked import FEWEST, AskedPictures
from train.evaluate.asking import Asked, Case
from train.evaluate.features import FrechetDistance

BRIGHT = Attribute("bright", "binary", ("Bright",), ("dark", "bright"))
NUM = FEWEST + 20
NOTHING = Case("nothing", ())


def of(*rows):
    return Case("bright", (Asked("bright", torch.eye(2)[list(rows)]),))


@pytest.fixture
def test_pictures(rng):
    return torch.randint(256, (2 * NUM, 3, 8, 8), generator=rng, dtype=torch.uint8)


@pytest.fixture
def measured(monkeypatch):
    """Sizes of the sets whose features were computed, in a distance on pixels."""
    sizes = []

    def counted(real, **options):
        sizes.append(len(real))
        return FrechetDistance(real, **options)

    monkeypatch.setattr(features, "EfficientNetFeatures", Pixels)
    monkeypatch.setattr(asked, "FrechetDistance", counted)
    return sizes


def of_pictures(pictures, bright):
    labels = {"bright": torch.eye(2)[bright], "kind": torch.eye(3)[torch.arange(len(pictures)) % 3]}
    return AskedPictures(pictures, labels, {"bright": BRIGHT, "kind": ATTRIBUTES["kind"]}, "cpu")


def test_the_distance_is_to_those_that_have_it(test_pictures, measured, rng):
    samples = torch.randint(256, (16, 3, 8, 8), generator=rng, dtype=torch.uint8)
    bright = torch.arange(2 * NUM) % 2
    real = of_pictures(test_pictures, bright)
    row = real.distance(samples, of(1, 1))
    chosen = test_pictures[bright == 1]
    assert row["num_real"] == NUM
    assert row["distance"] == round(FrechetDistance(chosen)(samples), 2)
    assert row["floor_of_16_real_ones"] == round(FrechetDistance(chosen[16:])(chosen[:16]), 2)
    both = real.distance(samples, of(0, 1))  # not the same of every sample
    assert both == real.distance(samples, NOTHING)
    assert both["num_real"] == 2 * NUM


def test_features_of_real_pictures_are_computed_once(test_pictures, measured, rng):
    real = of_pictures(test_pictures, torch.arange(2 * NUM) % 2)
    kinds = Case("kind", (Asked("kind", torch.eye(3)),))
    for case in (NOTHING, kinds, of(0, 1), NOTHING):  # to no kind is another the opposite
        real.distance(test_pictures[:16], case)
    assert measured == [2 * NUM, 2 * NUM - 16]


def test_of_too_few_there_is_no_distance(test_pictures, measured):
    bright = (torch.arange(2 * NUM) < FEWEST - 1).long()
    assert of_pictures(test_pictures, bright).distance(test_pictures[:16], of(1, 1)) is None
    assert not measured
