"""One side of ``benchmarks.race``, run below a work tree of its own: trains when it is told to, and says how well.

It may use only what the trainer had at commit 948d32f too. Arguments: config, overrides as JSON, training pictures,
validation pictures. Standard input has one number a line: seconds of this process to train for; 0 asks for the rate
alone. Each answer is one line of JSON.
"""

import json
import runpy
import sys
import time
from dataclasses import replace
from inspect import signature
from pathlib import Path

import torch

from ebm_core.config import load_toml
from ebm_core.images import dequantise
from train.batch import Batch
from train.config import TrainConfig
from train.data import DataConfig, load
from train.loop import Trainer
from train.step import matching_step

WARM_UP, TIMED = 2, 6
work = runpy.run_path(str(Path(__file__).parent.parent / "train" / "work.py"))["work"]  # of the later commit
NUM_LOSS, BATCH, SEED = 256, 64, 20_201_202


def held_out_loss(net, config, images):  # type: ignore[no-untyped-def]
    """The matching loss from plain noise at uniform times: the same numbers on both sides."""
    even = replace(config, matching=replace(config.matching, noise=1.0, moved_noise=0.0, moved_data=0.0))
    if hasattr(even.matching, "t_std"):
        even = replace(even, matching=replace(even.matching, t_mean=0.0, t_std=0.0))
    rng, losses = torch.Generator().manual_seed(SEED), []
    space = ()
    if "space" in signature(matching_step).parameters:  # before there were spaces all was pixels
        from ebm_core.space import pixels

        space = (pixels(3, images.shape[3]),)
    for part in images[:NUM_LOSS].split(BATCH):
        losses.append(float(matching_step(net, Batch(dequantise(part, rng)), even, rng, *space).figures["matching"]))
    return sum(losses) / len(losses)


def main() -> None:
    path, overrides, train_path, val_path = sys.argv[1:]
    config = load_toml(TrainConfig, Path(path), [f'data.path="{train_path}"', *json.loads(overrides)])
    train, val = (load(DataConfig("zip", p), config.net.image_size).images for p in (train_path, val_path))

    def trainer_for(iterations: int) -> Trainer:
        return Trainer(replace(config, warm_start=replace(config.warm_start, iterations=iterations)), train, "cpu")

    trainer, durations = trainer_for(10**6), []
    for _ in range(WARM_UP + TIMED):
        started = time.process_time()
        trainer.step()
        durations.append(time.process_time() - started)
    step = sum(durations[WARM_UP:]) / TIMED
    eager = replace(config, compile=False) if hasattr(config, "compile") else config
    flops, _ = work(Trainer(eager, train, "cpu").step)
    answer(batch=config.warm_start.batch_size, step_seconds=step, flops=flops)
    budget = float(next(sys.stdin))
    if not budget:
        return
    trainer, spent = trainer_for(max(10, round(budget / step))), step
    trainer.step()  # counted as any other: it may compile
    for line in sys.stdin:
        until = spent + float(line)
        while spent < until and trainer.iteration < trainer.config.warm_start.iterations:
            started = time.process_time()
            trainer.step()
            spent += time.process_time() - started
        averages = getattr(trainer, "averages", None)
        nets = [average.net for average in averages.by_name.values()] if averages else [trainer.ema.net]
        losses = [held_out_loss(net, config, val) for net in [trainer.net, *nets]]
        answer(seconds=spent, iterations=trainer.iteration, held_out=min(losses))


def answer(**values: float) -> None:
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    main()
