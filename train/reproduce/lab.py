"""What an experiment works with: data, models, a folder that remembers what is done already, and a clock."""

import io
import pickle
import shutil
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from ebm_core.checkpoint import CheckpointError, ModelInfo, load_model
from ebm_core.files import write_atomically
from ebm_core.hub import MODEL_FILE, WEIGHTS
from ebm_core.nets import EnergyNetwork
from train.data import DataConfig, load
from train.evaluate.features import FrechetDistance
from train.provenance import commit, machine

PIECES = "runs"  # below the report's folder; git ignores folders of this name


class NotRun(ValueError):
    """An experiment that cannot be done here; the message is the reason."""


class OutOfTime(Exception):
    """The minutes are over between two pieces of work; what is done is kept."""


@dataclass
class Lab:
    """Raises NotRun for data or models that are not there, and OutOfTime once ``deadline`` has passed."""

    out: Path  # the report's folder
    data: Path | None = None  # the folder with the zips
    device: str = "cpu"
    weights: Path = WEIGHTS
    inception: Path | None = None  # torch-fidelity's Inception weights
    deadline: float = float("inf")  # of time.monotonic()
    seed: int = 0  # whose pieces these are
    distances: dict[tuple[str, int], FrechetDistance] = field(default_factory=dict)  # by zips and size; of all seeds

    def __post_init__(self) -> None:
        self.pieces: dict[str, dict[str, Any]] = {}  # by name: seconds and provenance of all work that was used

    def of_seed(self, seed: int) -> Self:
        """The same with pieces of its own."""
        return replace(self, seed=seed)

    def seconds_left(self) -> float:
        """Raises OutOfTime when there are none."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise OutOfTime
        return left

    def folder(self, name: str) -> Path:
        """Where a piece keeps its files."""
        return self.out / PIECES / f"seed-{self.seed}" / name

    def piece(self, name: str, settings: Any, compute: Callable[[], Any]) -> Any:
        """What ``compute()`` gives: tensors and plain containers of them, kept under ``name``.

        A piece that was done with the same ``settings`` is read instead of done again. Its seconds add up over
        interruptions. A name is used once in an experiment.
        """
        path = self.folder(name) / "piece.pt"
        saved = _read(path)
        if saved is not None and saved["settings"] != settings:
            # Its files too: a run that was done there would be found finished, in no time and at today's commit.
            shutil.rmtree(path.parent)
            saved = None
        if saved is None:
            saved = {"settings": settings, "seconds": 0.0}
        if "value" not in saved:
            self.seconds_left()
            started = time.monotonic()
            try:
                saved["value"] = compute()
                saved["provenance"] = {"commit": commit(), "machine": machine(), "date": date.today().isoformat()}
            finally:
                saved["seconds"] += time.monotonic() - started
                _write(path, saved)
        self.pieces[name] = {"seconds": round(saved["seconds"], 1), **saved["provenance"]}
        return saved["value"]

    def data_config(self, files: str) -> DataConfig:
        """The zips, joined by commas, of the data folder."""
        names = [name.strip() for name in files.split(",")]
        if self.data is None:
            raise NotRun(f"it needs {' and '.join(names)}; give the folder with --data")
        absent = [name for name in names if not (self.data / name).is_file()]
        if absent:
            raise NotRun(f"{' and '.join(absent)} {'are' if len(absent) > 1 else 'is'} not in {self.data}")
        return DataConfig("zip", ",".join(str(self.data / name) for name in names))

    def images(self, files: str, size: int) -> Tensor:
        """All images of the zips, uint8 ``(N, 3, size, size)``."""
        return load(self.data_config(files), size).images

    def distance_to(self, files: str, size: int) -> FrechetDistance:
        """The Fréchet distance to all images of the zips; their features are computed at the first use."""
        if (files, size) not in self.distances:
            real = self.images(files, size)
            distance = FrechetDistance(real, inception_weights=self.inception, device=self.device)
            self.distances[files, size] = distance
        return self.distances[files, size]

    def model(self, name: str) -> tuple[EnergyNetwork, ModelInfo]:
        """A model of the weights folder, by name."""
        if not (path := self.weights / name / MODEL_FILE).exists():
            raise NotRun(f"no model '{name}' is in the folder '{self.weights.name}'")
        try:
            return load_model(path, self.device)
        except CheckpointError as error:
            raise NotRun(f"the model '{name}' cannot be used: {error}") from error

    def pixel_model(self, name: str) -> tuple[EnergyNetwork, ModelInfo]:
        """``model``, for an experiment whose chains walk in pixels. Raises NotRun for one of latents too."""
        net, info = self.model(name)
        if info.space.is_latent:
            raise NotRun(f"'{name}' is an energy of {info.space.describe()}, and this experiment walks in pixels")
        return net, info


def _read(path: Path) -> dict[str, Any] | None:
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile):
        return None  # not there, or damaged: it is done again
    return saved if isinstance(saved, dict) and "settings" in saved else None


def _write(path: Path, saved: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    torch.save(saved, buffer)
    write_atomically(path, buffer.getvalue())
