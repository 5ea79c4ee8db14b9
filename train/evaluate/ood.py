"""``python -m train evaluate ood``: how well a model's scores tell other pictures from its own kind (ICD, Table 3).

In-distribution are held-out pictures of the kind that the model was trained on. A calibration is commonly made of the
first half of a test set, so the evaluation takes the second, unless told otherwise. Beside the model's scores stands
one without any model, fitted on the pictures that are left out: what six statistics of pixels tell apart already.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ebm_core.arguments import COUNT, add_device, whole
from ebm_core.files import write_atomically
from ebm_core.hub import title_of
from ebm_core.ood import Measured, scores
from ebm_core.pixel_statistics import PixelStatistics
from ebm_core.recipe import SEED
from train.data import DataConfig, load
from train.evaluate.ood_report import histograms, markdown
from train.evaluate.ood_sets import KEPT, MADE, PAPER, PIXELS, OodSet, table_sets
from train.history import objective
from train.provenance import add_allow_dirty, command_of, machine, portable, provenance
from train.score.detector import Detector, load_detector


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add_device(parser)
    parser.add_argument("model", help="a name under weights/, a path, or hf:owner/repo[@revision]")
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of the test sets: zips such as cifar10-test.zip, or the official files, downloaded if missing",
    )
    parser.add_argument(
        "--in",
        dest="inside",
        default="cifar10",
        metavar="SET",
        help="the in-distribution set: cifar10, objects, celeba, ..., or the path of a zip (default: %(default)s)",
    )
    parser.add_argument("--skip", type=whole(0), metavar="N", help="leave its first N pictures out (default: half)")
    parser.add_argument("--num", type=whole(2), help="pictures of each set, drawn by the seed (default: all)")
    parser.add_argument("--seed", type=SEED, default=0)
    parser.add_argument("--batch", type=COUNT, default=64, help="pictures measured at once (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="ood.json, README.md, histograms.png")
    add_allow_dirty(parser)


def run(a: argparse.Namespace) -> None:
    """The command itself. Raises ValueError as ``prepare`` and ``evaluate`` do."""
    detector = load_detector(a.model, a.device)
    setting = prepare(detector, a.data, a.inside, a.skip)
    options = {"data": a.data, "in": a.inside, "skip": a.skip, "num": a.num, "seed": a.seed, "out": a.out}
    command = command_of(["evaluate", "ood", a.model], options, a.device)
    report = evaluate(
        detector, setting, num=a.num, seed=a.seed, batch=a.batch, out=a.out, model=title_of(a.model), command=command
    )
    print(markdown(report))


class Setting(NamedTuple):
    """``inside``, in-distribution pictures uint8 ``(N, C, H, W)``, and the sets to tell from them."""

    inside: Tensor
    title: str
    data: str  # the zip or the official source that they are from
    held_out: Tensor  # in-distribution pictures before them, which are for calibrating
    sets: Sequence[OodSet]
    paper: Mapping[str, float]  # AUROC by the name of a set, where the paper has one for these in-distribution pictures


def prepare(detector: Detector, folder: Path, inside: str, skip: int | None) -> Setting:
    """The sets of ``folder`` beside the one that is named ``inside``, or a zip of that name.

    Raises ValueError when the folder or the in-distribution pictures cannot be used.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; give the one with the test sets, such as cifar10-test.zip")
    if inside not in KEPT and not Path(inside).is_file():
        raise ValueError(f"'{inside}' is neither one of {', '.join(KEPT)} nor a zip of in-distribution pictures")
    config = KEPT[inside].find(folder) if inside in KEPT else DataConfig("zip", inside)
    images = load(config, *detector.size_and_channels).images
    skip = len(images) // 2 if skip is None else skip
    if len(images) - skip < 2:
        raise ValueError(f"--skip {skip} of {len(images)} in-distribution pictures must leave two or more")
    title, data = Path(inside).stem, Path(inside).name
    if inside in KEPT:
        title, data = KEPT[inside].title, KEPT[inside].where(folder)
    sets = table_sets(folder, detector.size_and_channels, leave_out=inside)
    return Setting(images[skip:], title, data, images[:skip], sets, PAPER if inside == "cifar10" else {})


def evaluate(
    detector: Detector, setting: Setting, *, num: int | None, seed: int, batch: int, out: Path, model: str, command: str
) -> dict[str, Any]:
    """Tell ``num`` in-distribution pictures (None: all) from as many of every set, by every score and without a model.

    A set that cannot be had is listed with the reason. Writes ``ood.json``, the tables ``README.md`` and
    ``histograms.png`` into ``out``.
    """
    from train.evaluate.detection import detect

    started = time.monotonic()
    inside = chosen(setting.inside, num, seed)
    at_home = detector.measure_all(inside, batch, "in-distribution")
    pixels = PixelStatistics.fit(setting.held_out) if len(setting.held_out) > 1 else None

    def all_scores(measured: Measured, pictures: Tensor) -> dict[str, Tensor]:
        return scores(measured, detector.calibration) | ({PIXELS: pixels.score(pictures)} if pixels else {})

    home_scores = all_scores(at_home, inside)
    energies = {"in-distribution": at_home.energy}
    rows: list[dict[str, Any]] = []
    for item in setting.sets:
        row: dict[str, Any] = {
            "name": item.name,
            "title": item.title,
            "data": item.data,
            "paper_auroc": setting.paper.get(item.name),
        }
        try:
            pictures = item.pictures(inside, torch.Generator().manual_seed(seed))
        except ValueError as error:
            rows.append(row | {"not_run": portable(str(error))})
            continue
        pictures = chosen(pictures, num, seed)
        away = detector.measure_all(pictures, batch, item.title)
        detection = {name: detect(home_scores[name], s)._asdict() for name, s in all_scores(away, pictures).items()}
        energies[item.title] = away.energy
        rows.append(row | summary(away) | {"detection": detection})
    calibration = detector.calibration
    report = {
        "model": model,
        "objective": objective(detector.provenance),
        "fingerprint": detector.fingerprint,
        "calibration": {"data": calibration.data, "num": calibration.num} if calibration else None,
        "in_distribution": {
            "title": setting.title,
            "data": setting.data,
            "skipped": len(setting.held_out),
            **summary(at_home),
        },
        "scores": list(home_scores),
        "sets": rows,
        "mean_auroc_of_the_papers_sets": _paper_mean(rows, list(home_scores), setting.paper),
        "mean_auroc": {
            "sets from files": _mean(rows, list(home_scores), lambda row: row["data"] != MADE),
            "all sets": _mean(rows, list(home_scores), lambda row: True),
        },
        **provenance(command),
        "machine": machine(detector.device),
        "seed": seed,
        "seconds": round(time.monotonic() - started, 1),
    }
    write_atomically(out / "ood.json", json.dumps(report, indent=1).encode())
    write_atomically(out / "README.md", markdown(report).encode())
    write_atomically(out / "histograms.png", histograms(energies))
    return report


def chosen(pictures: Tensor, num: int | None, seed: int) -> Tensor:
    """``num`` of the pictures, drawn without repeating and in their order; all where there are no more."""
    if num is None or num >= len(pictures):
        return pictures
    order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(seed))
    return pictures[order[:num].sort().values]


def summary(measured: Measured) -> dict[str, Any]:
    """How many pictures, and their energies in short."""
    energy = measured.energy.double()
    low, median, high = energy.quantile(torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64)).tolist()
    return {
        "num": len(energy),
        "energy": {"mean": float(energy.mean()), "percentile_5": low, "median": median, "percentile_95": high},
    }


def _paper_mean(rows: list[dict[str, Any]], names: list[str], paper: Mapping[str, float]) -> dict[str, float] | None:
    """Each score's mean over the paper's sets, when all of them were run."""
    wanted = [row for row in rows if row["name"] in paper and "detection" in row]
    if not paper or len(wanted) < len(paper):
        return None
    return _mean(wanted, names, lambda row: True)


def _mean(
    rows: list[dict[str, Any]], names: list[str], selects: Callable[[dict[str, Any]], bool]
) -> dict[str, float] | None:
    """Each score's mean AUROC over the rows that were run and are taken."""
    wanted = [row["detection"] for row in rows if "detection" in row and selects(row)]
    return {name: sum(d[name]["auroc"] for d in wanted) / len(wanted) for name in names} if wanted else None
