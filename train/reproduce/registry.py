"""All experiments, by name."""

from train.reproduce import (
    baselines,
    gradients,
    mixing,
    modes,
    multiscale,
    stability,
    table1,
    table2,
    table3,
    table4,
    warmstart,
)
from train.reproduce.experiment import Experiment

EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        table1.EXPERIMENT,
        table2.EXPERIMENT,
        table3.EXPERIMENT,
        table4.EXPERIMENT,
        baselines.EXPERIMENT,
        mixing.EXPERIMENT,
        modes.EXPERIMENT,
        stability.EXPERIMENT,
        gradients.EXPERIMENT,
        multiscale.EXPERIMENT,
        warmstart.EXPERIMENT,
    )
}
