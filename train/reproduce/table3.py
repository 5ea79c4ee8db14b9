"""Table 3: how well the energy tells other pictures from its own kind; ``evaluate ood`` does the work."""

from dataclasses import dataclass
from typing import Any

from ebm_core.hub import MODEL_FILE
from train.evaluate.ood_sets import PIXELS
from train.provenance import command_of
from train.reproduce.experiment import Claim, Experiment, Findings, Size
from train.reproduce.figures import COLOURS, bars, figure
from train.reproduce.lab import Lab

MODEL = "cifar10"


@dataclass(frozen=True)
class Settings:
    """``num`` pictures of every set; 0 = all."""

    num: int = 1000
    batch: int = 64
    seed: int = 0


def settings(size: Size) -> Settings:
    """``full`` takes all pictures."""
    return Settings() if size == "small" else Settings(num=0)


def run(lab: Lab, s: Settings) -> Findings:
    """The rows of ``evaluate ood``; sets that cannot be had say why."""
    from train.evaluate.ood import evaluate, prepare
    from train.score.detector import load_detector

    _, info = lab.model(MODEL)
    lab.data_config("cifar10-test.zip")
    assert lab.data is not None
    folder = lab.data

    def compute() -> dict[str, Any]:
        detector = load_detector(str(lab.weights / MODEL / MODEL_FILE), lab.device)
        setting = prepare(detector, folder, MODEL, None)
        num, out = s.num or None, lab.folder("ood")
        command = command_of(["evaluate", "ood", MODEL], {"data": folder, "num": num, "seed": s.seed, "out": out})
        return evaluate(detector, setting, num=num, seed=s.seed, batch=s.batch, out=out, model=MODEL, command=command)

    return _findings(lab.piece("ood", [s.num, s.seed, info.provenance, info.calibration], compute))


def _findings(report: dict[str, Any]) -> Findings:
    table = []
    for row in report["sets"]:
        detection = row.get("detection", {})
        table.append(
            {
                "told from": row["title"],
                "AUROC in the paper": row["paper_auroc"],
                **{f"AUROC by {name}": detection[name]["auroc"] if detection else None for name in report["scores"]},
                "not run": row.get("not_run"),
            }
        )
    energy = {row["told from"]: row["AUROC by energy"] for row in table if row["AUROC by energy"] is not None}
    plot, (axis,) = figure(1, ["AUROC by energy; marks: the paper"], width=11.0)
    bars(axis, energy, COLOURS[0])
    for place, row in enumerate(r for r in table if r["told from"] in energy):
        if row["AUROC in the paper"] is not None:
            axis.plot(place, row["AUROC in the paper"], "k_", markersize=18)
    axis.axhline(0.5, color="#9ca3af", linestyle="--")
    axis.tick_params(axis="x", labelrotation=45)
    claims = [
        Claim(
            f"the energy tells {row['told from']} from CIFAR-10 better than chance, as in the paper",
            row["AUROC by energy"] - 0.5,
            f"AUROC {row['AUROC by energy']:.2f}, in the paper {row['AUROC in the paper']}.",
            one_model=True,
        )
        for row in table
        if row["AUROC in the paper"] is not None and row["AUROC by energy"] is not None
    ]
    notes = [report["objective"]] if report["objective"] else []
    notes += ["The same by other scores, with their histograms: [ood-cifar10](../ood-cifar10/README.md)."]
    if PIXELS in report["scores"]:
        notes.append(
            f"*{PIXELS}* is no model but six plain statistics of a picture (means and spreads of brightness and "
            "saturation, mean gradients) beside those of the calibration pictures: the energy has to beat it."
        )
    deeper = [name for name, auroc in energy.items() if auroc < 0.5]
    if deeper:
        notes.append(
            f"Lower energies than CIFAR-10's own have: {', '.join(deeper)}. These are smoother than its photographs, "
            "or flat in parts, and smooth pictures lie deep: a model that has been trained for so short a time knows "
            "smoothness before content. Typicality asks for energies like those of data instead, and is misled less."
        )
    return Findings(table, claims, plot, notes=notes)


EXPERIMENT = Experiment(
    "table3",
    "Table 3",
    "Does the energy tell other pictures from CIFAR-10?",
    "AUROC 0.91 for SVHN, 0.88 for textures, 0.65 for means of two CIFAR-10 pictures, 0.83 for CIFAR-100; mean 0.82.",
    settings,
    run,
)
