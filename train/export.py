"""From a run to a model file: the averaged network in float16, with where it came from."""

import datetime
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ebm_core.checkpoint import ModelInfo, save_model
from ebm_core.config import to_dict
from train.history import parts_of_run
from train.provenance import commit, machine, portable
from train.run import averaged_weights, load_config, load_state


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
        config.net, config.plan, portable(provenance), family=config.family, attribute=config.attribute,
        space=config.space,
    )  # fmt: skip
    save_model(path, averaged, info)
    return path
