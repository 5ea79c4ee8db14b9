"""``python -m train evaluate compose FAMILY``: do composed samples have what was asked for? (ICD Table 4)

A classifier that was trained on real pictures alone (``python -m train classifier``) reads the samples. Beside its
readings stand what it reads where nothing was asked and in real held-out pictures that have what was asked for, the
distance of the samples to real pictures and their nearest training images, so that accuracy bought by collapse or
memorising shows.
"""

import argparse
import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ebm_core import images
from ebm_core.arguments import COUNT, POSITIVE, add_device, folder_name
from ebm_core.attribute import Attribute
from ebm_core.checkpoint import ModelInfo
from ebm_core.classifier import CLASSIFIER_FILE, load_classifier
from ebm_core.files import write_atomically
from ebm_core.hub import WEIGHTS
from ebm_core.recipe import SEED
from train.batch import label_vectors
from train.data import DataConfig, load
from train.evaluate.asked import AskedPictures
from train.evaluate.asking import Case, cases, in_order, not_cases, or_cases
from train.evaluate.compose_report import bars, markdown
from train.evaluate.composed import load_family
from train.evaluate.frechet import NEAREST_SHEET, nearest
from train.evaluate.predictions import TOGETHER, accuracies, has_asked, has_terms, predictions, shares
from train.evaluate.split import Split, add_split
from train.history import objective
from train.provenance import add_allow_dirty, command_of, provenance

# The order in which attributes are added to each other; Table 4 of ICD has that of the faces.
_FACES, _OBJECTS = ("young", "female", "smiling", "wavy hair"), ("type", "size", "position", "rotation")
ORDER = {"faces": _FACES, "faces128": _FACES, "objects": _OBJECTS, "objects128": _OBJECTS}
TABLE4 = dict(zip(_FACES, (0.92, 0.63, 0.84, 0.91), strict=True))  # of ICD, all four at once
PAPER = {"faces": TABLE4, "faces128": TABLE4}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add_device(parser)
    parser.add_argument("family", type=folder_name, help="faces or objects")
    parser.add_argument("--train", required=True, help="zip of the training images (for the nearest ones)")
    add_split(parser, "for labels and distances")
    parser.add_argument("--num", type=COUNT, default=128, help="samples of each composition")
    parser.add_argument("--seed", type=SEED, default=0)
    parser.add_argument(
        "--sum-only", action="store_true", help="add the energies as the paper does, without dividing by the base"
    )
    parser.add_argument("--weight", type=POSITIVE, default=1.0, help="of each attribute that is asked for")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="folder of the models, for baselines' too")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    add_allow_dirty(parser)


def run(a: argparse.Namespace) -> None:
    """The command itself. Raises ValueError as ``evaluate`` does."""
    evaluate(
        a.family,
        Split.of(a),
        train=a.train,
        num=a.num,
        seed=a.seed,
        sum_only=a.sum_only,
        weight=a.weight,
        weights=a.weights,
        out=a.out,
        device=a.device,
    )


def evaluate(
    family: str,
    split: Split,
    *,
    train: str,
    num: int,
    seed: int,
    weight: float,
    weights: Path,
    out: Path,
    device: str,
    sum_only: bool = False,
) -> dict[str, Any]:
    """Compose, read and compare; ``train`` is a zip. Writes ``compose.json``, ``README.md`` and sheets into ``out``.

    Raises ValueError where the family, its classifier or the pictures cannot be used.
    """
    models = load_family(family, weights, device)
    attributes = models.attributes
    classifier = load_classifier(weights / family / CLASSIFIER_FILE, device)
    size = classifier.config.image_size
    if (side := models.space.picture_shape[1]) != size:
        raise ValueError(
            f"the models of '{family}' make pictures of {side} pixels, its classifier was trained on those of "
            f"{size}; give it a classifier of {side} pixels"
        )
    known = {attribute.name: _meaning(attribute) for attribute in classifier.config.attributes}
    unread = [name for name, attribute in attributes.items() if known.get(name) != _meaning(attribute)]
    if unread:
        raise ValueError(
            f"the classifier of '{family}' does not read {', '.join(unread)} as the models do; train one that does "
            f"(python -m train classifier {family})"
        )
    pictures, test = (load(DataConfig("zip", path), size) for path in (train, split.path))
    labels = {name: label_vectors(test.labels, attribute, test.names) for name, attribute in attributes.items()}
    order = in_order(attributes, ORDER.get(family, ()))
    read_real = predictions(classifier, test.images, device)
    real = AskedPictures(test.images, labels, attributes, device)
    rows: list[dict[str, Any]] = []
    read_nothing: dict[str, Tensor] = {}
    started = time.monotonic()
    planned = cases(attributes, order, labels, num)
    out.mkdir(parents=True, exist_ok=True)

    def draw_sheet(case: Case) -> tuple[Tensor, Tensor]:
        samples, energies = models.draw(case, num, seed, sum_only, weight)
        sheet = re.sub(r"[^\w+]+", "-", case.name.replace(" & ", "+"))
        images.sheet(samples[:32]).save(out / f"{sheet}.png")
        return samples, energies

    for case in planned:
        samples, energies = draw_sheet(case)
        row: dict[str, Any] = {"asked": case.name, "num": len(samples), "energy": float(energies.mean())}
        read = predictions(classifier, samples, device)
        read_nothing = read_nothing or read  # the first case asks for nothing
        if case.labels:
            row |= _comparison(case, attributes, read, read_nothing, read_real, labels)
        row["nearest_training_image_mse"] = float(nearest(samples, pictures.images)[0].median())
        row["frechet"] = real.distance(samples, case)
        rows.append(row)
        print(json.dumps(row), flush=True)
    neighbours = nearest(samples[:8], pictures.images)[1]
    images.sheet(torch.cat([samples[:8], pictures.images[neighbours]])).save(out / NEAREST_SHEET)
    operators = []
    for case, without in [
        *((case, None) for case in or_cases(attributes, order, labels, num)),
        *not_cases(attributes, order, labels, num),
    ]:
        read = predictions(classifier, draw_sheet(case)[0], device)
        beside = predictions(classifier, draw_sheet(without)[0], device) if without else read_nothing
        row = {
            "asked": case.name,
            "num": num,
            "read": shares(read, attributes, case.asked),
            "without": without.name if without else "nothing",
            "read_without": shares(beside, attributes, case.asked),
        } | _terms_in_real(case, attributes, read_real, labels)
        operators.append(row)
        print(json.dumps(row), flush=True)
    options = {
        "train": train,
        split.kind: split.path,
        "num": num,
        "seed": seed,
        "sum_only": sum_only,
        "weight": weight,
        "weights": weights,
        "out": out,
    }
    report = {
        "family": family,
        "sum_only": sum_only,
        "weight": weight,
        "rows": rows,
        "operators": operators,
        "read_on": split.to_plain(),
        "objective": _objectives(models.infos),
        "nearest_training_image_mse_of_test_images": float(nearest(test.images, pictures.images)[0].median()),
        "choices": [n for n, t in attributes.items() if t.is_choice] + [TOGETHER],
        "paper": PAPER.get(family, {}),
        "seed": seed,
        "seconds": round(time.monotonic() - started),
        "provenance": provenance(command_of(["evaluate", "compose", family], options, device)),
    }
    write_atomically(out / "compose.json", json.dumps(report, indent=1).encode())
    write_atomically(out / "README.md", markdown(report).encode())
    bars(out / "compose.png", report)
    return report


def _meaning(attribute: Attribute) -> tuple[object, ...]:
    """By which labels of two attributes of one name can be compared."""
    return attribute.kind, attribute.values, attribute.label_dim


def _comparison(
    case: Case,
    attributes: dict[str, Attribute],
    read: dict[str, Tensor],
    read_nothing: dict[str, Tensor],
    read_real: dict[str, Tensor],
    real: dict[str, Tensor],
) -> dict[str, Any]:
    """The same question put to samples that were asked for it, to samples that were not, and to real pictures."""
    has = has_asked(case.labels, attributes, real, len(next(iter(real.values()))))
    of_real = {name: real[name][has] for name in case.labels}
    return {
        "read": accuracies(read, attributes, case.labels),
        "read_where_nothing_is_asked": accuracies(read_nothing, attributes, case.labels),
        "read_in_real_pictures": accuracies({n: o[has] for n, o in read_real.items()}, attributes, of_real),
        "num_real": int(has.sum()),
    }


def _terms_in_real(
    case: Case, attributes: dict[str, Attribute], read_real: dict[str, Tensor], real: dict[str, Tensor]
) -> dict[str, Any]:
    """Of an OR or a NOT the same shares in real pictures that fit it; none where its terms ask for many values."""
    if not all(asked.words for asked in case.asked):
        return {"read_in_real_pictures": None, "num_real": 0}
    has = has_terms(case.asked, real)
    num = int(has.sum())
    alike = [asked._replace(labels=asked.labels[:1].expand(num, -1)) for asked in case.asked]
    read = shares({name: of[has] for name, of in read_real.items()}, attributes, alike) if num else None
    return {"read_in_real_pictures": read, "num_real": num}


def _objectives(infos: Mapping[str, ModelInfo]) -> dict[str, str]:
    """By model how much of its training was contrastive divergence, where its file says so."""
    sentences = {name or "unconditional": objective(info.provenance) for name, info in infos.items()}
    return {name: sentence for name, sentence in sentences.items() if sentence}
