"""What a classifier sees, in words."""

import torch

from app.captions import captions
from ebm_core.attribute import Attribute
from ebm_core.classifier import Classifier, ClassifierConfig

SMILE = Attribute("smiling", "binary", ("Smiling",), ("not smiling", "smiling"))
PLACE = Attribute("position", "numbers", ("x", "y"), (), (-1.5, -0.8), (1.5, 0.8))
ANGLE = Attribute("rotation", "angle", ("theta",))


def test_captions_name_each_attribute_and_say_where_they_are_unsure(monkeypatch):
    outputs = torch.tensor([[-3.0, 3.0, 0.0, 1.7, 1.0, 0.0], [0.1, 0.0, -1.0, 0.0, 0.0, 1.0]])
    classifier = Classifier(ClassifierConfig((SMILE, PLACE, ANGLE), image_size=16, width=2)).eval()
    monkeypatch.setattr(Classifier, "forward", lambda self, x: outputs)
    first, second = captions(classifier, torch.zeros(2, 3, 16, 16))
    assert first == "smiling, x 0.00, y 0.80, rotation 90 degrees"
    assert second.startswith("not smiling?, x -1.50")


def test_larger_pictures_are_reduced():
    classifier = Classifier(ClassifierConfig((SMILE,), image_size=8, width=2)).eval()
    small = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    large = small.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert captions(classifier, large) == captions(classifier, small)


def test_an_angle_is_told_only_of_what_has_one(monkeypatch):
    kind = Attribute("type", "choice", ("type",), ("sphere", "monkey"))
    angle = Attribute("rotation", "angle", ("theta",), seen_on=("type", "monkey"))
    outputs = torch.tensor([[3.0, -3.0, 1.0, 0.0], [-3.0, 3.0, 1.0, 0.0]])
    monkeypatch.setattr(Classifier, "forward", lambda self, x: outputs)
    both = Classifier(ClassifierConfig((kind, angle), image_size=16, width=2)).eval()
    assert captions(both, torch.zeros(2, 3, 16, 16)) == ["sphere", "monkey, rotation 90 degrees"]
    monkeypatch.setattr(Classifier, "forward", lambda self, x: outputs[:, 2:])
    alone = Classifier(ClassifierConfig((angle,), image_size=16, width=2)).eval()
    assert captions(alone, torch.zeros(2, 3, 16, 16)) == ["rotation 90 degrees"] * 2  # whose kind nobody reads
