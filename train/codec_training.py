"""How the autoencoder is trained whose latents the energies live on.

With a teacher the encoder learns to reproduce its latents, and the decoder to decode them: what decides is how easily
an energy learns the latents, and the teacher's were made for that.
"""

import datetime
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ebm_core import images
from ebm_core.codec import Codec, CodecConfig, moments, psnr, save_codec
from ebm_core.config import Count, NotNegative, Probability, check_fields, to_dict
from ebm_core.device import has_bf16
from ebm_core.files import one_line, write_atomically
from ebm_core.recipe import SEED
from train.config import OptimConfig
from train.data import DataConfig
from train.ema import MovingAverage, constant
from train.lock import RunError
from train.log import RunLog
from train.optim import Optimiser
from train.perceptual import FeatureLoss
from train.provenance import commit, machine
from train.run import SHEETS, load_state, save_config, save_state
from train.teacher import CHANNELS
from train.trainer import DivergedError, schedule

FITTED_ON = 2048  # pictures, evenly spaced, that the standardisation and the preview are fitted on
PARTS = frozenset({"net", "ema", "optimiser", "iteration", "rng"})  # of a trainer's state
SHEET = 8  # held-out pictures on a sheet, above their reconstructions


@dataclass(frozen=True)
class CodecLogConfig:
    """Cadence, in iterations."""

    scalars_every: Count = 20
    checkpoint_every: Count = 200  # also the held-out PSNR and a sheet of reconstructions

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class CodecRun:
    """One codec: data, networks, losses."""

    data: DataConfig
    codec: CodecConfig = field(default_factory=CodecConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    log: CodecLogConfig = field(default_factory=CodecLogConfig)
    iterations: Count = 4000
    batch_size: Count = 8
    teacher: str = ""  # folder of the teacher's weights; "" = none
    distill_weight: NotNegative = 1.0  # of the squared distance to the teacher's standardised latents
    final_distill: Probability = 0.3  # the weight falls to this share along the run: likeness first, then sharpness
    moment_weight: NotNegative = 0.1  # without a teacher: of each channel's mean and variance to 0 and 1
    lent_share: Probability = (
        0.25  # of the iterations, in which the decoder's inputs go from the teacher's latents to ours
    )
    feature_weight: NotNegative = 0.1  # of the loss on features; 0 = none
    feature_share: Probability = 0.5  # of a batch that it is taken on: it costs a third of an iteration
    noise_std: NotNegative = 0.2  # largest deviation of the noise on latents; drawn for each picture
    held_out: Count = 32  # pictures, evenly spaced, that are never trained on
    ema_decay: Probability = 0.998
    seed: Annotated[int, SEED] = 0
    bf16: bool = True  # autocast where the hardware has bfloat16 instructions

    def __post_init__(self) -> None:
        check_fields(self)
        if self.teacher and self.codec.channels != CHANNELS:
            raise ValueError(
                f"the teacher has {CHANNELS} channels, codec.channels is {self.codec.channels}: set it to {CHANNELS}, "
                "or train without a teacher"
            )
        if self.teacher and self.codec.reduction != 8:
            raise ValueError(f"the teacher reduces pictures 8-fold, this codec {self.codec.reduction}-fold")


class CodecTrainer:
    """All that a run is between two iterations; ``state_dict`` has every bit of it."""

    def __init__(self, config: CodecRun, u8: Tensor, latents: Tensor | None, device: str) -> None:
        """Pictures uint8 ``(N, 3, H, W)`` and, with a teacher, its latents ``(N, C, h, w)`` of them."""
        if len(u8) <= config.held_out:
            raise ValueError(f"there are {len(u8)} pictures and {config.held_out} are held out; give more of them")
        self.config, self.device = config, device
        torch.manual_seed(config.seed)
        self.net = Codec(config.codec).to(device).to(memory_format=torch.channels_last)
        self.ema = MovingAverage(self.net, constant(config.ema_decay))
        self.optimiser = Optimiser(self.net, config.optim)
        self.features = FeatureLoss().to(device) if config.feature_weight else None
        self.rng = torch.Generator(device).manual_seed(config.seed)
        self.iteration = 0
        kept = torch.ones(len(u8), dtype=torch.bool)
        kept[torch.arange(config.held_out) * len(u8) // config.held_out] = False
        self.held_out, self.u8 = u8[~kept], u8[kept]
        self.latents, self.scale = None, None
        if latents is not None:
            self.latents = latents[kept]
            self.scale = [m.float().to(device)[:, None, None] for m in moments(self.latents)]

    def step(self) -> dict[str, Tensor]:
        """One iteration; its figures. Raises DivergedError before the parameters are touched."""
        c, progress = self.config, self.iteration / self.config.iterations
        chosen = torch.randint(len(self.u8), (c.batch_size,), generator=self.rng, device=self.device).cpu()
        x = (self.u8[chosen].to(self.device) + 0.5) / 256
        with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=c.bf16 and has_bf16(self.device)):
            z = self.net.encode(x).float()
            terms: dict[str, Tensor] = {}
            if self.latents is not None and self.scale is not None:
                target = (self.latents[chosen].to(self.device).float() - self.scale[0]) / self.scale[1]
                weight = c.distill_weight * (1 + (c.final_distill - 1) * progress)
                terms["distill"] = weight * F.mse_loss(z, target)
                z = z.lerp(target, max(0.0, 1 - progress / c.lent_share) if c.lent_share else 0.0)
            else:
                terms["moments"] = c.moment_weight * _moment_loss(z)
            spread = c.noise_std * torch.rand(len(z), 1, 1, 1, generator=self.rng, device=self.device)
            y = self.net.reconstruct(z + spread * torch.randn(z.shape, generator=self.rng, device=self.device)).float()
            terms["pixels"] = F.l1_loss(y, x)
            if self.features is not None:
                part = slice(max(1, round(c.feature_share * len(x))))
                terms["features"] = c.feature_weight * self.features(y[part], x[part])
        loss = torch.stack(list(terms.values())).sum()
        self.optimiser.zero_grad()
        loss.backward()
        norm = self.optimiser.clip()
        if not math.isfinite(float(norm)):
            raise DivergedError(f"the gradient is not finite at iteration {self.iteration}", self.iteration)
        self.optimiser.step(schedule(self.iteration, self.iteration / max(1, c.iterations), c.optim))
        self.ema.update(self.net)
        self.iteration += 1
        return {"loss": loss.detach(), **{name: term.detach() for name, term in terms.items()}, "grad_norm": norm}

    @torch.no_grad()
    def reconstructions(self) -> Tensor:
        """The averaged codec's of the held-out pictures, uint8."""
        codec = self.ema.net
        parts = self.held_out.split(self.config.batch_size)
        return torch.cat([images.quantise(codec.decode(codec.encode(part.to(self.device)))).cpu() for part in parts])

    def state_dict(self) -> dict[str, Any]:
        return {
            "net": self.net.state_dict(),
            "ema": self.ema.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "iteration": self.iteration,
            "rng": self.rng.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises ValueError, KeyError or RuntimeError for the state of another config."""
        self.net.load_state_dict(state["net"])
        self.ema.load_state_dict(state["ema"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.iteration = state["iteration"]
        self.rng.set_state(state["rng"].cpu())


def _moment_loss(z: Tensor) -> Tensor:
    """How far each channel of latents ``(B, C, h, w)`` is from mean 0 and variance 1 over the batch."""
    mean, variance = z.mean(dim=(0, 2, 3)), z.var(dim=(0, 2, 3), correction=0)
    return (mean.square() + (variance - 1).square()).mean()


def fit_codec(
    config: CodecRun,
    u8: Tensor,
    latents: Tensor | None,
    run: Path,
    *,
    resume: bool,
    minutes: float | None,
    device: str,
    stop: Event | None = None,
) -> CodecTrainer:
    """Train until the config's iterations or ``minutes`` are over or ``stop`` is set; each leaves a checkpoint."""
    trainer = CodecTrainer(config, u8, latents, device)
    if resume:
        state = load_state(run, device, PARTS)
        try:
            trainer.load_state_dict(state)
        except (RuntimeError, ValueError, KeyError) as error:
            why = one_line(error)
            raise RunError(f"the checkpoint in {run} does not fit this config ({why}); give the run's own") from error
    save_config(run, config)
    deadline = time.monotonic() + 60 * minutes if minutes is not None else math.inf
    with RunLog(run, trainer.iteration, config.iterations) as log:
        while trainer.iteration < config.iterations:
            if time.monotonic() >= deadline or (stop is not None and stop.is_set()):
                break
            iteration, figures = trainer.iteration, trainer.step()
            log.bar.update()
            if iteration % config.log.scalars_every == 0:
                log.scalars(iteration, figures)
            if trainer.iteration % config.log.checkpoint_every == 0:
                _save(trainer, run, log)
        _save(trainer, run, log)
    return trainer


def _save(trainer: CodecTrainer, run: Path, log: RunLog) -> None:
    save_state(run, trainer.state_dict())
    y, x = trainer.reconstructions(), trainer.held_out
    log.scalars(trainer.iteration, {"held_out_psnr": psnr(x, y).mean()})
    pairs = torch.cat([x[-SHEET:], y[-SHEET:], x[:SHEET], y[:SHEET]])
    sheet = images.encode(images.grid(pairs, SHEET, zoom=1), "PNG")
    write_atomically(run / SHEETS / f"{trainer.iteration:06d}.png", sheet)


def write_codec(trainer: CodecTrainer, path: Path) -> Path:
    """The averaged codec of a run as a file, its latents standardised and its preview fitted."""
    codec: Codec = trainer.ema.net
    codec.fit_latents(trainer.u8[:: max(1, len(trainer.u8) // FITTED_ON)])
    config = to_dict(trainer.config)
    config["data"]["path"] = ",".join(Path(path.strip()).name for path in trainer.config.data.path.split(","))
    config["teacher"] = "TAESD's FLUX.2 variant (madebyollin, MIT)" if trainer.latents is not None else ""
    codec.provenance = {
        "iteration": trainer.iteration,
        "config": config,
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "machine": machine(),
    }
    save_codec(path, codec)
    return path
