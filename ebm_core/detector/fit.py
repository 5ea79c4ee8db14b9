"""Fitting a detector: normal pictures in, a model with a threshold out, in steps that can be watched and stopped."""

import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ebm_core.calibration import NUM_QUANTILES, Calibration
from ebm_core.detector.choice import Comparison, compare, false_alarms
from ebm_core.detector.contrastive import ContrastiveConfig, train
from ebm_core.detector.gathering import HOLD_OUT_EVERY, MOST, MOST_HELD_OUT, Account, Gathered
from ebm_core.detector.methods import ENERGY, METHODS, BentGaussian, Neighbours, farthest
from ebm_core.detector.model import Detector, DetectorInfo, shared_extractor
from ebm_core.detector.network import DetectorConfig, DetectorNetwork, Level, Levels
from ebm_core.detector.points import Whitening, point_space
from ebm_core.detector.synthetic import KINDS
from ebm_core.held_out import held_out_quantile
from ebm_core.picture_files import Files
from ebm_core.pictures import Limits


class Progress(NamedTuple):
    """What is being done, the share that is done, and about how many seconds are left (None: not yet known)."""

    doing: str
    done: float
    seconds_left: float | None


@dataclass(frozen=True)
class LevelOptions:
    """Of one level: principal components, points of the bank, and the training of the energy."""

    components: int
    bank: int
    near_in_points: bool  # as ``LevelConfig`` has it
    training: ContrastiveConfig = field(default_factory=ContrastiveConfig)


@dataclass(frozen=True)
class FitOptions:
    """Chosen on pictures that no report is of (``reports/detector``)."""

    size: int = 128
    seed: int = 0
    limits: Limits = field(default_factory=Limits)
    whole: LevelOptions = LevelOptions(64, 4096, near_in_points=False)
    places: LevelOptions = LevelOptions(96, 2048, near_in_points=True)


class Fit(NamedTuple):
    """A detector, how its method was chosen, and what became of the files."""

    detector: Detector
    comparison: Comparison
    account: Account
    seconds: float


# What parts cost beside reading a picture of 128 pixels, for the time that is left; only their ratios matter.
ITERATION, CHOSEN, JUDGED = 3.0, 0.1, 1.2
JUDGED_AT_ONCE = 16
CHOSEN_AT_ONCE = 64  # points of a bank between two looks at whether somebody still waits
MOST_FAULTY = 100  # pictures of each kind of fault
RATE = 0.05  # of false alarms, for the threshold that is told
INSIDE = "inside"


class Clock:
    """How much of the whole is done."""

    def __init__(self, total: float) -> None:
        self.started, self.total, self.done = time.monotonic(), total, 0.0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def progress(self, doing: str, done: float) -> Progress:
        """``done`` is what has been done of this part."""
        done += self.done
        left = self.seconds * max(0.0, self.total - done) / done if done else None
        return Progress(doing, min(1.0, done / self.total), left)


def fit(
    files: Files, options: FitOptions, provenance: dict[str, Any], device: str = "cpu"
) -> Generator[Progress, None, Fit]:
    """Fit a detector on the normal pictures of ``files``; whoever closes the generator stops it, and nothing is left.

    One in five of the different pictures is held out: of these are the percentiles and the threshold, and with faults
    made of them the methods are compared. Raises ValueError, in one sentence, for pictures that are too few or all
    alike, and NonFiniteEnergyError as ``train`` does.
    """
    rng = torch.Generator().manual_seed(options.seed)
    num_files = min(len(files.names), MOST)
    num_held_out = min(num_files // HOLD_OUT_EVERY, MOST_HELD_OUT)
    num_faulty = min(num_held_out, MOST_FAULTY)
    levels_options = {"the whole": options.whole, "places": options.places}
    clock = Clock(
        num_files
        + sum(ITERATION * own.training.iterations for own in levels_options.values())
        + CHOSEN * (min(options.whole.bank, num_files) + options.places.bank)
        + JUDGED * (num_held_out + num_faulty * len(KINDS))
    )
    extractor = shared_extractor(device)
    gathered = Gathered(options.size)
    for num in gathered.read(files, extractor, options.limits, rng, device):
        yield clock.progress("reading the pictures", num)
    clock.done += num_files

    parts = []
    for (what, own), x in zip(levels_options.items(), (gathered.whole, gathered.places), strict=True):
        whitening = Whitening.fit(x, own.components)
        points = whitening(x)
        vectors = points if own.near_in_points else x
        chosen: list[int] = []
        for index in farthest(vectors, own.bank, rng):
            chosen.append(index)
            if len(chosen) % CHOSEN_AT_ONCE == 0:
                yield clock.progress(f"choosing neighbours of {what}", CHOSEN * len(chosen))
        clock.done += CHOSEN * len(chosen)
        learned = BentGaussian(whitening.dim, own.training.width, rng)
        for num in train(learned, points, point_space(whitening), own.training, rng):
            yield clock.progress(f"training the energy of {what}", ITERATION * num)
        clock.done += ITERATION * own.training.iterations
        parts.append(Level(whitening, Neighbours.of(vectors[chosen]), learned, near_in_points=own.near_in_points))
    net = DetectorNetwork(*parts)

    held_out = gathered.held_out
    faulty = held_out[:num_faulty]
    said = {}
    sets = {INSIDE: held_out} | {kind: make(faulty, rng) for kind, make in KINDS.items()}
    for kind, pictures in sets.items():
        batches: list[dict[str, Levels]] = []
        for batch in pictures.split(JUDGED_AT_ONCE):
            batches.append(net(extractor.of(batch, device)))
            clock.done += JUDGED * len(batch)
            yield clock.progress("comparing the methods on held-out pictures", 0)
        said[kind] = {name: joined([each[name] for each in batches]) for name in METHODS}
    net.calibrate(said[INSIDE])
    scores = {kind: net.join(each) for kind, each in said.items()}
    inside = scores.pop(INSIDE)
    comparison = compare(inside, {name: {kind: each[name] for kind, each in scores.items()} for name in METHODS})
    method, account = comparison.best, gathered.account
    alarms, num = false_alarms(inside[method], RATE)
    info = DetectorInfo(
        DetectorConfig(options.size, *(part.config for part in parts)),
        method,
        calibration_of(inside, f"{len(held_out)} held-out pictures of {account.num}").to_plain(),
        comparison.to_plain(),
        {"rate": RATE, "num": num, "above": alarms},
        tuple(account.sentences()),
        provenance,
    )
    return Fit(Detector(extractor, net, info, device), comparison, account, clock.seconds)


def joined(parts: Sequence[Levels]) -> Levels:
    """Several batches as one."""
    return Levels(torch.cat([part.whole for part in parts]), torch.cat([part.places for part in parts]))


def calibration_of(scores: Mapping[str, Tensor], data: str) -> Calibration:
    """The quantiles of held-out scores ``(N,)`` by method."""
    grid = torch.linspace(0, 1, NUM_QUANTILES, dtype=torch.float64)
    quantiles = {name: held_out_quantile(values, grid) for name, values in scores.items()}
    num, median = len(scores[ENERGY]), float(scores[ENERGY].quantile(0.5))
    return Calibration(data, num, median, 0.0, {name: tuple(grid.tolist()) for name, grid in quantiles.items()})
