"""Beyond the paper: quality against compute, from scratch, with the warm start alone, and with both."""

from dataclasses import dataclass
from typing import Any

from train.config import TrainConfig
from train.reproduce.compute import flops, lasting, spent
from train.reproduce.experiment import Claim, Experiment, Findings, Size
from train.reproduce.figures import COLOURS, figure, legend, rows_of_pictures
from train.reproduce.judging import judge, reference
from train.reproduce.lab import Lab
from train.reproduce.measures import lower_by
from train.reproduce.training import TEST, Trained, from_scratch, train

SCRATCH, WARM, BOTH = "from scratch", "warm start alone", "warm start + ICD"
# What the warm start needs, as the configs of the shipped models have it.
WARM_CHANGES = [
    "net.norm=none",
    "net.energy_scale=0.01",
    "matching.noise=0.65",
    "matching.moved_data=0.35",
    "ema_decay=0.99",
    "plan.rounds=2",
    "plan.refinement_steps=40",
    "plan.move_noise=false",
    "plan.langevin.steps=60",
    "plan.langevin.step_size=100.0",
    "plan.transition.crop_min_scale=0.8",
    "plan.transition.flip_prob=0.0",
    "plan.transition.jitter_strength=0.2",
    "plan.transition.grayscale_prob=0.0",
    "plan.transition.blur_prob=0.2",
    "warm_start.batch_size=64",
    "warm_start.optim.lr=4e-3",
    "warm_start.optim.muon_lr=16e-3",
    "warm_start.optim.beta1=0.9",
    "warm_start.optim.beta2=0.99",
    "warm_start.optim.warmup=50",
    "warm_start.optim.final_lr=0.1",
    "warm_start.optim.clip_norm=1.0",
    "icd.entropy_weight=0.02",
    "icd.matching_weight=4.0",
    "icd.reinit_prob=0.05",
    "icd.optim.lr=2e-4",
    "icd.optim.beta2=0.99",
    "icd.optim.final_lr=0.1",
    "icd.optim.clip_norm=1.0",
]


@dataclass(frozen=True)
class Settings:
    """The longest runs take the compute of ``scratch``; ``warm`` says how the two other kinds are trained."""

    scratch: TrainConfig
    warm: TrainConfig
    test: str
    num_samples: int
    shares: tuple[float, ...] = (0.25, 0.5, 1.0)  # of the compute, a run of its own for each
    icd_share: float = 0.2  # of the compute of "warm start + ICD"

    @property
    def seed(self) -> int:
        return self.scratch.seed


def settings(size: Size) -> Settings:
    """``warm`` has the network and data of ``scratch``."""
    scratch = from_scratch(size)
    batch = [f"icd.matching_batch={scratch.icd.batch_size}"]
    warm = from_scratch(size, [*WARM_CHANGES, *batch])
    return Settings(scratch, warm, TEST[size], num_samples=250 if size == "small" else 10_000)


def run(lab: Lab, s: Settings) -> Findings:
    """Nine runs; each has its own schedule, so that none is judged in the middle."""
    budget = s.scratch.icd.iterations * flops(s.scratch, "icd")
    runs: dict[tuple[str, float], tuple[Trained, dict[str, Any]]] = {}
    for share in s.shares:
        compute = share * budget
        configs = {
            SCRATCH: lasting(s.scratch, {"warm_start": 0, "icd": compute}),
            WARM: lasting(s.warm, {"warm_start": compute, "icd": 0}),
            BOTH: lasting(s.warm, {"warm_start": (1 - s.icd_share) * compute, "icd": s.icd_share * compute}),
        }
        for kind, config in configs.items():
            name = f"{kind}, {share:g}"
            trained = train(lab, name, config)
            runs[kind, share] = (trained, judge(lab, name, trained, s.test, s.num_samples))
    ends = reference(lab, s.scratch.data.path, s.test, s.scratch.net.image_size, s.num_samples)
    return _findings(runs, ends, budget, s)


def _findings(
    runs: dict[tuple[str, float], tuple[Trained, dict[str, Any]]], ends: dict[str, Any], budget: float, s: Settings
) -> Findings:
    features = ends["noise"]["features"]
    plot, (axis,) = figure(1, [f"Fréchet distance ({features} features)"])
    table: list[dict[str, Any]] = []
    for (kind, share), (trained, quality) in runs.items():
        config = trained.config
        table.append(
            {
                "run": kind,
                "TFLOP": share * budget / 1e12,
                "distance": quality["distance"],
                "score": quality["score"],
                "warm-start iterations": config.warm_start.iterations,
                "ICD iterations": config.icd.iterations,
            }
        )
    for kind, colour in zip((SCRATCH, WARM, BOTH), COLOURS, strict=False):
        rows = [row for row in table if row["run"] == kind and row["distance"] is not None]
        axis.plot([r["TFLOP"] for r in rows], [r["distance"] for r in rows], "o-", color=colour, label=kind)
    axis.axhline(ends["training images"]["distance"], color="#9ca3af", linestyle="--", label="training images")
    axis.set_xscale("log")
    axis.set_xticks(ticks := sorted({row["TFLOP"] for row in table}), [f"{tick:.2f}" for tick in ticks])
    axis.minorticks_off()  # of a logarithm they are numbered, too: "3 x 10^-1"
    axis.set_xlabel("compute, TFLOP")
    legend(axis)
    table += [{"run": name, "distance": end["distance"], "score": end["score"]} for name, end in ends.items()]
    last = {kind: runs[kind, max(s.shares)][1]["distance"] for kind in (SCRATCH, WARM, BOTH)}
    compute = tuple(spent(runs[kind, max(s.shares)][0].config) for kind in last)
    text = "; ".join(f"{kind} {'–' if d is None else f'{d:.1f}'}" for kind, d in last.items())
    claims = [
        Claim(
            "the warm start is worth its compute: at the longest it is better than training from scratch",
            lower_by(last[WARM], last[SCRATCH]),
            f"Fréchet distance {text}.",
            compute,
        ),
        Claim(
            "improved contrastive divergence after the warm start is better than more of the warm start",
            lower_by(last[BOTH], last[WARM]),
            f"{text}, all at {budget / 1e12:.3g} TFLOP.",
            compute,
        ),
    ]
    samples = [runs[kind, max(s.shares)][1]["shown"] for kind in last]
    pictures = {f"Samples at the longest: {SCRATCH}; {WARM}; {BOTH}": rows_of_pictures([x for x in samples if len(x)])}
    warm = [runs[WARM, share][1]["distance"] for share in sorted(s.shares)]
    notes = []
    if claims[1].margin <= 0 and None not in warm and len(warm) > 1 and warm[-1] < warm[-2]:
        without, both = (runs[kind, max(s.shares)][1]["score"] for kind in (WARM, BOTH))
        notes.append(
            "The warm start alone has not converged: with the last step in compute its distance fell from "
            f"{warm[-2]:.1f} to {warm[-1]:.1f}, so what ICD takes of the compute is missed. The score, which counts "
            f"variety, is {both:.2f} with ICD and {without:.2f} without."
        )
    return Findings(table, claims, plot, pictures, notes)


EXPERIMENT = Experiment(
    "warmstart",
    "beyond the paper",
    "What does the warm start save?",
    "Nothing: the paper trains from scratch, about 90 network passes an iteration.",
    settings,
    run,
)
