"""Command line: ``python -m train fit | sample | export``."""

import argparse
import sys
from pathlib import Path

from ebm_core.device import default_device


def main(argv: list[str] | None = None) -> int:
    """Run a command; bad input ends with one sentence on standard error and exit code 2."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.command(arguments)
    except (ValueError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m train", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    fit = commands.add_parser("fit", help="train a model from a config")
    fit.add_argument("config", type=Path, help="a TOML file of train/configs")
    fit.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a config value")
    fit.add_argument("--data", help="path of the data; the same as --set data.path=...")
    fit.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run")
    fit.add_argument("--minutes", type=float, help="stop after so many minutes; --resume goes on")
    fit.add_argument("--resume", action="store_true", help="go on from the run's last checkpoint")
    fit.add_argument("--device", default=default_device())
    fit.set_defaults(command=_fit)
    return parser


def _fit(a: argparse.Namespace) -> None:
    from ebm_core.config import ConfigError, load_toml
    from train.config import TrainConfig
    from train.data import load
    from train.loop import fit

    overrides = a.set + ([f'data.path="{a.data}"'] if a.data else [])
    if not a.config.is_file():
        raise ConfigError(f"{a.config} is not there; the shipped configs are in train/configs")
    config = load_toml(TrainConfig, a.config, overrides)
    data = load(config.data, config.net.image_size, config.net.channels)
    fit(config, data.images, a.out, resume=a.resume, minutes=a.minutes, device=a.device)


if __name__ == "__main__":
    sys.exit(main())
