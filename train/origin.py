"""What the shipped models were trained on, and what may be done with them: for their cards, here and on the Hub."""

from typing import NamedTuple


class Origin(NamedTuple):
    """The data of a family. Licence and data sets have the names that they have on the Hub."""

    data: str  # in words
    terms: str = ""  # a sentence
    licence: str = ""
    licence_name: str = ""  # of an "other"
    datasets: tuple[str, ...] = ()


_CELEBA = Origin(
    "CelebA faces (a subset of 493 people)",
    "Trained on CelebA, whose terms allow non-commercial research only: use these weights for that alone.",
    "other",
    "celeba-dataset-release-agreement",
    ("flwrlabs/celeba",),
)
_OBJECTS = Origin(
    "pictures rendered with Blender for this project",
    "Made from scratch by this project, data and all. MIT, like the code.",
    "mit",
)
ORIGINS = {
    "cats128": Origin(
        "cats (AFHQ)",
        "Trained on AFHQ, whose licence is CC BY-NC 4.0: use these weights for no commercial purpose.",
        "cc-by-nc-4.0",
    ),
    "faces128": _CELEBA,
    "faces": _CELEBA,
    "objects128": _OBJECTS,
    "objects": _OBJECTS,
    "cifar10": Origin(
        "CIFAR-10",
        "Trained on CIFAR-10, which has no licence of its own: use these weights for research.",
        "unknown",
        datasets=("uoft-cs/cifar10",),
    ),
}


def origin_of(family: str) -> Origin:
    """Of a person's own family no more than its name."""
    return ORIGINS.get(family, Origin(family))
