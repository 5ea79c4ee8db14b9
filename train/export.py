"""``python -m train export RUN``: the averaged network of a run as a model file in float16, with where it came from."""

import argparse
import datetime
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ebm_core.arguments import folder_name
from ebm_core.checkpoint import ModelInfo, save_model
from ebm_core.config import to_dict
from ebm_core.files import check_new
from ebm_core.hub import CARD_FILE, MODEL_FILE, WEIGHTS
from train.history import parts_of_run
from train.provenance import add_allow_dirty, commit, machine, portable
from train.run import averaged_weights, load_config, load_state


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("run", type=Path)
    parser.add_argument("--name", type=folder_name, required=True, help="name of the folder under weights/")
    parser.add_argument("--force", action="store_true", help="replace the model of that name")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="the weights folder")
    parser.add_argument("--average", metavar="NAME", help="decay or width of the average to export")
    add_allow_dirty(parser)


def run(a: argparse.Namespace) -> None:
    """The command itself. Raises ValueError as ``export_run`` does, and for a name that is taken."""
    path = a.weights / a.name / MODEL_FILE
    if not a.force:
        check_new(path, "choose another --name, or --force replaces it")
    export_run(a.run, path, a.average)
    print(f"{path}: {path.stat().st_size / 2**20:.2f} MiB")
    if (card := path.with_name(CARD_FILE)).is_file():
        print(f"{card} is still of the model before: python -m train card writes it anew", file=sys.stderr)


def export_run(run: Path, path: Path, average: str | None = None) -> Path:
    """Write a moving average of a run's last checkpoint, its main one unless named, as a model file.

    Floating-point tensors are stored as float16, half the bytes; the loader makes them float32 again. Raises
    RunError when the run has no checkpoint, FileError when the file cannot be written.
    """
    config, state = load_config(run), load_state(run)
    weights = averaged_weights(state, average)
    averaged = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    provenance: dict[str, Any] = {
        "average": average or next(iter(state["averages"])),
        "iteration": state["iteration"],
        "warm_start_iterations": min(state["iteration"], config.warm_start.iterations),
        "date": datetime.date.today().isoformat(),
        "commit": commit(),  # of the export; the parts have those of the training
        "machine": machine(),
        "parts": [asdict(part) for part in parts_of_run(run, config, state["iteration"])],
        "config": to_dict(config),
    }
    info = ModelInfo(
        config.net,
        config.plan,
        portable(provenance),
        family=config.family,
        attribute=config.attribute,
        space=config.space,
    )
    save_model(path, averaged, info)
    return path
