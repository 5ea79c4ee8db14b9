"""The loop around the steps: optimiser, moving average, logging, samples, checkpoints, resume."""

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from ebm_core import images
from ebm_core.device import has_bf16
from ebm_core.energy import frozen
from ebm_core.langevin import NonFiniteEnergyError
from ebm_core.nets import EnergyNetwork
from ebm_core.sampling import sample, uniform_noise
from train.config import OptimConfig, TrainConfig
from train.optim import Optimiser
from train.replay import ReplayBuffer
from train.run import LOG, RunError, load_state, save_config, save_state
from train.step import StepOutput, icd_step, matching_step


class DivergedError(RuntimeError):
    """The run was stopped because its energies left the reasonable; the last good checkpoint is kept."""


class Trainer:
    """All that a run is between two iterations, on one device; ``state_dict`` has every bit of it."""

    def __init__(self, config: TrainConfig, data: Tensor, device: str) -> None:
        self.config, self.device = config, device
        torch.manual_seed(config.seed)  # the initial weights; everything later draws from self.rng
        self.net = EnergyNetwork(config.net).to(device)
        self.net.bf16 = config.bf16 and has_bf16(device)
        self.ema = self._make_average()
        self.optimiser = Optimiser(self.net, config.warm_start.optim)
        self.rng = torch.Generator(device).manual_seed(config.seed)
        shape = (config.net.channels, config.net.image_size, config.net.image_size)
        self.buffer = ReplayBuffer(config.icd.buffer_size, shape, config.icd.buffer_kind, device)
        self.data = data.to(device)
        self.iteration = 0

    @property
    def phase_start(self) -> int:
        warm = self.config.warm_start.iterations
        return warm if self.iteration >= warm else 0

    def step(self, measure: bool = False) -> dict[str, Tensor]:
        """One iteration. With ``measure`` the figures also have each term's gradient norm (Figure 9).

        Raises DivergedError or NonFiniteEnergyError before the parameters are touched.
        """
        warm = self.config.warm_start
        in_warm_start = self.iteration < warm.iterations
        phase = warm if in_warm_start else self.config.icd
        if self.iteration == warm.iterations:
            # A new phase, a new optimiser: Adam's moments belong to the other loss. The averaged network goes on, and
            # its average begins anew, or a short second phase would hardly show in it.
            self.net.load_state_dict(self.ema.module.state_dict())
            self.ema = self._make_average()
            self.optimiser = Optimiser(self.net, self.config.icd.optim)
        if in_warm_start:
            output = matching_step(self.net, self._batch(warm.batch_size), self.config, self.rng)
        else:
            icd = self.config.icd
            x_match = self._batch(icd.matching_batch)
            output = icd_step(self.net, self._batch(icd.batch_size), x_match, self.buffer, self.config, self.rng)
        figures = output.figures
        if measure:
            self._check(figures)
            figures = figures | self._gradient_norms(output)
        self.optimiser.zero_grad()
        output.loss.backward()
        norm = self.optimiser.clip()
        figures = figures | {"grad_norm": norm}
        if measure and not math.isfinite(float(norm)):
            raise DivergedError(f"the gradient is not finite at iteration {self.iteration}")
        self.optimiser.step(schedule(self.iteration - self.phase_start, phase.iterations, phase.optim))
        self.ema.update_parameters(self.net)
        self.iteration += 1
        return figures

    def sample_sheet(self, num: int) -> tuple[Tensor, Tensor]:
        """Algorithm 2 from noise with the averaged network: the same noise every time, so sheets can be compared."""
        rng = torch.Generator(self.device).manual_seed(self.config.seed + 1)
        c = self.config.net
        x = uniform_noise((num, c.channels, c.image_size, c.image_size), rng)
        net = self.ema.module
        with frozen(net):
            for state in sample(net, x, self.config.plan, rng):
                pass
        return state.x, state.energy

    def state_dict(self) -> dict[str, Any]:
        return {
            "net": self.net.state_dict(),
            "ema": self.ema.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "buffer": self.buffer.state_dict(),
            "rng": self.rng.get_state(),
            "iteration": self.iteration,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        self.ema.load_state_dict(state["ema"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.buffer.load_state_dict(state["buffer"])
        self.rng.set_state(state["rng"].cpu())
        self.iteration = state["iteration"]

    def _make_average(self) -> AveragedModel:
        update = growing_average(self.config.ema_decay)
        return AveragedModel(self.net, multi_avg_fn=update, use_buffers=True).requires_grad_(False)

    def _batch(self, num: int) -> Tensor:
        index = torch.randint(len(self.data), (num,), generator=self.rng, device=self.data.device)
        return images.dequantise(self.data[index], self.rng)

    def _check(self, figures: dict[str, Tensor]) -> None:
        gap = float(figures.get("energy_gap", torch.zeros(())))
        if not math.isfinite(gap) or abs(gap) > self.config.diverged_at:
            raise DivergedError(f"the energy gap is {gap:.3g} at iteration {self.iteration}")

    def _gradient_norms(self, output: StepOutput) -> dict[str, Tensor]:
        """Norms over all parameters of the gradients of L_CD, L_KL = L_opt + L_ent, and the matching loss."""
        groups = {"cd": ("cd",), "kl": ("opt", "ent"), "matching": ("matching",)}
        norms = {}
        for name, members in groups.items():
            terms = [output.terms[m] for m in members if m in output.terms]
            if terms and len(output.terms) > 1:
                grads = torch.autograd.grad(
                    torch.stack(terms).sum(), list(self.net.parameters()), retain_graph=True, allow_unused=True
                )
                norms[f"grad_norm_{name}"] = torch.stack([g.norm() for g in grads if g is not None]).norm()
        return norms


def growing_average(decay: float) -> Callable[[Any, Any, Any], None]:
    """Moving average whose decay grows from 0.1 to ``decay``, so that early ones are not of the initial weights."""

    def update(averaged: Any, current: Any, num_averaged: Any) -> None:
        n = int(num_averaged)
        get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))(averaged, current, num_averaged)

    return update


def schedule(iteration: int, total: int, optim: OptimConfig) -> float:
    """Share of the learning rate: linear warm-up, then a half cosine down to ``final_lr`` over the phase."""
    rise = min(1.0, (iteration + 1) / optim.warmup) if optim.warmup else 1.0
    progress = min(1.0, iteration / max(1, total))
    return rise * (optim.final_lr + (1 - optim.final_lr) * 0.5 * (1 + math.cos(math.pi * progress)))


def fit(config: TrainConfig, data: Tensor, run: Path, *, resume: bool, minutes: float | None, device: str) -> Trainer:
    """Train until the config's iterations or ``minutes`` are over; both leave a checkpoint to go on from."""
    trainer = Trainer(config, data, device)
    if resume:
        try:
            trainer.load_state_dict(load_state(run, device))
        except (RuntimeError, ValueError, KeyError) as error:
            raise RunError(f"the checkpoint in {run} does not fit this config ({error}); give the run's own") from error
    save_config(run, config)
    deadline = time.monotonic() + 60 * minutes if minutes else math.inf
    log = config.log
    # The iteration in brackets is what a figure belongs to; a resumed log goes on in the same files.
    with _writers(run, trainer.iteration) as (board, lines), tqdm(
        total=config.iterations, initial=trainer.iteration, dynamic_ncols=True
    ) as bar:
        started, saved_at = time.monotonic(), trainer.iteration
        try:
            while trainer.iteration < config.iterations and time.monotonic() < deadline:
                measure = trainer.iteration % log.scalars_every == 0
                iteration = trainer.iteration
                figures = trainer.step(measure)
                bar.update()
                if measure:
                    values = {name: float(value) for name, value in figures.items()}
                    for name, value in values.items():
                        board.add_scalar(name, value, iteration)
                    seconds = round(time.monotonic() - started, 1)
                    lines.write(json.dumps({"iteration": iteration, "seconds": seconds, **values}) + "\n")
                    lines.flush()
                    shown = "energy_gap" if "energy_gap" in values else "matching"
                    bar.set_postfix({shown: f"{values[shown]:.4f}"})
                if trainer.iteration % log.samples_every == 0:
                    _draw_sheet(trainer, run, board)
                if trainer.iteration % log.checkpoint_every == 0:
                    save_state(run, trainer.state_dict())
                    saved_at = trainer.iteration
        except (NonFiniteEnergyError, DivergedError) as error:
            raise DivergedError(
                f"{error}; stopped at iteration {trainer.iteration}, the checkpoint of iteration {saved_at} is kept "
                f"in {run}: go on from it with --resume and a smaller learning rate"
            ) from error
        except KeyboardInterrupt:
            bar.write(f"interrupted: saved at iteration {trainer.iteration}")
        save_state(run, trainer.state_dict())
    return trainer


def _draw_sheet(trainer: Trainer, run: Path, board: SummaryWriter) -> None:
    x, energy = trainer.sample_sheet(trainer.config.log.num_samples)
    folder = run / "sheets"
    folder.mkdir(exist_ok=True)
    images.grid(x, zoom=2).save(folder / f"{trainer.iteration:06d}.png")
    board.add_images("samples", x, trainer.iteration)
    board.add_scalar("e_chain", float(energy.mean()), trainer.iteration)


@contextmanager
def _writers(run: Path, iteration: int) -> Iterator[tuple[SummaryWriter, Any]]:
    board = SummaryWriter(str(run / "tensorboard"), purge_step=iteration)
    with open(run / LOG, "a") as lines:
        try:
            yield board, lines
        finally:
            board.close()
