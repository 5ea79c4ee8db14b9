"""The folder of a run: its state, written so that neither Ctrl-C nor kill -9 loses more than the last interval.

``state.pt`` is the last checkpoint, ``config.toml.json`` what it was started with, ``sheets/`` the samples,
``tensorboard/`` and ``log.jsonl`` the figures.
"""

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from ebm_core.config import from_dict, to_dict
from ebm_core.files import write_atomically
from train.config import TrainConfig

STATE, CONFIG, LOG = "state.pt", "config.json", "log.jsonl"


class RunError(ValueError):
    """A run folder that cannot be used; the message says what to do."""


def save_state(run: Path, state: dict[str, Any]) -> None:
    """Replace the run's checkpoint in one piece."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(run / STATE, buffer.getvalue())


def load_state(run: Path, device: str = "cpu") -> dict[str, Any]:
    """The run's checkpoint; only tensors and plain containers are unpickled."""
    path = run / STATE
    if not path.is_file():
        raise RunError(f"{run} has no checkpoint to go on from; start it without --resume")
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} cannot be read ({error}); start the run again without --resume") from error
    return state


def save_config(run: Path, config: TrainConfig) -> None:
    write_atomically(run / CONFIG, json.dumps(to_dict(config), indent=1).encode())


def load_config(run: Path) -> TrainConfig:
    path = run / CONFIG
    if not path.is_file():
        raise RunError(f"{run} is not a run: it has no {CONFIG}")
    return from_dict(TrainConfig, json.loads(path.read_text()))
