"""``python -m train evaluate compose FAMILY``: do composed samples have what was asked for? (ICD Table 4)

A classifier that was trained on real pictures alone (``python -m train reader``) reads the samples. Beside its
readings stand what it reads where nothing was asked and in real held-out pictures that have what was asked for, the
distance of the samples to real pictures and their nearest training images, so that accuracy bought by collapse or
memorising shows.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ebm_core import images
from ebm_core.attribute import Attribute
from ebm_core.checkpoint import ModelInfo, load_model, write_atomically
from ebm_core.compose import Product, conditioned, product_weights
from ebm_core.energy import EnergyFn
from ebm_core.hub import WEIGHTS, find_model
from ebm_core.nets import EnergyNetwork
from ebm_core.precision import for_sampling
from ebm_core.reader import READER_FILE, load_reader
from train.batch import label_vectors
from train.data import DataConfig, load
from train.evaluate.compose_report import bars, markdown
from train.evaluate.features import FrechetDistance
from train.evaluate.frechet import NEAREST_SHEET, nearest
from train.evaluate.readings import TOGETHER, has_asked, read_pictures, readings
from train.evaluate.samples import draw_chains
from train.evaluate.split import Split, add_split
from train.history import objective
from train.provenance import add_allow_dirty, command_of, provenance

# The order in which attributes are added to each other; Table 4 of ICD has that of the faces.
ORDER = {"faces": ("young", "female", "smiling", "wavy hair"), "objects": ("type", "size", "position", "rotation")}
PAPER = {"faces": {"young": 0.92, "female": 0.63, "smiling": 0.84, "wavy hair": 0.91}}  # ICD Table 4, all four at once
BATCH = 32
FEWEST = 100  # pictures with all that was asked for, below which there is no distance to them


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("family", help="faces or objects")
    parser.add_argument("--train", required=True, help="zip of the training images (for the nearest ones)")
    add_split(parser, "for labels and distances")
    parser.add_argument("--num", type=int, default=128, help="samples of each composition")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--sum-only", action="store_true", help="add the energies as the paper does, without dividing by the base"
    )
    parser.add_argument("--weight", type=float, default=1.0, help="of each attribute that is asked for")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="folder of the models, for baselines' too")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    add_allow_dirty(parser)


@dataclass(frozen=True)
class Case:
    """One composition: the labels asked for by attribute, ``(num, label_dim)`` each."""

    name: str
    labels: dict[str, Tensor]


def cases(attributes: dict[str, Attribute], order: Sequence[str], test: dict[str, Tensor], num: int) -> list[Case]:
    """Each attribute alone, then each with all before it in the order.

    Labels are those of test pictures, so that what is asked for exists; of a binary attribute alone both values take
    turns, and with others the positive end is asked for, as in ICD Table 4. What is seen on one kind of picture only is
    asked for of that kind.
    """

    def asked(name: str, alone: bool) -> Tensor:
        attribute = attributes[name]
        if attribute.kind != "binary":
            return test[name][torch.arange(num) % len(test[name])]
        positive = torch.tensor(attribute.encode(attribute.opposites[1]))
        turns = torch.arange(num)[:, None] % 2 == 1 if alone else torch.zeros(num, 1, dtype=torch.bool)
        return torch.where(turns, 1 - positive, positive)

    def by_itself(name: str) -> Case:
        if not attributes[name].seen_on or attributes[name].seen_on[0] not in attributes:
            return Case(f"{name} alone", {name: asked(name, True)})
        bearer, value = attributes[name].seen_on
        kind = torch.tensor(attributes[bearer].encode(value)).expand(num, -1)
        return Case(f"{value} & {name}", {bearer: kind, name: asked(name, True)})

    alone = [by_itself(name) for name in order]
    together = [
        Case(" & ".join(order[:count]), {name: asked(name, False) for name in order[:count]})
        for count in range(2, len(order) + 1)
    ]
    return [Case("nothing", {}), *alone, *together]


def draw(
    models: dict[str, tuple[EnergyNetwork, ModelInfo]], case: Case, num: int, seed: int, device: str,
    sum_only: bool = False, weight: float = 1.0,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Samples uint8 ``(num, C, H, W)`` of a case and their energies; ``models`` by attribute, "" the unconditional.

    Each attribute weighs ``weight``, composed as on the page; with ``sum_only`` as in the paper, without the base.
    """
    names = list(case.labels)
    asked = [weight] * len(names)
    weights = asked if names and sum_only else product_weights(asked)
    pairs = [(name, weight) for name, weight in zip([*names, ""], weights, strict=False) if weight]
    info = models[""][1]
    langevin = replace(info.plan.langevin, step_size=info.plan.langevin.step_size / sum(weights))
    plan = replace(info.plan, langevin=langevin)
    shape = (info.net.channels, info.net.image_size, info.net.image_size)

    def energy_of(part: slice) -> EnergyFn:
        terms = [conditioned(models[n][0], case.labels[n][part].to(device) if n else None) for n, _ in pairs]
        return Product(terms, [weight for _, weight in pairs])

    return draw_chains(energy_of, shape, plan, num, seed, batch=BATCH, device=device, title=case.name)


def run(a: argparse.Namespace) -> None:
    models, attributes = load_family(a.family, a.weights, a.device)
    reader = load_reader(a.weights / a.family / READER_FILE, a.device)
    size = reader.config.image_size
    split = Split.of(a)
    train, test = (load(DataConfig("zip", path), size) for path in (a.train, split.path))
    labels = {name: label_vectors(test.labels, attribute) for name, attribute in attributes.items()}
    order = [name for name in ORDER.get(a.family, tuple(attributes)) if name in attributes]
    read_real = read_pictures(reader, test.images, a.device)
    rows, read_nothing, started = [], {}, time.monotonic()
    planned = cases(attributes, order, labels, a.num)
    for case in planned:
        samples, energies = draw(models, case, a.num, a.seed, a.device, a.sum_only, a.weight)
        row: dict[str, Any] = {"asked": case.name, "num": len(samples), "energy": float(energies.mean())}
        read = read_pictures(reader, samples, a.device)
        read_nothing = read_nothing or read  # the first case asks for nothing
        if case.labels:
            row |= _judged(case, attributes, read, read_nothing, read_real, labels)
        row["nearest_training_image_mse"] = float(nearest(samples, train.images)[0].median())
        row["frechet"] = distance_to_asked(samples, case, attributes, test.images, labels, a.device)
        rows.append(row)
        sheet = case.name.replace(" & ", "+").replace(" ", "-")
        images.grid(samples[:32], 8, zoom=3).save(_made(a.out) / f"{sheet}.png")
        print(json.dumps(row), flush=True)
    neighbours = nearest(samples[:8], train.images)[1]
    images.grid(torch.cat([samples[:8], train.images[neighbours]]), 8, zoom=3).save(a.out / NEAREST_SHEET)
    options = {
        "train": a.train, split.kind: split.path, "num": a.num, "seed": a.seed, "sum_only": a.sum_only,
        "weight": a.weight, "weights": a.weights, "out": a.out,
    }  # fmt: skip
    report = {
        "family": a.family, "sum_only": a.sum_only, "weight": a.weight, "rows": rows,
        "read_on": split.to_plain(), "objective": _objectives(models),
        "nearest_training_image_mse_of_test_images": float(nearest(test.images, train.images)[0].median()),
        "choices": [n for n, t in attributes.items() if t.kind in ("binary", "choice")] + [TOGETHER],
        "paper": PAPER.get(a.family, {}), "seed": a.seed, "seconds": round(time.monotonic() - started),
        "provenance": provenance(command_of(["evaluate", "compose", a.family], options, a.device)),
    }  # fmt: skip
    write_atomically(a.out / "compose.json", json.dumps(report, indent=1).encode())
    write_atomically(a.out / "README.md", markdown(report).encode())
    bars(a.out / "compose.png", report)


def _judged(
    case: Case, attributes: dict[str, Attribute], read: dict[str, Tensor], read_nothing: dict[str, Tensor],
    read_real: dict[str, Tensor], real: dict[str, Tensor],
) -> dict[str, Any]:  # fmt: skip
    """The same question put to samples that were asked for it, to samples that were not, and to real pictures."""
    has = has_asked(case.labels, attributes, real, len(next(iter(real.values()))))
    of_real = {name: real[name][has] for name in case.labels}
    return {
        "read": readings(read, attributes, case.labels),
        "read_where_nothing_is_asked": readings(read_nothing, attributes, case.labels),
        "read_in_real_pictures": readings({n: o[has] for n, o in read_real.items()}, attributes, of_real),
        "num_real": int(has.sum()),
    }


def _objectives(models: dict[str, tuple[EnergyNetwork, ModelInfo]]) -> dict[str, str]:
    """By model how much of its training was contrastive divergence, where its file says so."""
    told = {name or "unconditional": objective(info.provenance) for name, (_, info) in models.items()}
    return {name: sentence for name, sentence in told.items() if sentence}


def load_family(
    family: str, weights: Path, device: str
) -> tuple[dict[str, tuple[EnergyNetwork, ModelInfo]], dict[str, Attribute]]:
    """The models of a family by attribute ("" the unconditional one), ready for sampling, and the attributes.

    Raises ValueError when there is none with an attribute.
    """
    models: dict[str, tuple[EnergyNetwork, ModelInfo]] = {}
    attributes: dict[str, Attribute] = {}
    for folder in sorted(weights.glob(f"{family}*/model.safetensors")):
        net, info = load_model(find_model(str(folder)), device)
        if info.family == family:
            name = info.attribute.name if info.attribute else ""
            models[name] = (for_sampling(net, BATCH, device), info)
            if info.attribute:
                attributes[name] = info.attribute
    if not attributes or "" not in models:
        raise ValueError(f"{weights} has no family '{family}' with an unconditional and an attribute model")
    return models, attributes


def distance_to_asked(
    samples: Tensor, case: Case, attributes: dict[str, Attribute], test: Tensor, labels: dict[str, Tensor], device: str
) -> dict[str, Any] | None:
    """Fréchet distance of samples to the test pictures that have all binary attributes asked for; None for too few.

    Only of cases that ask the same of every sample, or whose labels are those of the test pictures.
    """
    has = torch.ones(len(test), dtype=torch.bool)
    for name, label in case.labels.items():
        if attributes[name].kind == "binary" and bool((label == label[0]).all()):
            has &= (labels[name] == label[0]).all(dim=1)
    if int(has.sum()) < FEWEST:
        return None
    real = test[has]
    distance, half = FrechetDistance(real, device=device), min(len(samples), len(real) // 2)
    floor = FrechetDistance(real[half:], device=device)(real[:half])
    return {"features": distance.name, "distance": round(distance(samples), 2), "num_real": len(real),
            f"floor_of_{half}_real_ones": round(floor, 2)}  # fmt: skip


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
