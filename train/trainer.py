"""All that a run is between two iterations, and what one iteration does."""

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from ebm_core.compose import conditioned
from ebm_core.device import has_bf16, has_matrix_units
from ebm_core.energy import EnergyFn
from ebm_core.hub import open_space
from ebm_core.nets import EnergyNetwork
from ebm_core.nets.blocks import shared_weights
from ebm_core.nets.folding import folded, refold
from ebm_core.nets.liveness import dead_scales, liveness
from ebm_core.nets.network import Encoder
from ebm_core.sampling import sample
from ebm_core.space import Space
from train.batch import Batch, Labels, TrainingData
from train.captured import CapturedStep, captured, detached
from train.compiled import compiled_chain, energy_of_labels
from train.config import OptimConfig, TrainConfig
from train.ema import MovingAverages
from train.optim import Optimiser
from train.parallel import Processes
from train.replay import ReplayBuffer
from train.start import check_same_network, start_from
from train.step import IcdPoints, MatchingPoints, StepOutput, icd_losses, icd_points, matching_losses, matching_points

ALONE = Processes()
SPREAD_IMAGES = 32
LEVEL_IMAGES = 256  # enough for the mean energy of data; the same ones in every process
# Times the matching loss of a flat energy, and the least that the run has had: no batch is as bad as that by chance.
DIVERGED_LOSS = 10.0
SEED_STRIDE = 1_000_003  # between the processes' generators; the CPU's keeps 32 bits of a seed


class DivergedError(RuntimeError):
    """The run was stopped because its energies left the reasonable; the last good checkpoint is kept.

    ``iteration`` is the first one that was not made.
    """

    def __init__(self, message: str, iteration: int) -> None:
        super().__init__(message)
        self.iteration = iteration


class Trainer:
    """All that a run is between two iterations, on one device; ``state_dict`` has every bit of it.

    Among several processes each draws its share of the batch with a generator of its own and keeps its share of
    the replay buffer; gradients are averaged, so the parameters stay the same in all of them.
    """

    def __init__(
        self,
        config: TrainConfig,
        data: Tensor,
        device: str,
        processes: Processes = ALONE,
        labels: Labels | None = None,
        space: Space | None = None,
    ) -> None:
        self.config, self.device, self.processes = config, device, processes
        self.space = space or open_space(config.space, config.net, device)
        torch.manual_seed(config.seed)  # the initial weights; everything later draws from self.rng
        self.net = EnergyNetwork(config.net).to(device)
        if config.start_from:
            start_from(self.net, config.start_from, config.space)
        self.net.bf16 = config.bf16 and has_bf16(device)
        if self.net.bf16 and config.net.norm == "none" and has_matrix_units(device):
            self.net.to(memory_format=torch.channels_last)  # elsewhere it gains nothing (benchmarks/README.md)
        self.energy_of = energy_of_labels(self.net, compile=config.compile)
        self.chain_net = folded(self.net)
        self.chain_labels: Tensor | None = None
        self._chain_energy: EnergyFn | None = None  # captured when the first chain's shape is known
        self._captures = torch.device(device).type == "cuda" and not config.compile
        self._captured: CapturedStep[Any] | None = None
        self._least_loss = math.inf  # of the matching, where it was measured
        self.averages = self._new_averages()
        self.optimiser = Optimiser(self.net, config.warm_start.optim)
        self.rng = torch.Generator(device).manual_seed(config.seed + processes.rank * SEED_STRIDE)
        capacity = processes.share(config.icd.buffer_size, "buffer_size")
        self.buffer = ReplayBuffer(capacity, self.space, config.icd.buffer_kind, device, config.net.label_dim)
        self.data = TrainingData(
            data,
            labels,
            self.space,
            balanced=config.balanced,
            seen_share=config.seen_share,
            mirror=config.mirror,
            looks=config.views,
            device=device,
        )
        self.iteration = 0
        self.clock: Callable[[], float] | None = None  # share of a run's time that is over, if it fills one

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
            self.net.load_state_dict(self.averages.main.net.state_dict())
            self._set_level()
            self.averages = self._new_averages()
            self.optimiser = Optimiser(self.net, self.config.icd.optim)
        self.optimiser.zero_grad()
        output = self._gradients(self._matching_points() if in_warm_start else self._icd_points(), measure)
        figures = output.figures
        self.processes.average_gradients(self.optimiser.parameters)
        norm = self.optimiser.clip()
        figures = figures | {"grad_norm": norm}
        if measure:
            figures |= self.scale_figures()
        if measure and not math.isfinite(float(norm)):
            raise DivergedError(f"the gradient is not finite at iteration {self.iteration}", self.iteration)
        done = self.iteration - self.phase_start
        progress = self.clock() if self.clock else done / max(1, phase.iterations)
        self.optimiser.step(schedule(done, progress, phase.optim))
        self.averages.update(self.net)
        self.iteration += 1
        return figures

    def scale_figures(self) -> dict[str, Tensor]:
        """For each scale the spread of its energies over the first data, and its share of the last gradient's norm; how
        much each attention adds to what passes, as a share."""
        x, y = self.data.first(SPREAD_IMAGES)
        spreads, attentions = liveness(self.net, x, y)
        norms = torch.stack([_norm([p.grad for p in scale.parameters()]) for scale in self.net.scales])
        shares = norms / norms.norm().clamp(min=1e-30)
        figures = {f"spread_scale{number}": value for number, value in enumerate(spreads)}
        figures |= {f"attention_share{number}": value for number, value in enumerate(attentions)}
        return figures | {f"grad_share_scale{number}": value for number, value in enumerate(shares)}

    def dead_scales(self) -> list[int]:
        """Numbers of the scales that tell the first data no longer apart."""
        return dead_scales(self.net, *self.data.first(SPREAD_IMAGES))

    def chain_energy(self, y: Tensor | None) -> EnergyFn:
        """The energy that makes the chain, for labels ``y``; it reads them where it read them first."""
        share = self.processes.share(self.config.icd.batch_size, "batch size")
        if self._chain_energy is None:
            x = torch.zeros(share, *self.space.shape, device=self.device)
            self.chain_labels = None if y is None else y.clone()
            if self.config.compile:
                self._chain_energy = compiled_chain(self.chain_net, self.chain_labels)
            else:
                self._chain_energy = captured(conditioned(self.chain_net, self.chain_labels), x)
        if self.chain_labels is not None and y is not None:
            self.chain_labels.copy_(y)
        return self._chain_energy

    def sample_sheet(self, num: int) -> tuple[Tensor, Tensor]:
        """Algorithm 2 from noise with the averaged network: the same noise every time, so sheets can be compared."""
        rng = torch.Generator(self.device).manual_seed(self.config.seed + 1)
        x = self.space.noise(num, rng)
        energy = conditioned(folded(self.averages.main.net), self.data.label_sheet(num))
        for state in sample(energy, x, self.config.plan, rng, self.space):
            pass
        return self.space.decode(state.x), state.energy

    def state_dict(self) -> dict[str, Any]:
        return {
            "net": self.net.state_dict(),
            "averages": self.averages.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "iteration": self.iteration,
            "shards": self.processes.gather({"buffer": self.buffer.state_dict(), "rng": self.rng.get_state()}),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises ValueError, in a sentence, for the state of another network or number of processes."""
        check_same_network(self.net, state["net"])
        if len(state["shards"]) != self.processes.size:
            raise ValueError(f"it was written by {len(state['shards'])} processes, there are {self.processes.size}")
        self.net.load_state_dict(state["net"])
        self.averages.load_state_dict(state["averages"])
        self.iteration = state["iteration"]
        if self.iteration > self.config.warm_start.iterations:
            # Rates and clipping are the config's, not the checkpoint's: those of the phase that it stands in.
            self.optimiser = Optimiser(self.net, self.config.icd.optim)
        self.optimiser.load_state_dict(state["optimiser"])
        shard = state["shards"][self.processes.rank]
        self.buffer.load_state_dict(shard["buffer"])
        self.rng.set_state(shard["rng"].cpu())

    def _new_averages(self) -> MovingAverages:
        return MovingAverages(self.net, self.config.ema_decay, self.config.ema_widths)

    @torch.no_grad()
    def _set_level(self) -> None:
        """Shift the energy so that it is 0 on data: matching leaves the constant free, the penalty on E^2 does not."""
        head = cast(Encoder, self.net.scales[0]).head
        head.bias.sub_(self.net(*self.data.first(LEVEL_IMAGES)).mean() / self.config.net.energy_scale)

    def _batch(self, num: int) -> Batch:
        return self.data.draw(self.processes.share(num, "batch size"), self.rng)

    def _matching_points(self) -> MatchingPoints:
        return matching_points(self._batch(self.config.warm_start.batch_size), self.config, self.rng, self.space)

    def _icd_points(self) -> IcdPoints:
        refold(self.chain_net, self.net)
        match, pos = self._batch(self.config.icd.matching_batch), self._batch(self.config.icd.batch_size)
        return icd_points(self.chain_energy, pos, match, self.buffer, self.config, self.rng, self.space)

    def _losses(self, points: MatchingPoints | IcdPoints) -> StepOutput:
        if isinstance(points, MatchingPoints):
            return matching_losses(self.net, points, self.config, self.energy_of)
        return icd_losses(self.net, points, self.config, self.space, self.energy_of)

    def _gradients(self, points: MatchingPoints | IcdPoints, measure: bool) -> StepOutput:
        """The step's losses, whose gradients are the weights' afterwards; ICD's samples are in the buffer.

        On a GPU a recording of the step is replayed, unless a step is measured, which asks for the parts.
        """
        if self._captured is not None and not measure and self._captured.fits(points):
            output = self._captured(points)
        else:
            with shared_weights(self.net):
                output = self._losses(points)
                if measure:
                    self._check(output.figures, points)
                    output.figures.update(self._gradient_figures(output))
                output.loss.backward()
            output = detached(output)
            if self._captures and not measure:
                self._captured = CapturedStep(self._losses, self.net, points)
        if output.samples is not None:
            labels = points.start.y if isinstance(points, IcdPoints) else None
            self.buffer.add(Batch(output.samples, labels), self.rng)
        return output

    def _check(self, figures: dict[str, Tensor], points: MatchingPoints | IcdPoints) -> None:
        gap = float(figures.get("energy_gap", torch.zeros(())))
        if not math.isfinite(gap) or abs(gap) > self.config.diverged_at:
            raise DivergedError(f"the energy gap is {gap:.3g} at iteration {self.iteration}", self.iteration)
        if isinstance(points, MatchingPoints):
            loss, flat = float(figures["matching"]), float(points.descent.square().mean())
            known, self._least_loss = self._least_loss, min(loss, self._least_loss)
            if not loss <= DIVERGED_LOSS * max(flat, known):  # a network may begin far above flat
                what = (
                    f"the matching loss is {loss:.3g} at iteration {self.iteration}, that of a flat energy {flat:.3g}"
                )
                raise DivergedError(what, self.iteration)

    def _gradient_figures(self, output: StepOutput) -> dict[str, Tensor]:
        """Norms over all parameters of the gradients of L_CD, L_opt, L_ent, their sum L_KL, and the matching losses.

        Where there are both, also the cosine of the angle between the gradients of L_CD and L_KL.
        """
        groups = {name: (name,) for name in ("cd", "opt", "ent", "matching", "labels")} | {"kl": ("opt", "ent")}
        grads: dict[str, Tensor] = {}
        for name, members in groups.items():
            terms = [output.terms[m] for m in members if m in output.terms]
            if terms and len(output.terms) > 1:
                parts = torch.autograd.grad(
                    torch.stack(terms).sum(),
                    list(self.net.parameters()),
                    retain_graph=True,
                    allow_unused=True,
                    materialize_grads=True,
                )
                grads[name] = torch.cat([part.flatten() for part in parts])
        figures = {f"grad_norm_{name}": grad.norm() for name, grad in grads.items()}
        if "cd" in grads and "kl" in grads:
            figures["grad_cosine"] = torch.nn.functional.cosine_similarity(grads["cd"], grads["kl"], dim=0)
        return figures


def _norm(gradients: list[Tensor | None]) -> Tensor:
    norm: Tensor = torch.stack([g.norm() for g in gradients if g is not None] or [torch.zeros(())]).norm()
    return norm


def schedule(iteration: int, progress: float, optim: OptimConfig) -> float:
    """Share of the learning rate: linear warm-up, then a half cosine from ``hold`` of the phase on to ``final_lr``.

    ``iteration`` of the phase, of which the share ``progress`` is over.
    """
    rise = min(1.0, (iteration + 1) / optim.warmup) if optim.warmup else 1.0
    fall = max(0.0, min(1.0, progress) - optim.hold) / (1 - optim.hold)
    return rise * (optim.final_lr + (1 - optim.final_lr) * 0.5 * (1 + math.cos(math.pi * fall)))
