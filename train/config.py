"""A training run as one file: every field changes what happens, and its comment says whose value it is."""

from dataclasses import dataclass, field
from typing import Any, Literal

from ebm_core.arguments import COUNT, POSITIVE, Bounds, whole
from ebm_core.attribute import Attribute
from ebm_core.files import safe_name
from ebm_core.nets import NetConfig
from ebm_core.recipe import SEED
from ebm_core.sampling import SamplePlan
from ebm_core.space import SpaceConfig
from train.data import DataConfig

MAX_WIDTH = 0.28  # of a power-function average; 0.289 would weight the whole run alike


def check(config: Any, bounds: Bounds, *names: str) -> None:
    """Raises ValueError for the first of the fields that is out of bounds."""
    for name in names:
        bounds.check(getattr(config, name), name)


@dataclass(frozen=True)
class OptimConfig:
    """How the parameters are moved: Adam, and Muon for the matrices if wanted."""

    lr: float = 2e-4
    beta1: float = 0.0
    beta2: float = 0.9
    warmup: int = 0  # iterations over which the learning rate rises from zero, in each phase
    final_lr: float = 1.0  # the rate falls to this share of ``lr`` along a half cosine
    hold: float = 0.0  # share of the phase before the fall begins; a run that holds long can be lengthened
    clip_norm: float = 0.5  # the gradient's norm is cut to this (reference code)
    muon_lr: float = 0.0  # Muon's learning rate for weight matrices; 0 = Adam moves them too (paper)
    muon_decay: float = 0.0  # of those matrices at each step, times the rate: decoupled weight decay

    def __post_init__(self) -> None:
        check(self, POSITIVE, "lr", "clip_norm")
        check(self, Bounds(0), "muon_lr", "muon_decay", "final_lr")
        check(self, Bounds(0, 1), "beta1", "beta2")
        check(self, whole(0), "warmup")
        if not 0 <= self.hold < 1:
            raise ValueError(f"hold is a share of the phase from 0 to below 1, got {self.hold}")


@dataclass(frozen=True)
class MatchingConfig:
    """What the matching loss regresses to; the warm start has nothing else, ICD may keep a share of it."""

    chain_steps: int = 60  # steps of the plan's step size that carry noise all the way to data
    decay_from: float = 0.7  # t from which the target decays to 0 at the data; 1 = never (Energy Matching)
    pairing: Literal["transport", "random"] = "transport"
    alignment: float = 0.0  # weight of the alignment of a middle layer with frozen features of the clean picture
    # t is the sigmoid of a normal number of this mean and spread (Esser et al., arXiv:2403.03206); spread 0 = uniform.
    t_mean: float = 0.0  # above 0: more often near the data
    t_std: float = 0.0
    # Shares of the sources: plain noise, noise after a transition, data after a transition.
    noise: float = 1.0
    moved_noise: float = 0.0
    moved_data: float = 0.0
    # Of a conditional model: how much it counts that the energy tells which of two pictures has which label. The
    # matching alone tells a smile only as far as it changes pixels; a sum of four such energies hardly smiles.
    label_weight: float = 0.0
    # Of the posterior exp(-sharpness E); 1 / LABEL_TEMPERATURE is 2,500 (ebm_core/energy.py); lower = more guidance.
    label_sharpness: float = 10_000.0

    def __post_init__(self) -> None:
        if self.t_std < 0 or (self.t_mean and not self.t_std):
            raise ValueError(f"t_std must be 0 or more, and above 0 for t_mean to act; got {self.t_std}, {self.t_mean}")
        shares = (self.noise, self.moved_noise, self.moved_data)
        if min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
            raise ValueError(f"noise, moved_noise and moved_data are shares that sum to 1, got {shares}")


@dataclass(frozen=True)
class WarmStartConfig:
    """Phase one: matching alone, no sampling."""

    iterations: int = 0
    batch_size: int = 64
    optim: OptimConfig = field(default_factory=OptimConfig)

    def __post_init__(self) -> None:
        check(self, whole(0), "iterations")
        check(self, COUNT, "batch_size")


@dataclass(frozen=True)
class IcdConfig:
    """Phase two: improved contrastive divergence (Algorithm 1).

    The losses act on the summed energy. The reference code averages over its three scales instead, which makes
    the contrastive terms three times smaller against the entropy: to have its balance with three scales, set
    ``entropy_weight`` to 0.9.
    """

    iterations: int = 0
    batch_size: int = 128
    optim: OptimConfig = field(default_factory=OptimConfig)
    steps: int = 40  # Langevin steps from the replayed image to the negative sample (K)
    contrastive_weight: float = 1.0  # L_CD
    opt_weight: float = 1.0  # L_opt
    kl_steps: int = 1  # how many of the last Langevin steps L_opt and L_ent are differentiated through
    entropy_weight: float = 0.3  # L_ent
    entropy_past: int = 100  # past samples that the nearest neighbour is looked for among
    penalty_weight: float = 1.0  # energy squared (reference code, not paper)
    matching_weight: float = 0.0  # share of the warm start's loss that is kept; 0 = the paper
    matching_batch: int = 64
    buffer_size: int = 10_000
    buffer_kind: Literal["ring", "reservoir"] = "ring"
    reinit_prob: float = 0.01  # a replayed image is noise instead (algorithm box; section 3.1 says 0.001)

    def __post_init__(self) -> None:
        check(self, whole(0), "iterations", "entropy_past")
        check(self, COUNT, "batch_size", "matching_batch", "buffer_size")
        check(self, Bounds(0, 1), "reinit_prob")
        if not 1 <= self.kl_steps <= self.steps:
            raise ValueError(f"kl_steps must be from 1 to steps ({self.steps}), got {self.kl_steps}")
        if self.batch_size > self.buffer_size:
            raise ValueError(f"batch_size {self.batch_size} exceeds buffer_size {self.buffer_size}")


@dataclass(frozen=True)
class LogConfig:
    """Cadence, in iterations."""

    scalars_every: int = 20
    samples_every: int = 500  # full Algorithm 2 chains from noise, drawn as a sheet
    num_samples: int = 36
    checkpoint_every: int = 250

    def __post_init__(self) -> None:
        check(self, COUNT, "scalars_every", "samples_every", "num_samples", "checkpoint_every")


@dataclass(frozen=True)
class TrainConfig:
    """One run: data, network, the plan that samples it, and the two phases."""

    data: DataConfig
    net: NetConfig
    space: SpaceConfig = field(default_factory=SpaceConfig)
    plan: SamplePlan = field(default_factory=SamplePlan)
    matching: MatchingConfig = field(default_factory=MatchingConfig)
    warm_start: WarmStartConfig = field(default_factory=WarmStartConfig)
    icd: IcdConfig = field(default_factory=IcdConfig)
    log: LogConfig = field(default_factory=LogConfig)
    family: str = ""  # models of one family are trained on the same data and may be mixed
    attribute: Attribute | None = None  # what a conditional model is told of each picture
    mirror: bool = False  # learn each picture's mirror image too
    balanced: bool = False  # draw rare labels as often as common ones
    start_from: str = ""  # a model (its name or path) whose weights the network starts with; "" = at random
    seed: int = 0
    ema_decay: float = 0.999  # paper 0.9999 over 20,000 iterations, reference code 0.99
    # Averages of other profiles kept beside it, from which the export chooses: power functions of these relative widths
    # (EDM2, arXiv:2312.02696), which lengthen with the run.
    ema_widths: tuple[float, ...] = ()
    bf16: bool = True  # autocast where the hardware has bfloat16 instructions
    compile: bool = False  # torch.compile: minutes at the start and a C++ compiler, then a quarter faster
    diverged_at: float = 1e4  # |energy gap| at which the run is stopped

    def __post_init__(self) -> None:
        check(self, SEED, "seed")
        check(self, Bounds(0, 1), "ema_decay")
        check(self, POSITIVE, "diverged_at")
        if self.family:
            safe_name(self.family)
        wanted = self.attribute.label_dim if self.attribute else 0
        if self.net.label_dim != wanted:
            told = f"attribute '{self.attribute.name}'" if self.attribute else "no attribute"
            raise ValueError(f"net.label_dim is {self.net.label_dim}, but with {told} it must be {wanted}")
        if any(not 0 < width < MAX_WIDTH for width in self.ema_widths):
            raise ValueError(f"ema_widths are relative widths between 0 and {MAX_WIDTH}, got {self.ema_widths}")

    @property
    def iterations(self) -> int:
        return self.warm_start.iterations + self.icd.iterations
