"""What a run writes while it goes on: progress bar, TensorBoard, ``log.jsonl``, sample sheets."""

import json
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from ebm_core import images
from ebm_core.files import write_atomically
from train.run import LOG, SHEETS, cut_back


class RunLog:
    """A context manager; a resumed log goes on in the same files, from ``iteration`` on."""

    def __init__(self, run: Path, iteration: int, iterations: int) -> None:
        self.run = run
        self.board = SummaryWriter(str(run / "tensorboard"), purge_step=iteration)
        cut_back(run, iteration)
        self.lines = (run / LOG).open("a")
        self.bar = tqdm(total=iterations, initial=iteration, dynamic_ncols=True)
        self.started = time.monotonic()
        self._warnings: set[str] = set()

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
        key = next((name for name in ("energy_gap", "matching") if name in values), next(iter(values)))
        self.bar.set_postfix({key: f"{values[key]:.4f}"})

    def warn(self, sentence: str) -> None:
        """Above the progress bar, once for each sentence."""
        if sentence not in self._warnings:
            self._warnings.add(sentence)
            self.bar.write(f"warning: {sentence}", file=sys.stderr)

    def sheet(self, iteration: int, x: Tensor, energy: Tensor) -> None:
        """Samples ``(B, C, H, W)`` with their energies ``(B,)``."""
        write_atomically(self.run / SHEETS / f"{iteration:06d}.png", images.encode(images.grid(x, zoom=2), "PNG"))
        self.board.add_images("samples", x, iteration)
        self.board.add_scalar("e_chain", float(energy.mean()), iteration)
