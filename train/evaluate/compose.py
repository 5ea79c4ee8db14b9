"""``python -m train evaluate compose FAMILY``: do composed samples have what was asked for? (ICD Table 4)

A classifier that was trained on real pictures alone (``python -m train reader``) reads the samples. Beside its
readings stand what it reads where nothing was asked, its own accuracy on real held-out pictures, the distance of the
samples to real pictures and their nearest training images, so that accuracy bought by collapse or memorising shows.
"""

import argparse
import json
import re
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ebm_core import images
from ebm_core.arguments import COUNT, POSITIVE, folder_name
from ebm_core.attribute import Attribute
from ebm_core.checkpoint import ModelInfo, load_model
from ebm_core.composition import energy_of_each
from ebm_core.family import Ask, Family, compose
from ebm_core.files import write_atomically
from ebm_core.hub import WEIGHTS, find_model
from ebm_core.level import Reference
from ebm_core.nets import EnergyNetwork
from ebm_core.precision import for_sampling
from ebm_core.reader import READER_FILE, Reader, load_reader, reading_error, reads_as
from ebm_core.recipe import SEED
from train.batch import label_vectors
from train.data import DataConfig, load
from train.evaluate.asking import Case, cases, in_order, not_cases, or_cases
from train.evaluate.compose_report import bars, markdown
from train.evaluate.features import FrechetDistance
from train.evaluate.frechet import NEAREST_SHEET, nearest
from train.evaluate.samples import draw_chains
from train.provenance import provenance

# The order in which attributes are added to each other; Table 4 of ICD has that of the faces.
ORDER = {"faces": ("young", "female", "smiling", "wavy hair"), "objects": ("type", "size", "position", "rotation")}
PAPER = {"faces": {"young": 0.92, "female": 0.63, "smiling": 0.84, "wavy hair": 0.91}}  # ICD Table 4, all four at once
BATCH = 32
FEWEST = 100  # pictures with all that was asked for, below which there is no distance to them


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("family", type=folder_name, help="faces or objects")
    parser.add_argument("--train", required=True, help="zip of the training images (for the nearest ones)")
    parser.add_argument("--test", required=True, help="zip of the test images (for labels and distances)")
    parser.add_argument("--num", type=COUNT, default=128, help="samples of each composition")
    parser.add_argument("--seed", type=SEED, default=0)
    parser.add_argument(
        "--sum-only", action="store_true", help="add the energies as the paper does, without dividing by the base"
    )
    parser.add_argument("--weight", type=POSITIVE, default=1.0, help="of each attribute that is asked for")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="folder of the models, for baselines' too")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")


def draw(
    models: dict[str, tuple[EnergyNetwork, ModelInfo]], case: Case, num: int, seed: int, device: str,
    sum_only: bool = False, weight: float = 1.0,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Samples uint8 ``(num, C, H, W)`` of a case and their energies; ``models`` by attribute, "" the unconditional.

    Each attribute weighs ``weight``, composed by the page's own functions; with ``sum_only`` as in the paper, without
    the base.
    """
    infos = {name: info for name, (_, info) in models.items()}
    attributes = {name: info.attribute for name, info in infos.items() if info.attribute is not None}
    family = Family("", None if sum_only and case.asked else "", attributes)
    compositions = [
        compose(family, [Ask(a.attribute, attributes[a.attribute], tuple(a.labels[i].tolist()), weight, a.operator)
                         for a in case.asked])
        for i in range(num)
    ]  # fmt: skip
    nets, base = {name: net for name, (net, _) in models.items()}, infos[""]
    reference = Reference(nets[""], base.plan.langevin)
    shape = (base.net.channels, base.net.image_size, base.net.image_size)
    return draw_chains(
        lambda part: energy_of_each(compositions[part], nets, reference), shape, compositions[0].plan(infos), num, seed,
        batch=BATCH, device=device, title=case.name,
    )  # fmt: skip


def readings(
    reader: Reader, attributes: dict[str, Attribute], samples: Tensor, labels: dict[str, Tensor], device: str
) -> dict[str, float]:
    """By attribute the share read as asked for, or the mean error; for choices also all of them at once.

    What is seen on one kind of picture only is judged where that kind is asked for, if any kind is.
    """
    read, errors = _outputs(reader, samples, device), {}
    for name, label in labels.items():
        seen = _is_seen(attributes[name], attributes, labels)
        if not seen.any():
            continue
        errors[name] = reading_error(attributes[name], read[name][seen], label[seen])
    choices = [name for name in errors if attributes[name].kind in ("binary", "choice")]
    figures = {name: float(1 - e.mean() if name in choices else e.mean()) for name, e in errors.items()}
    if len(choices) > 1:
        figures["all at once"] = float(torch.stack([1 - errors[name] for name in choices]).prod(dim=0).mean())
    return {name: round(value, 4) for name, value in figures.items()}


def shares(
    reader: Reader, attributes: dict[str, Attribute], samples: Tensor, case: Case, device: str
) -> dict[str, float]:
    """Of an OR or a NOT the share of samples read as each term asks or forbids, and of an OR as any of its terms asks.

    Numbers and angles count as read where ``reads_as`` finds them close.
    """
    read = _outputs(reader, samples, device)
    alike = [reads_as(attributes[a.attribute], read[a.attribute], a.labels[: len(samples)]) for a in case.asked]
    figures = {a.told: one.float().mean() for a, one in zip(case.asked, alike, strict=True)}
    if any(a.operator == "or" for a in case.asked):
        figures["any of them"] = torch.stack(alike).any(dim=0).float().mean()
    return {name: round(float(value), 4) for name, value in figures.items()}


def _outputs(reader: Reader, samples: Tensor, device: str) -> dict[str, Tensor]:
    """What the reader makes of pictures uint8 ``(B, C, H, W)``, by attribute."""
    return reader.by_attribute(torch.cat([reader((x.to(device) + 0.5) / 256).cpu() for x in samples.split(250)]))


def _is_seen(attribute: Attribute, attributes: dict[str, Attribute], labels: dict[str, Tensor]) -> Tensor:
    """Of which pictures, ``(B,)``, the labels say that the attribute shows."""
    if not attribute.seen_on or attribute.seen_on[0] not in labels:
        return torch.ones(len(labels[attribute.name]), dtype=torch.bool)
    bearer, value = attribute.seen_on
    return (labels[bearer] == torch.tensor(attributes[bearer].encode(value))).all(dim=1)


def run(a: argparse.Namespace) -> None:
    models, attributes = load_family(a.family, a.weights, a.device)
    reader = load_reader(a.weights / a.family / READER_FILE, a.device)
    size = reader.config.image_size
    train, test = (load(DataConfig("zip", path), size) for path in (a.train, a.test))
    labels = {name: label_vectors(test.labels, attribute, test.names) for name, attribute in attributes.items()}
    order = in_order(attributes, ORDER.get(a.family, ()))
    rows, started = [], time.monotonic()
    planned = cases(attributes, order, labels, a.num)

    def drawn(case: Case) -> tuple[Tensor, Tensor]:
        samples, energies = draw(models, case, a.num, a.seed, a.device, a.sum_only, a.weight)
        sheet = re.sub(r"[^\w+]+", "-", case.name.replace(" & ", "+"))
        images.grid(samples[:32], 8, zoom=3).save(_made(a.out) / f"{sheet}.png")
        return samples, energies

    free = None
    for case in planned:
        samples, energies = drawn(case)
        free = samples if free is None else free
        row: dict[str, Any] = {"asked": case.name, "num": len(samples), "energy": float(energies.mean())}
        # Where nothing is asked, what the reader would find of what the last case asks: the level to beat.
        row["read"] = readings(reader, attributes, samples, case.labels or planned[-1].labels, a.device)
        row["nearest_training_image_mse"] = float(nearest(samples, train.images)[0].median())
        row["frechet"] = distance_to_asked(samples, case, attributes, test.images, labels, a.device)
        rows.append(row)
        print(json.dumps(row), flush=True)
    neighbours = nearest(samples[:8], train.images)[1]
    images.grid(torch.cat([samples[:8], train.images[neighbours]]), 8, zoom=3).save(a.out / NEAREST_SHEET)
    operators = []
    for case, without in [
        *((case, None) for case in or_cases(attributes, order, labels, a.num)),
        *not_cases(attributes, order, labels, a.num),
    ]:
        beside = free if without is None else drawn(without)[0]
        row = {
            "asked": case.name, "num": a.num, "read": shares(reader, attributes, drawn(case)[0], case, a.device),
            "without": "nothing" if without is None else without.name,
            "read_without": shares(reader, attributes, beside, case, a.device),
        }  # fmt: skip
        operators.append(row)
        print(json.dumps(row), flush=True)
    held_out = dict(reader.config.held_out)
    if partly := [n for n, attribute in attributes.items() if attribute.seen_on]:  # the reader's file has it for all
        on_real = readings(reader, attributes, test.images, labels, a.device)
        held_out |= {n: on_real[n] for n in partly if n in on_real}
    report = {
        "family": a.family, "sum_only": a.sum_only, "weight": a.weight, "rows": rows, "operators": operators,
        "reader_on_real_test_images": held_out,
        "nearest_training_image_mse_of_test_images": float(nearest(test.images, train.images)[0].median()),
        "choices": [n for n, t in attributes.items() if t.kind in ("binary", "choice")] + ["all at once"],
        "paper": PAPER.get(a.family, {}), "seed": a.seed, "seconds": round(time.monotonic() - started),
        "provenance": provenance(),
    }  # fmt: skip
    write_atomically(a.out / "compose.json", json.dumps(report, indent=1).encode())
    write_atomically(a.out / "README.md", markdown(report).encode())
    bars(a.out / "compose.png", report)


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
            models[name] = (for_sampling(net), info)
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
