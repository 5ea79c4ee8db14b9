"""The loop around the steps: logging, samples, checkpoints, resume."""

import math
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from threading import Event

from torch import Tensor

from ebm_core.files import one_line
from ebm_core.langevin import NonFiniteEnergyError
from ebm_core.nets.liveness import describe_dead_scales
from ebm_core.space import Space
from train.batch import Labels
from train.config import TrainConfig
from train.history import RunHistory
from train.lock import RunError
from train.log import RunLog
from train.parallel import Processes
from train.run import check_run, load_config, load_state, save_config, save_state
from train.trainer import ALONE, DivergedError, Trainer

ENDLESS = 10**9  # iterations


def fit(
    config: TrainConfig,
    data: Tensor,
    run: Path,
    *,
    resume: bool,
    minutes: float | None,
    device: str,
    fill: bool = False,
    processes: Processes = ALONE,
    stop: Event | None = None,
    labels: Labels | None = None,
    space: Space | None = None,
) -> Trainer:
    """Train until the config's iterations or ``minutes`` are over or ``stop`` is set; each leaves a checkpoint.

    With ``fill`` the schedule is laid out over the ``minutes`` and the config's iterations are as many as they hold.
    All processes of a group call it alike; only the first one writes. Raises FileError for a used folder when not
    resuming, RunError for one without a checkpoint that fits, or of another space, when resuming.
    """
    if processes.is_first:
        check_run(run, resume)
    if fill:
        config = with_iterations(config, ENDLESS)
    if resume and (space_before := load_config(run).space) != config.space:
        raise RunError(
            f"{run} was trained in {space_before.describe()}, this config is of {config.space.describe()}; go on with "
            "the run's own config and codec"
        )
    trainer = Trainer(config, data, device, processes, labels, space)
    if resume:
        state = load_state(run, device)
        try:
            trainer.load_state_dict(state)
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            why = one_line(error)
            raise RunError(f"the checkpoint in {run} does not fit this config ({why}); give the run's own") from error
    if processes.is_first:
        save_config(run, config)
    history = RunHistory(run, config, trainer.iteration, processes)
    started = time.monotonic()
    deadline = started + 60 * minutes if minutes is not None else math.inf
    if fill:
        trainer.clock = lambda: (time.monotonic() - started) / (deadline - started)
    every = config.log
    with RunLog(run, trainer.iteration, config.iterations) if processes.is_first else nullcontext() as log:
        saved_at = trainer.iteration
        try:
            while trainer.iteration < config.iterations:
                iteration = trainer.iteration
                measure = iteration % every.scalars_every == 0
                # Processes must agree to stop; asking each other at every iteration would make them wait.
                if measure or processes.size == 1:
                    wanted = time.monotonic() >= deadline or (stop is not None and stop.is_set())
                    if processes.any(wanted):
                        break
                figures = trainer.step(measure and log is not None)
                if log is not None:
                    log.bar.update()
                    if measure:
                        log.scalars(iteration, figures)
                        if dead := trainer.dead_scales():
                            log.warn(describe_dead_scales(dead))
                    if trainer.iteration % every.samples_every == 0:
                        log.sheet(trainer.iteration, *trainer.sample_sheet(every.num_samples))
                if trainer.iteration % every.checkpoint_every == 0:
                    _save(trainer, run, history)
                    saved_at = trainer.iteration
        except (NonFiniteEnergyError, DivergedError) as error:
            raise DivergedError(
                f"{error}; stopped at iteration {trainer.iteration}, the checkpoint of iteration {saved_at} is kept "
                f"in {run}: go on from it with --resume and a smaller learning rate",
                trainer.iteration,
            ) from error
        _save(trainer, run, history)
        if fill and processes.is_first:
            save_config(run, with_iterations(config, trainer.iteration))
    return trainer


def with_iterations(config: TrainConfig, iterations: int) -> TrainConfig:
    """The same run with so many iterations of its only phase. Raises ValueError when it has two."""
    if config.warm_start.iterations and config.icd.iterations:
        raise ValueError("a run of two phases cannot fill a time: set the iterations of warm_start or of icd to 0")
    phase = "warm_start" if config.warm_start.iterations else "icd"
    return replace(config, **{phase: replace(getattr(config, phase), iterations=iterations)})


def _save(trainer: Trainer, run: Path, history: RunHistory) -> None:
    state = trainer.state_dict()  # by all processes: it gathers their parts
    if trainer.processes.is_first:
        save_state(run, state)
    history.save(trainer.iteration)
