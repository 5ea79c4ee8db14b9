"""What a run writes while it goes on: progress bar, TensorBoard, ``log.jsonl``, sample sheets."""

import json
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from ebm_core import images
from train.run import LOG


class RunLog:
    """A context manager; a resumed log goes on in the same files."""

    def __init__(self, run: Path, iteration: int, iterations: int) -> None:
        self.run = run
        self.board = SummaryWriter(str(run / "tensorboard"), purge_step=iteration)
        self.lines = (run / LOG).open("a")
        self.bar = tqdm(total=iterations, initial=iteration, dynamic_ncols=True)
        self.started = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()
        self.lines.close()
        self.board.close()

    def scalars(self, iteration: int, figures: dict[str, Tensor]) -> None:
        """Figures that belong to the step from ``iteration`` to the next; reads them off the device."""
        values = {name: float(value) for name, value in figures.items()}
        for name, value in values.items():
            self.board.add_scalar(name, value, iteration)
        seconds = round(time.monotonic() - self.started, 1)
        self.lines.write(json.dumps({"iteration": iteration, "seconds": seconds, **values}) + "\n")
        self.lines.flush()
        shown = next((name for name in ("energy_gap", "matching") if name in values), next(iter(values)))
        self.bar.set_postfix({shown: f"{values[shown]:.4f}"})

    def sheet(self, iteration: int, x: Tensor, energy: Tensor) -> None:
        """Samples ``(B, C, H, W)`` with their energies ``(B,)``."""
        folder = self.run / "sheets"
        folder.mkdir(exist_ok=True)
        images.grid(x, zoom=2).save(folder / f"{iteration:06d}.png")
        self.board.add_images("samples", x, iteration)
        self.board.add_scalar("e_chain", float(energy.mean()), iteration)
