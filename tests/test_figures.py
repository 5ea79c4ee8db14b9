"""What the README and the documentation say in figures is what the reports and cards say now.

A sentence here has a ``{}`` for each figure. When a report is made anew, the test says how the sentence is to be.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("asked", "name", "step")  # what tells the rows of a report's list apart


class Figure(NamedTuple):
    """Where a number is: a file, the keys on the way to it (of a row, what it is named), and how it is written."""

    file: str
    keys: tuple[str | int, ...]
    form: str = ".2f"  # ``fraction`` drops the leading zero of it
    times: float = 1.0
    fraction: bool = True

    def text(self) -> str:
        number = f"{self.value() * self.times:{self.form}}"
        return number.removeprefix("0") if self.fraction else number

    def value(self) -> Any:
        found = json.loads((ROOT / self.file).read_text(encoding="utf-8"))
        for key in self.keys:
            if isinstance(found, list):
                found = next(row for row in found if key in [row.get(name) for name in NAMES])
            else:
                found = found[key]
        return found


def of_objects(asked: str, read: str, what: str, form: str = ".2f") -> Figure:
    return Figure("reports/compose-objects128/compose.json", ("rows", asked, read, what), form)


def auroc(model: str, of: str, score: str = "energy", *, fraction: bool = True) -> Figure:
    return Figure(f"reports/ood-{model}/ood.json", ("sets", of, "detection", score, "auroc"), fraction=fraction)


def mean_auroc(model: str, score: str = "energy") -> Figure:
    return Figure(f"reports/ood-{model}/ood.json", ("mean_auroc", "sets from files", score))


def distance(model: str) -> Figure:
    return Figure(f"weights/{model}/metrics.json", ("figures", "frechet", "distance"), ".0f")


def floor(model: str) -> Figure:
    return Figure(f"weights/{model}/metrics.json", ("figures", "frechet", "floor_train_against_test"), ".0f")


def below_data(model: str) -> Figure:
    """Thousandths by which the ends of long chains lie below the data."""
    keys = ("models", model, "marks", 10_000, "energy")
    return Figure(f"reports/chain-{model}/chain.json", keys, ".1f", -1000, fraction=False)


def percent_saturated(model: str) -> Figure:
    keys = ("models", model, "marks", 10_000, "saturated")
    return Figure(f"reports/chain-{model}/chain.json", keys, ".0f", 100)


ALL_THREE = "type & size & position"
IS, NOTHING = "read", "read_where_nothing_is_asked"
SENTENCES = [
    (
        "README.md",
        "of 64 asked for a type, a size and a place {} have the type, they are off by {} in size (between .45 and "
        "1.15; {} where nothing is asked) and by {} in place (of three across; {}); monkey heads that are asked for "
        "an angle are off by {} degrees ({}).",
        [
            of_objects(ALL_THREE, IS, "type"),
            of_objects(ALL_THREE, IS, "size"),
            of_objects(ALL_THREE, NOTHING, "size"),
            of_objects(ALL_THREE, IS, "position"),
            of_objects(ALL_THREE, NOTHING, "position"),
            of_objects("monkey & rotation", IS, "rotation", ".0f"),
            of_objects("monkey & rotation", NOTHING, "rotation", ".0f"),
        ],
    ),
    (
        "README.md",
        "The present [`cats128`](reports/ood-cats128/README.md) has a mean of {} (faces {}, digits {}, one colour "
        "each {}, noise {}), [`faces128`](reports/ood-faces128/README.md) one of {} (digits {}, one colour each {}), "
        "[`objects128-icd`](reports/ood-objects128-icd/README.md) one of {}, "
        "[`cifar10`](reports/ood-cifar10/README.md) one of {} (.55 before its last 1,076 iterations): digits {} "
        "(.11), clothes {} (.12), textures {} (.85), but rendered objects {} (.96).",
        [
            mean_auroc("cats128"),
            *(auroc("cats128", name) for name in ("celeba", "mnist", "constant", "noise")),
            mean_auroc("faces128"),
            *(auroc("faces128", name) for name in ("mnist", "constant")),
            mean_auroc("objects128-icd"),
            mean_auroc("cifar10"),
            *(auroc("cifar10", name) for name in ("mnist", "fashion_mnist", "textures_crop", "objects")),
        ],
    ),
    (
        "README.md",
        "(EfficientNet-lite0 features, not an FID) is {} for `cats128`, where training pictures have {}, and {} for "
        "`faces128`, where they have {};",
        [distance("cats128"), floor("cats128"), distance("faces128"), floor("faces128")],
    ),
    (
        "README.md",
        "`objects128` has {}, after contrastive divergence {}, where training pictures have {}.",
        [distance("objects128"), distance("objects128-icd"), floor("objects128")],
    ),
    (
        "README.md",
        "{}, {} and {} thousandths below test pictures, three to five spreads of those, where noise lies 40 above; "
        "{}, {} and {} % of the values are saturated",
        [f(model) for f in (below_data, percent_saturated) for model in ("cats128", "faces128", "cifar10")],
    ),
    (
        "README.md",
        "*All together*, which judges there, adds features of a classifier: {} for textures, {} for faces, {} for "
        "digits, but {} for CIFAR-100; of [cats](reports/ood-cats128/README.md) {} for faces, {} for rendered "
        "objects, {} for cats blurred by a pixel.",
        [
            *(auroc("cifar10", name, "joint") for name in ("textures_crop", "celeba", "mnist", "cifar100")),
            *(auroc("cats128", name, "joint") for name in ("celeba", "objects", "blur")),
        ],
    ),
    (
        "docs/scores.md",
        "it is {} for faces of the same size, {} for rendered objects, {} for cats blurred by a pixel, {} for means "
        "of two cats, where the energy alone has {}, {}, {} and {};",
        [
            auroc("cats128", name, score, fraction=False)
            for score in ("joint", "energy")
            for name in ("celeba", "objects", "blur", "interpolation")
        ],
    ),
    (
        "docs/scores.md",
        "its AUROC is {} for textures, {} for faces, {} for digits, {} for clothes, {} for rendered objects and {} "
        "for Tiny ImageNet, but **{} for CIFAR-100** and {} for means of two pictures",
        [
            auroc("cifar10", name, "joint", fraction=False)
            for name in (
                *("textures_crop", "celeba", "mnist", "fashion_mnist", "objects"),
                *("tinyimagenet", "cifar100", "interpolation"),
            )
        ],
    ),
    ("docs/training.md", "after 1,076 more with old chains it is {}.", [mean_auroc("cifar10")]),
]


@pytest.mark.parametrize(("document", "sentence", "figures"), SENTENCES)
def test_a_sentence_says_what_the_report_says(document, sentence, figures):
    now = sentence.format(*(figure.text() for figure in figures))
    assert now in " ".join((ROOT / document).read_text(encoding="utf-8").split()), f"{document} has to say: {now}"
