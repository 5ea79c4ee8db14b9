"""``python -m train fit CONFIG``: train a model."""

import argparse
import signal
import sys
from dataclasses import replace
from pathlib import Path
from threading import Event

from ebm_core.arguments import POSITIVE, add_device


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add_device(parser)
    parser.add_argument("config", type=Path, help="a TOML file of train/configs")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a config value")
    parser.add_argument("--data", help="path of the data; the same as --set data.path=...")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="its folder, new or with --resume")
    parser.add_argument("--minutes", type=POSITIVE, help="stop after so many minutes; --resume goes on")
    parser.add_argument("--fill", action="store_true", help="lay the run out over --minutes, not over iterations")
    parser.add_argument("--resume", action="store_true", help="go on from the run's last checkpoint")


def run(a: argparse.Namespace) -> None:
    """The command itself. Raises ValueError, in a sentence, for what it cannot use."""
    from ebm_core.config import ConfigError, load_toml
    from ebm_core.hub import open_space, pinned
    from train.batch import read_labels
    from train.config import TrainConfig
    from train.data import load
    from train.lock import held
    from train.loop import fit
    from train.parallel import Processes
    from train.run import check_run

    if a.fill and (a.resume or a.minutes is None):
        raise ValueError("--fill needs --minutes, and a run that begins: take --resume out")
    check_run(a.out, a.resume)  # before the data, which may take long
    if not a.config.is_file():
        raise ConfigError(f"{a.config} is not there; the shipped configs are in train/configs")
    config = load_toml(TrainConfig, a.config, a.set, {"data.path": a.data})
    config = replace(config, space=pinned(config.space))
    processes = Processes.join()
    with held(a.out, processes.is_first):
        device = processes.device(a.device)
        space = open_space(config.space, config.net, device)
        data = load(config.data, *space.size_and_channels)
        labels = read_labels(data.labels, config.attribute, data.names) if config.attribute else None
        stop = Event()
        # A scheduler's SIGTERM, and Ctrl-C also where a shell started us with it ignored, end in a checkpoint.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        trainer = fit(
            config,
            data.images,
            a.out,
            resume=a.resume,
            minutes=a.minutes,
            device=device,
            fill=a.fill,
            processes=processes,
            stop=stop,
            labels=labels,
            space=space,
        )
    if processes.is_first:
        end = "" if a.fill else f" of {config.iterations}"
        print(f"{a.out}: saved at iteration {trainer.iteration}{end}", file=sys.stderr)
    processes.leave()
