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
from torch import Tensor

from ebm_core.config import from_dict, to_dict
from ebm_core.files import check_new_folder, write_atomically
from ebm_core.sampling import without_clamp
from train.config import TrainConfig
from train.lock import RunError

STATE, CONFIG, LOG, SHEETS = "state.pt", "config.json", "log.jsonl", "sheets"


PARTS = frozenset({"net", "averages", "optimiser", "iteration", "shards"})  # of a trainer's state


def check_run(run: Path, resume: bool) -> None:
    """Raises RunError for a folder without a run to resume, FileError for one in use that a new run would spoil."""
    if not resume:
        otherwise = "go on with --resume, or" if (run / STATE).is_file() else "delete it, or"
        check_new_folder(run, f"{otherwise} choose another folder for a new run")
    elif not (run / STATE).is_file():
        raise RunError(f"{run} has no checkpoint to go on from; start it without --resume in a new folder")


def save_state(run: Path, state: dict[str, Any]) -> None:
    """Replace the run's checkpoint in one piece."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(run / STATE, buffer.getvalue())


def load_state(run: Path, device: str = "cpu", parts: frozenset[str] = PARTS) -> dict[str, Any]:
    """The run's checkpoint, which has at least ``parts``; only tensors and plain containers are unpickled.

    Raises RunError when there is none.
    """
    check_run(run, resume=True)
    path = run / STATE
    try:
        state: Any = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, OSError, EOFError, KeyError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        # Not in torch's words, which advise to unpickle whatever there is.
        raise RunError(
            f"{path} is no whole checkpoint that can be read ({type(error).__name__}): it is damaged or holds more "
            "than tensors; start the run again in a new folder"
        ) from error
    if not isinstance(state, dict) or not parts <= state.keys():
        what = "a bare state dict" if isinstance(state, dict) else f"a {type(state).__name__}"
        raise RunError(f"{path} is {what} and no checkpoint of a run, which has {', '.join(sorted(parts))}")
    return state


def averaged_weights(state: dict[str, Any], name: str | None = None) -> dict[str, Tensor]:
    """The weights of one of a checkpoint's averages, the first where none is named. Raises RunError for another."""
    averages: dict[str, Any] = state["averages"]
    if name is not None and name not in averages:
        raise RunError(f"the run has no average '{name}'; there are: {', '.join(averages)}")
    weights: dict[str, Tensor] = averages[name or next(iter(averages))]["net"]
    return weights


def save_config(run: Path, config: Any) -> None:
    """Keep what the run was started with: a config of any kind of run."""
    write_atomically(run / CONFIG, json.dumps(to_dict(config), indent=1).encode())


def load_config(run: Path) -> TrainConfig:
    """What the run was started with. Raises RunError when there is no such file or it is damaged."""
    path = run / CONFIG
    if not path.is_file():
        raise RunError(f"{run} is not a run: it has no {CONFIG}")
    try:
        content = json.loads(path.read_bytes())
        return from_dict(TrainConfig, content | {"plan": without_clamp(content["plan"])})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error


def read_log(run: Path) -> list[dict[str, float]]:
    """A run's figures by iteration; of what was done twice, after a kill, the second time counts."""
    path = run / LOG
    lines = path.read_text().splitlines() if path.is_file() else []
    entries = {int(entry["iteration"]): entry for entry in map(json.loads, lines)}
    return [entries[iteration] for iteration in sorted(entries)]


def cut_back(run: Path, iteration: int) -> None:
    """Forget what the log and the sheets say of iterations that a resumed run makes again, and half a last line."""
    path = run / LOG
    if path.is_file():
        kept = [line for line in path.read_bytes().splitlines() if _iteration_of(line) < iteration]
        write_atomically(path, b"".join(line + b"\n" for line in kept))
    for sheet in (run / SHEETS).glob("*.png"):
        if sheet.stem.isdecimal() and int(sheet.stem) > iteration:
            sheet.unlink()


def _iteration_of(line: bytes) -> float:
    """Infinity for a line that a kill cut off."""
    try:
        return float(json.loads(line)["iteration"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
