"""Figure 9: how large the gradient of the KL term is beside that of contrastive divergence."""

from dataclasses import dataclass

from train.config import TrainConfig
from train.reproduce.experiment import Claim, Experiment, Findings, Size
from train.reproduce.figures import COLOURS, figure, legend
from train.reproduce.lab import Lab
from train.reproduce.measures import median
from train.reproduce.training import Trained, from_scratch, train

WORTH = 0.1  # a gradient of this share of the other one is not negligible
FIGURES = ("grad_norm_cd", "grad_norm_kl", "grad_cosine")


@dataclass(frozen=True)
class Settings:
    """One run of full ICD."""

    config: TrainConfig

    @property
    def seed(self) -> int:
        return self.config.seed


def settings(size: Size) -> Settings:
    """The config logs the gradients every few iterations."""
    return Settings(from_scratch(size))


def run(lab: Lab, s: Settings) -> Findings:
    """Norms over all parameters, their ratio and the cosine of the angle between the two gradients."""
    return _findings(train(lab, "full ICD", s.config))


def _findings(run: Trained) -> Findings:
    iterations, cd = run.curve("grad_norm_cd")
    _, kl = run.curve("grad_norm_kl")
    angle_at, cosine = run.curve("grad_cosine")
    ratio = [b / a for a, b in zip(cd, kl, strict=True) if a > 0]
    plot, (norms, angle) = figure(2, ["Gradient norms", "Cosine between the two gradients"])
    for values, name, colour in ((cd, "L_CD", COLOURS[0]), (kl, "L_KL = L_opt + L_ent", COLOURS[1])):
        norms.plot(iterations, values, color=colour, label=name, linewidth=1)
    norms.set_yscale("log")
    legend(norms)
    angle.plot(angle_at, cosine, color=COLOURS[2], linewidth=1)
    angle.axhline(0, color="#9ca3af", linestyle="--")
    angle.set_ylim(-1, 1)
    for axis in (norms, angle):
        axis.set_xlabel("iteration")
    quarter = max(1, len(ratio) // 4)
    parts = {"first quarter": slice(0, quarter), "last quarter": slice(-quarter, None), "whole run": slice(None)}
    table = [
        {
            "of the run": name,
            "median norm of L_CD": median(cd[part]),
            "median norm of L_KL": median(kl[part]),
            "median ratio": median(ratio[part]),
            "median cosine": median(cosine[part]),
        }
        for name, part in parts.items()
    ]
    claim = Claim(
        f"the gradient of the KL term is not negligible: at least {WORTH:.0%} of that of L_CD",
        median(ratio) - WORTH,
        f"Its norm is {median(ratio):.2f} times that of L_CD, the cosine between them {median(cosine):+.2f} (medians "
        f"over {len(ratio)} of {run.config.iterations} iterations).",
    )
    notes = ["A cosine near 0 says that the KL term pulls elsewhere than L_CD; below 0, that it holds it back."]
    curves = {"iteration": iterations} | {name: run.curve(name)[1] for name in FIGURES}
    return Findings(table, [claim], plot, notes=notes, curves=curves)


EXPERIMENT = Experiment(
    "gradients",
    "Figure 9",
    "Is the gradient that contrastive divergence leaves out really small?",
    "The neglected gradient of the KL term is numerically significant.",
    settings,
    run,
)
