"""Compositions to begin with: by family and name the values of the page's controls, for each model that is not off."""

from typing import Any

# At a weight of 0.6 pictures of faces are read as asked and whole, at 1 several are overdone; objects want 1.
COMPOSITIONS: dict[str, dict[str, dict[str, list[Any]]]] = {
    "faces128": {
        "Young and smiling": {"faces128-young": [0.6, "and"], "faces128-smiling": [0.6, "and"]},
        "An old man, smiling": {
            "faces128-young": [-0.6, "and"],
            "faces128-female": [-0.6, "and"],
            "faces128-smiling": [0.6, "and"],
        },
        "All four: young, female, smiling, wavy hair": {
            "faces128-young": [0.6, "and"],
            "faces128-female": [0.6, "and"],
            "faces128-smiling": [0.6, "and"],
            "faces128-wavy_hair": [0.6, "and"],
        },
        "Female, but not smiling": {"faces128-female": [0.6, "and"], "faces128-smiling": [0.6, "not"]},
        "Smiling or old": {"faces128-smiling": [0.6, "or"], "faces128-young": [-0.6, "or"]},
    },
    "cifar10": {
        "A car": {"cifar10-class": [["automobile"], 1.0, "and"]},
        "A horse": {"cifar10-class": [["horse"], 1.0, "and"]},
        "A ship": {"cifar10-class": [["ship"], 1.0, "and"]},
        "A ship or a car": {"cifar10-class": [["ship", "automobile"], 1.0, "and"]},
    },
    "objects128": {
        "A cube at the left": {
            "objects128-type": [["cube"], 1.0, "and"],
            "objects128-position": [-1.0, 0.0, 1.0, "and"],
        },
        "A big sphere at the right": {
            "objects128-type": [["sphere"], 1.0, "and"],
            "objects128-size": [1.1, 1.0, "and"],
            "objects128-position": [1.0, 0.0, 1.0, "and"],
        },
        "A small cylinder, far away": {
            "objects128-type": [["cylinder"], 1.0, "and"],
            "objects128-size": [0.6, 1.0, "and"],
            "objects128-position": [0.0, 0.7, 1.0, "and"],
        },
        "A big monkey, turned": {
            "objects128-type": [["monkey"], 1.0, "and"],
            "objects128-size": [1.1, 1.0, "and"],
            "objects128-rotation": [270.0, 1.0, "and"],
        },
        "Small or at the right": {
            "objects128-size": [0.5, 0.6, "or"],
            "objects128-position": [1.2, 0.0, 0.6, "or"],
        },
    },
}
