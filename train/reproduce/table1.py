"""Table 1: sample quality by the replay-pool protocol, as the reference code measures it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ebm_core.config import to_dict
from ebm_core.energy import EnergyFn
from ebm_core.images import quantise
from ebm_core.langevin import drain, langevin_chain
from ebm_core.precision import for_sampling
from ebm_core.sampling import SamplePlan
from ebm_core.space import Space, pixels
from train.evaluate.features import INCEPTION
from train.history import objective
from train.reproduce.experiment import Claim, Experiment, Findings, Size
from train.reproduce.figures import COLOURS, bars, figure, rows_of_pictures
from train.reproduce.judging import SHOWN, reference
from train.reproduce.lab import Lab, NotRun
from train.reproduce.measures import saturated_share
from train.reproduce.quality import quality

TOO_MANY = 3.0  # times the saturated pixels of data
PAPER_FID = {"CIFAR-10": 25.1, "ImageNet 32x32": 32.48}
# Data set, model, training and test zips; "" where the data are not among the zips.
ROWS = {
    "CIFAR-10": ("cifar10", "cifar10-train-0.zip", "cifar10-test.zip"),
    "CelebA-HQ 128": ("celebahq128", "", ""),
    "ImageNet 32x32": ("imagenet32", "", ""),
    "CelebA faces (not in the paper)": ("faces", "celeba128-train.zip", "celeba128-test.zip"),
    "rendered objects (not in the paper)": ("objects", "objects64-train.zip", "objects64-test.zip"),
}


@dataclass(frozen=True)
class Protocol:
    """A pool of chains that are visited again and again, each visit a chain's length of Langevin steps.

    The pool is filled from noise; then random chains are visited, each after a transition; in the last visits all
    chains in turn, without. The defaults are the reference code's.
    """

    pool: int = 1000
    visited: int = 128  # chains at once
    visits: int = 70  # with a transition, the filling ones included
    last_visits: int = 30  # without
    last_visited: int = 500


@dataclass(frozen=True)
class Settings:
    """The rows by data set, and how their samples are drawn."""

    protocol: Protocol
    datasets: tuple[str, ...] = tuple(ROWS)
    num_samples: int = 10_000
    seed: int = 0


def settings(size: Size) -> Settings:
    """``small`` is one pool, a tenth of the paper's, whose chains are visited about half as often."""
    if size == "full":
        return Settings(Protocol())
    return Settings(Protocol(pool=100, visited=20, visits=20, last_visits=8, last_visited=50), num_samples=100)


def replay_pool(
    energy: EnergyFn,
    space: Space,
    plan: SamplePlan,
    protocol: Protocol,
    rng: torch.Generator,
    pause: Callable[[], Any] = lambda: None,
) -> Tensor:
    """The pool's final images, uint8 ``(pool, C, H, W)``; ``pause`` is called before every visit."""
    p, device = protocol, rng.device
    pool = torch.zeros(p.pool, *space.picture_shape, dtype=torch.uint8, device=device)

    def visit(which: Tensor, x: Tensor) -> None:
        pause()
        pool[which] = quantise(drain(langevin_chain(energy, x, plan.langevin, rng, space.keep)))

    filling = torch.arange(p.pool, device=device).split(p.visited)
    for which in filling:
        visit(which, space.noise(len(which), rng))
    for _ in range(p.visits - len(filling)):
        which = torch.randint(p.pool, (p.visited,), generator=rng, device=device)
        visit(which, space.jolt(space.encode(pool[which], rng), plan.transition, rng))
    turns = torch.arange(p.pool, device=device).split(p.last_visited)
    for number in range(p.last_visits):
        which = turns[number % len(turns)]
        visit(which, space.encode(pool[which], rng))
    return pool


def run(lab: Lab, s: Settings) -> Findings:
    """Rows whose model or data are not there say so; without any the experiment is not run."""
    rows: dict[str, dict[str, Any]] = {}
    for name in s.datasets:
        model, train_files, test = ROWS[name]
        try:
            net, info = lab.pixel_model(model)
            if not test:
                raise NotRun("its test pictures are not among the zips")
            lab.data_config(test)
            about = [to_dict(s), info.provenance, str(lab.inception)]
            pool = lab.piece(f"{model}, samples", about, partial(_draw, lab, net, info.plan, s))
            figures = lab.piece(f"{model}, quality", about, partial(_quality, lab, test, pool))
            ends = reference(lab, train_files, test, info.net.image_size, s.num_samples, model)
            test_images = lab.images(test, info.net.image_size)
            saturated = {"pool": saturated_share(pool), "data": saturated_share(test_images)}
            rows[name] = {
                "samples": pool[:SHOWN],
                "ends": ends,
                "saturated": saturated,
                "objective": objective(info.provenance),
                **figures,
            }
        except NotRun as reason:
            rows[name] = {"not run": str(reason)}
    if all("not run" in row for row in rows.values()):
        raise NotRun("; ".join(f"{name}: {row['not run']}" for name, row in rows.items()))
    return _findings(rows, s)


def _draw(lab: Lab, net: Any, plan: SamplePlan, s: Settings) -> Tensor:
    """Pools one after the other until there are enough; the last one may be cut."""
    fast, space = for_sampling(net), pixels(net.config.channels, net.config.image_size)
    pools = []
    for number in range(-(-s.num_samples // s.protocol.pool)):
        rng = torch.Generator(lab.device).manual_seed(s.seed + number)
        pools.append(replay_pool(fast, space, plan, s.protocol, rng, lab.seconds_left).cpu())
    return torch.cat(pools)[: s.num_samples]


def _quality(lab: Lab, test: str, samples: Tensor) -> dict[str, Any]:
    distance = lab.distance_to(test, samples.shape[2])
    figures: dict[str, Any] = quality(samples, distance, inception_weights=lab.inception, device=lab.device)
    return figures


def _findings(rows: dict[str, dict[str, Any]], s: Settings) -> Findings:
    done = {name: row for name, row in rows.items() if "not run" not in row}
    features = next(iter(done.values()))["features"]
    is_fid = features == INCEPTION
    distance = "FID" if is_fid else f"Fréchet distance ({features})"
    score = "Inception score" if is_fid else f"score ({features})"
    plot, (axis,) = figure(1, [f"{distance} of {s.num_samples} samples"])
    bars(axis, {name: row["distance"] for name, row in done.items()}, COLOURS[0])
    table = []
    for name, row in rows.items():
        line = {
            "data": name,
            "FID in the paper": PAPER_FID.get(name),
            distance: row.get("distance"),
            "of training images": None,
            "of noise": None,
            score: row.get("score"),
            "not run": row.get("not run"),
        }
        if "ends" in row:
            line["of training images"] = row["ends"]["training images"]["distance"]
            line["of noise"] = row["ends"]["noise"]["distance"]
            line["saturated pixels"] = row["saturated"]["pool"]
            line["in data"] = row["saturated"]["data"]
        table.append(line)
    claims = []
    for name, row in done.items():
        low, high = row["ends"]["training images"]["distance"], row["ends"]["noise"]["distance"]
        claims.append(
            Claim(
                f"samples of {name} are in the nearer half of the way from training images to noise",
                (low + high) / 2 - row["distance"],
                f"{distance} {row['distance']:.1f}; as many training images have {low:.1f}, noise has {high:.1f}.",
                one_model=True,
            )
        )
    notes = [
        f"{s.num_samples} samples for each row; the distance falls with their number, so it compares within a row only."
    ]
    notes += [f"{name}: {row['objective']}" for name, row in done.items() if row["objective"]]
    p = s.protocol
    if any(row["saturated"]["pool"] > TOO_MANY * row["saturated"]["data"] for row in done.values()):
        downhill = round(p.last_visits * p.last_visited / p.pool)
        notes.append(
            "Where many more pixels are saturated than in data, the protocol goes too far downhill for the model: in "
            f"the last visits every chain walks for {downhill} times its length without a transition, and what these "
            "models have at the bottom has more contrast than data ([modes](../modes/README.md)). With the shorter "
            "plan that they were trained for the pictures are better: those on their cards."
        )
    if not is_fid:
        notes.append("Without Inception's weights (--inception) there is no FID; the distance here is another one.")
    if "CIFAR-10" in done and is_fid:
        claims.append(
            Claim(
                "the FID on CIFAR-10 is the paper's or better",
                PAPER_FID["CIFAR-10"] - done["CIFAR-10"]["distance"],
                f"{done['CIFAR-10']['distance']:.1f}, in the paper {PAPER_FID['CIFAR-10']}.",
                one_model=True,
            )
        )
    pictures = {f"The pool's first samples, {name}": rows_of_pictures([row["samples"]]) for name, row in done.items()}
    return Findings(table, claims, plot, pictures, notes)


EXPERIMENT = Experiment(
    "table1",
    "Table 1",
    "How good are samples by the replay-pool protocol?",
    "FID 25.1 on CIFAR-10 and 32.48 on ImageNet 32x32, unconditional.",
    settings,
    run,
)
