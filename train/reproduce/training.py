"""Training runs as pieces of an experiment: its variants are overrides of one config."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ebm_core.config import load_toml, override, to_dict
from ebm_core.nets import EnergyNetwork
from train.batch import read_labels
from train.config import TrainConfig
from train.data import load
from train.loop import fit
from train.reproduce.experiment import Size
from train.reproduce.lab import Lab, OutOfTime
from train.run import STATE, averaged_weights, load_config, load_state, read_log
from train.trainer import DivergedError, Trainer

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
PAPER = CONFIGS / "paper"
CIFAR = ["data.source=zip", "data.path=cifar10-train-0.zip,cifar10-train-1.zip"]
NEVER = 10**9
TEST = {"small": "celeba128-test.zip", "full": "cifar10-test.zip"}
# The same algorithm from scratch, on pictures and a network small enough for minutes of a CPU: faces, which so small a
# network learns something of in 600 iterations (of CIFAR-10 it learns nothing). The step fits the network: at the
# paper's 100 a chain leaves the pictures' range before there is anything to learn from.
SMALL = [
    "data.path=celeba128-train.zip",
    "net.image_size=16",
    "net.width=8",
    "net.layouts=['1d attn 2d', '1d']",
    "plan.rounds=10",
    "plan.refinement_steps=20",
    "plan.langevin.steps=20",
    "plan.langevin.step_size=20.0",
    "icd.iterations=600",
    "icd.batch_size=16",
    "icd.steps=20",
    "icd.buffer_size=1000",
    "icd.reinit_prob=0.01",
    "icd.entropy_weight=0.6",
    "icd.optim.lr=1e-3",
    "ema_decay=0.99",
    "log.scalars_every=5",
    "log.checkpoint_every=50",
]
NO_KL = ["icd.opt_weight=0.0", "icd.entropy_weight=0.0"]
NO_TRANSITIONS = [
    "plan.transition.crop_min_scale=1.0",
    "plan.transition.flip_prob=0.0",
    "plan.transition.jitter_prob=0.0",
    "plan.transition.grayscale_prob=0.0",
    "plan.transition.blur_prob=0.0",
]


def from_scratch(size: Size, changes: Sequence[str] = ()) -> TrainConfig:
    """The paper's CIFAR-10 config on the zips of the data folder; ``small`` is the same algorithm in minutes.

    ``TEST`` names the zip with the test pictures.
    """
    small = SMALL if size == "small" else []
    return load_toml(TrainConfig, PAPER / "cifar10.toml", [*CIFAR, f"log.samples_every={NEVER}", *small, *changes])


def variants_of(config: TrainConfig, changes: Mapping[str, Sequence[str]]) -> dict[str, TrainConfig]:
    """By name the config with overrides in the form of ``--set``."""
    return {name: override(config, list(assignments)) for name, assignments in changes.items()}


@dataclass(frozen=True)
class Trained:
    """The averaged network of a run's last good checkpoint, its log, and the iteration it diverged at, if any."""

    config: TrainConfig
    net: EnergyNetwork
    log: list[dict[str, float]]
    diverged: int | None

    def curve(self, figure: str) -> tuple[list[int], list[float]]:
        """Iterations and values of a logged figure."""
        entries = [entry for entry in self.log if figure in entry]
        return [int(entry["iteration"]) for entry in entries], [entry[figure] for entry in entries]


def train(lab: Lab, name: str, config: TrainConfig) -> Trained:
    """The run of a config whose ``data.path`` names zips of the data folder; goes on where it was interrupted.

    Divergence is a result here, not an error. Raises OutOfTime with a checkpoint when the lab's time is over.
    """
    outcome = lab.piece(name, to_dict(config), lambda: _fit(lab, lab.folder(name), config))
    net = EnergyNetwork(config.net)
    net.load_state_dict(outcome["net"])
    net = net.requires_grad_(False).eval().to(lab.device)
    return Trained(config, net, outcome["log"], outcome["diverged"])


def _fit(lab: Lab, run: Path, config: TrainConfig) -> dict[str, Any]:
    data = load(lab.data_config(config.data.path), config.net.image_size)
    labels = read_labels(data.labels, config.attribute, data.names) if config.attribute else None
    resume = (run / STATE).is_file() and load_config(run) == config
    if not resume:
        shutil.rmtree(run, ignore_errors=True)
    diverged = None
    try:
        trainer = fit(
            config, data.images, run, resume=resume, minutes=lab.seconds_left() / 60, device=lab.device, labels=labels
        )
        if trainer.iteration < config.iterations:
            raise OutOfTime
        net = trainer.averages.main.net.state_dict()
    except DivergedError as error:
        diverged = error.iteration
        if (run / STATE).is_file():
            net = averaged_weights(load_state(run))
        else:
            net = Trainer(config, data.images, lab.device, labels=labels).averages.main.net.state_dict()
    return {"net": {key: value.cpu() for key, value in net.items()}, "log": read_log(run), "diverged": diverged}
