"""Section 2.4: the sum of energies at one, two and three resolutions."""

from dataclasses import dataclass
from typing import Any

from train.config import TrainConfig
from train.reproduce.compute import equal_compute, spent
from train.reproduce.experiment import Claim, Experiment, Findings, Size
from train.reproduce.figures import COLOURS, bars, figure, legend, rows_of_pictures
from train.reproduce.judging import reference, sample_rows, train_and_judge
from train.reproduce.lab import Lab
from train.reproduce.measures import lower_by
from train.reproduce.training import TEST, Trained, from_scratch, variants_of


@dataclass(frozen=True)
class Settings:
    """``config`` has the most scales; the others leave the coarsest ones out."""

    config: TrainConfig
    test: str
    num_samples: int = 250

    @property
    def seed(self) -> int:
        return self.config.seed


def settings(size: Size) -> Settings:
    """Three scales."""
    if size == "small":
        three = ["net.layouts=['1d attn 2d', '1d', '1']", "icd.entropy_weight=0.9"]
        return Settings(from_scratch(size, three), TEST[size])
    return Settings(from_scratch(size), TEST[size], num_samples=10_000)


def run(lab: Lab, s: Settings) -> Findings:
    """Runs with fewer scales are longer, so that all take the same number of floating-point operations."""
    layouts = s.config.net.layouts
    changes = {_name(n): [f"net.layouts={list(layouts[:n])}"] for n in range(1, len(layouts) + 1)}
    configs = equal_compute(variants_of(s.config, changes), of=_name(len(layouts)))
    runs = train_and_judge(lab, configs, s.test, s.num_samples)
    ends = reference(lab, s.config.data.path, s.test, s.config.net.image_size, s.num_samples)
    return _findings(runs, ends)


def _name(scales: int) -> str:
    return f"{scales} scale" + ("s" if scales > 1 else "")


def _findings(runs: dict[str, tuple[Trained, dict[str, Any]]], ends: dict[str, dict[str, Any]]) -> Findings:
    features = ends["noise"]["features"]
    plot, (axis,) = figure(1, [f"Fréchet distance ({features} features) at equal compute"])
    distances = {name: quality["distance"] for name, (_, quality) in runs.items()}
    bars(axis, distances, COLOURS[0])
    axis.axhline(ends["training images"]["distance"], color="#9ca3af", linestyle="--", label="training images")
    legend(axis)
    table: list[dict[str, Any]] = [
        {
            "scales": name,
            "score": quality["score"],
            "distance": quality["distance"],
            "iterations": trained.config.icd.iterations,
            "parameters": sum(p.numel() for p in trained.net.parameters()),
        }
        for name, (trained, quality) in runs.items()
    ]
    table += [{"scales": name, "score": end["score"], "distance": end["distance"]} for name, end in ends.items()]
    one, *more = distances.values()
    several = [distance for distance in more if distance is not None]
    claim = Claim(
        "several scales are better than one at equal compute",
        lower_by(min(several) if several else None, one),
        "; ".join(f"{name} {'–' if value is None else f'{value:.1f}'}" for name, value in distances.items())
        + f" (Fréchet distance, {features} features).",
        tuple(spent(trained.config) for trained, _ in runs.values()),
    )
    samples = sample_rows(runs)
    pictures = {"A row of samples for one, two, three scales": rows_of_pictures(samples)} if samples else {}
    return Findings(table, [claim], plot, pictures)


EXPERIMENT = Experiment(
    "multiscale",
    "section 2.4",
    "Are energies at several resolutions better than one?",
    "Summing energies over resolutions improves samples (Table 2 has it among the parts that lower the FID).",
    settings,
    run,
)
