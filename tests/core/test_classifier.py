"""The classifier of attributes: its outputs by attribute, errors in the data's units, and its file."""

import math

import pytest
import torch
from safetensors.torch import save_file

from ebm_core.attribute import Attribute
from ebm_core.checkpoint import CheckpointError
from ebm_core.classifier import (
    METADATA_KEY,
    Classifier,
    ClassifierConfig,
    load_classifier,
    save_classifier,
)

SMILE = Attribute("smiling", "binary", ("Smiling",), ("not smiling", "smiling"))
PLACE = Attribute("position", "numbers", ("x", "y"), (), (-1.5, -0.8), (1.5, 0.8))
ANGLE = Attribute("rotation", "angle", ("theta",))


def classifier():
    torch.manual_seed(0)
    return Classifier(ClassifierConfig((SMILE, PLACE, ANGLE), image_size=16, width=2, held_out={"smiling": 0.9})).eval()


def test_it_has_the_layers_of_a_resnet18_and_an_output_for_each_label_number():
    from torchvision.models import resnet18

    def count(net, kind):
        return sum(isinstance(m, kind) for m in net.modules())

    ours, theirs = Classifier(ClassifierConfig((SMILE,), width=64)), resnet18(num_classes=2)
    assert count(ours, torch.nn.Conv2d) == count(theirs, torch.nn.Conv2d)
    ours_size, theirs_size = (sum(p.numel() for p in net.parameters()) for net in (ours, theirs))
    assert theirs_size - ours_size == 64 * 3 * (7 * 7 - 3 * 3)  # only the stem differs
    parts = classifier().by_attribute(classifier()(torch.rand(3, 3, 16, 16)))
    assert {name: part.shape for name, part in parts.items()} == {
        "smiling": (3, 2),
        "position": (3, 2),
        "rotation": (3, 2),
    }


@pytest.mark.parametrize(
    ("attribute", "output", "label", "error"),
    [
        (SMILE, [0.2, 0.1], [1.0, 0.0], 0.0),
        (SMILE, [0.2, 0.1], [0.0, 1.0], 1.0),
        (PLACE, [0.0, 0.0], [1.0, 0.0], 1.5),
        (PLACE, [0.0, -1.0], [0.0, 1.0], 1.6),
        (ANGLE, [math.sin(-0.1), math.cos(-0.1)], [math.sin(0.1), math.cos(0.1)], math.degrees(0.2)),
        (ANGLE, [2 * math.sin(3), 2 * math.cos(3)], [math.sin(-3), math.cos(-3)], math.degrees(2 * math.pi - 6)),
    ],
)
def test_errors_are_in_the_units_of_the_data(attribute, output, label, error):
    found = attribute.error(torch.tensor([output]), torch.tensor([label]))
    assert float(found) == pytest.approx(error, abs=1e-4)


def test_a_file_gives_the_classifier_back(tmp_path):
    net = classifier()
    save_classifier(tmp_path / "r.safetensors", net)
    again, x = load_classifier(tmp_path / "r.safetensors"), torch.rand(2, 3, 16, 16)
    assert again.config == net.config
    torch.testing.assert_close(again(x), net(x), atol=5e-3, rtol=5e-3)
    assert not any(p.requires_grad for p in again.parameters())


def test_files_that_are_no_classifiers_are_refused_in_a_sentence(tmp_path):
    path = tmp_path / "r.safetensors"
    with pytest.raises(CheckpointError, match="python -m train classifier trains it"):
        load_classifier(path)
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="a bare state dict"):
        load_classifier(path)
    save_file({"a": torch.zeros(2)}, path, {METADATA_KEY: "{}"})
    with pytest.raises(CheckpointError, match="missing key"):
        load_classifier(path)
    net = classifier()
    torch.nn.init.constant_(net.head.bias, math.nan)
    save_classifier(path, net)
    with pytest.raises(CheckpointError, match="not finite"):
        load_classifier(path)
    save_classifier(path, classifier())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="damaged or cut off"):
        load_classifier(path)


def test_larger_pictures_are_reduced_and_smaller_ones_refused(rng):
    classifier = Classifier(
        ClassifierConfig((Attribute("a", "binary", ("A",), ("no", "yes")),), image_size=8, width=2)
    ).eval()
    small = torch.rand(2, 3, 8, 8, generator=rng)
    large = small.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(classifier.fitted(large), small)
    with pytest.raises(ValueError, match="reads pictures of 8 pixels or more, got 4"):
        classifier.fitted(large[:, :, :4, :4])
