"""The classifier learns, weighs rare values, and is shipped by its command."""

import pytest
import torch

from ebm_core.attribute import Attribute
from ebm_core.classifier import CLASSIFIER_FILE, Classifier, ClassifierConfig, load_classifier
from tests.train.conftest import write_zip
from train.__main__ import main
from train.classifier import classifier_loss, family_attributes, fit_classifier, held_out

BRIGHT = Attribute("bright", "binary", ("Bright",), ("dark", "bright"))
LEVEL = Attribute("level", "numbers", ("level",), (), (0.0,), (10.0,))


def bright_pictures(num, seed):
    """Flat pictures, one of four bright, and their labels: bright or not, and how bright from 0 to 10."""
    rng = torch.Generator().manual_seed(seed)
    bright = (torch.rand(num, generator=rng) < 0.25).float()
    level = 0.4 * torch.rand(num, generator=rng) + 0.5 * bright
    x = (255 * level[:, None, None, None]).expand(num, 3, 8, 8).to(torch.uint8)
    return x, torch.stack([1 - bright, bright, 2 * level - 1], dim=1)


def test_a_classifier_learns_to_read():
    config = ClassifierConfig((BRIGHT, LEVEL), image_size=8, width=4)
    classifier = fit_classifier(*bright_pictures(256, 0), config, epochs=12, seed=0, device="cpu")
    figures = held_out(classifier, *bright_pictures(200, 1), "cpu")
    assert figures["bright"] > 0.9
    assert figures["level"] < 2.0  # a blind guess is off by 1.9 of 10 at best
    again = fit_classifier(*bright_pictures(256, 0), config, epochs=12, seed=0, device="cpu")
    assert held_out(again, *bright_pictures(200, 1), "cpu") == figures


def test_a_rare_value_weighs_as_much_as_a_common_one():
    classifier = Classifier(ClassifierConfig((BRIGHT,), image_size=8, width=2)).eval()
    x, y = torch.rand(2, 3, 8, 8), torch.eye(2)
    one, other = (
        classifier_loss(classifier, x, y, counts) for counts in (torch.tensor([9.0, 1.0]), torch.tensor([1.0, 1.0]))
    )
    assert not torch.allclose(one, other)
    doubled = classifier_loss(classifier, x, y, torch.tensor([18.0, 2.0]))
    torch.testing.assert_close(one, doubled)


def test_families_have_the_attributes_of_their_configs():
    assert {a.name for a in family_attributes("faces")} == {"young", "female", "smiling", "wavy hair"}
    assert {a.name for a in family_attributes("objects")} == {"type", "size", "position", "rotation"}
    with pytest.raises(ValueError, match="no attribute configs of a family 'cats'"):
        family_attributes("cats")


def test_the_classifier_command_ships_a_classifier(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("train.classifier.family_attributes", lambda family: (BRIGHT,))
    data = write_zip(tmp_path / "data.zip", [{"Bright": i % 2} for i in range(6)])
    code = main(
        [
            "classifier",
            "tiny",
            "--train",
            str(data),
            "--test",
            str(data),
            "--epochs",
            "1",
            "--width",
            "2",
            "--weights",
            str(tmp_path),
            "--device",
            "cpu",
        ]
    )
    assert code == 0, capsys.readouterr().err
    classifier = load_classifier(tmp_path / "tiny" / CLASSIFIER_FILE)
    assert set(classifier.config.held_out) == {"bright"}
    assert classifier.config.provenance["num_train"] == 6
