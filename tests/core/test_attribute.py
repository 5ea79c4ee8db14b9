"""Label vectors of every kind, there and back, and what is said of values that there are none for."""

import math

import pytest

from ebm_core.attribute import Attribute

FEMALE = Attribute("female", "binary", ("Male",), ("female", "male"))
TYPE = Attribute("type", "choice", ("type",), ("cube", "sphere", "cylinder"))
PLACE = Attribute("position", "numbers", ("x", "y"), (), (-1.5, 0.0), (1.5, 2.0))
ANGLE = Attribute("rotation", "angle", ("theta",))


@pytest.mark.parametrize(
    ("attribute", "label", "vector", "words"),
    [
        (FEMALE, {"Male": 0, "Young": 1}, [1, 0], "female"),
        (TYPE, {"type": "sphere"}, [0, 1, 0], "sphere"),
        (TYPE, {"type": 2}, [0, 0, 1], "cylinder"),
        (PLACE, {"x": 1.5, "y": 0.5}, [1, -0.5], "x 1.50, y 0.50"),
        (ANGLE, {"theta": math.pi / 2}, [1, 0], "rotation 90 degrees"),
    ],
)
def test_labels_become_vectors_and_words(attribute, label, vector, words):
    read = attribute.read(label)
    assert read == pytest.approx(vector, abs=1e-12)
    assert len(read) == attribute.label_dim
    assert attribute.describe(read) == words
    assert attribute.encode(attribute.decode(read)) == pytest.approx(vector, abs=1e-12)


def test_a_number_alone_is_the_label():
    assert Attribute("class", "choice", ("label",), ("cat", "dog")).read(1) == [0, 1]


def test_a_number_is_the_name_of_a_class_where_there_is_one():
    stars = Attribute("stars", "choice", ("label",), ("1", "2", "3", "4", "5"))
    assert [stars.decode(stars.read(number)) for number in (1, 2, 4)] == ["1", "2", "4"]
    for none in (0, 6, 1.5, True):
        with pytest.raises(ValueError, match="stars must be one of 1, 2, 3, 4, 5; got"):
            stars.read(none)
    versions = Attribute("version", "choice", ("label",), ("1.5", "2.5"))
    assert versions.decode(versions.read(2.5)) == "2.5"


def test_the_positive_end_is_what_the_attribute_is_named_for():
    assert FEMALE.opposites == ("male", "female")
    assert Attribute("smiling", "binary", ("Smiling",), ("not smiling", "smiling")).opposites[1] == "smiling"


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        (TYPE, "torus"),
        (TYPE, 3),
        (TYPE, True),
        (FEMALE, 0.5),
        (PLACE, [1.0]),
        (PLACE, [1.0, math.nan]),
        (ANGLE, "up"),
        (ANGLE, math.inf),
    ],
)
def test_impossible_values_are_refused(attribute, value):
    with pytest.raises(ValueError, match=attribute.name):
        attribute.encode(value)


def test_a_label_without_the_attribute_is_refused():
    with pytest.raises(ValueError, match="the labels have no 'y'; there are: x"):
        PLACE.read({"x": 1.0})
    with pytest.raises(ValueError, match="has 3 numbers, got 2"):
        TYPE.decode([0, 1])


@pytest.mark.parametrize(
    "arguments",
    [
        ("a", "binary", ("a",), ("one",)),
        ("a", "choice", ("a",), ("one",)),
        ("a", "numbers", ("a",), (), (0.0,), ()),
        ("a", "numbers", ("a",), (), (1.0,), (0.0,)),
        ("a", "angle", ("a", "b")),
        ("a", "angle", ("a",), ("x", "y")),
        ("", "angle", ("a",)),
        ("a", "numbers", ()),
        ("a", "angle", ("a",), (), (), (), ("type",)),
    ],
)
def test_attributes_that_make_no_sense_are_refused(arguments):
    with pytest.raises(ValueError, match="attribute"):
        Attribute(*arguments)
