"""A training run as one file: every field changes what happens, and its comment says whose value it is."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from ebm_core.arguments import Bounds
from ebm_core.attribute import Attribute
from ebm_core.config import Count, Iterations, NotNegative, Positive, Probability, check_fields
from ebm_core.files import safe_name
from ebm_core.nets import NetConfig
from ebm_core.recipe import SEED
from ebm_core.sampling import SamplePlan
from ebm_core.space import SpaceConfig
from train.data import DataConfig
from train.views import ViewsConfig

BufferKind = Literal["ring", "reservoir", "persistent"]

MAX_WIDTH = 0.28  # of a power-function average; 0.289 would weight the whole run alike


@dataclass(frozen=True)
class OptimConfig:
    """How the parameters are moved: Adam, and Muon for the matrices if wanted."""

    lr: Positive = 2e-4
    beta1: Probability = 0.0
    beta2: Probability = 0.9
    warmup: Iterations = 0  # iterations over which the learning rate rises from zero, in each phase
    final_lr: NotNegative = 1.0  # the rate falls to this share of ``lr`` along a half cosine
    hold: Annotated[float, Bounds(0, 0.999)] = (
        0.0  # share of the phase before the fall; held long, it can be lengthened
    )
    clip_norm: Positive = 0.5  # the gradient's norm is cut to this (reference code)
    muon_lr: NotNegative = 0.0  # Muon's learning rate for weight matrices; 0 = Adam moves them too (paper)
    muon_decay: NotNegative = 0.0  # of those matrices at each step, times the rate: decoupled weight decay

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class MatchingConfig:
    """What the matching loss regresses to; the warm start has nothing else, ICD may keep a share of it."""

    chain_steps: Count = 60  # steps of the plan's step size that carry noise all the way to data
    decay_from: Probability = 0.7  # t from which the target decays to 0 at the data; 1 = never (Energy Matching)
    pairing: Literal["transport", "random"] = "transport"
    # t is the sigmoid of a normal number of this mean and spread (Esser et al., arXiv:2403.03206); spread 0 = uniform.
    t_mean: Annotated[float, Bounds(-100, 100)] = 0.0  # above 0: more often near the data
    t_std: Annotated[float, Bounds(0, 100)] = 0.0
    # Shares of the sources: plain noise, noise after a transition, data after a transition.
    noise: Probability = 1.0
    moved_noise: Probability = 0.0
    moved_data: Probability = 0.0
    # Of a conditional model: how much it counts that the energy tells which of two pictures has which label. The
    # matching alone tells a smile only as far as it changes pixels; a sum of four such energies hardly smiles.
    label_weight: NotNegative = 0.0
    # Of the posterior exp(-sharpness E); 1 / LABEL_TEMPERATURE is 2,500 (ebm_core/energy.py); lower = more guidance.
    label_sharpness: NotNegative = 10_000.0

    def __post_init__(self) -> None:
        check_fields(self)
        if self.t_mean and not self.t_std:
            raise ValueError(f"t_std must be above 0 for t_mean to act; got {self.t_std}, {self.t_mean}")
        shares = (self.noise, self.moved_noise, self.moved_data)
        if abs(sum(shares) - 1) > 1e-6:
            raise ValueError(f"noise, moved_noise and moved_data are shares that sum to 1, got {shares}")


@dataclass(frozen=True)
class WarmStartConfig:
    """Phase one: matching alone, no sampling."""

    iterations: Iterations = 0
    batch_size: Count = 64
    optim: OptimConfig = field(default_factory=OptimConfig)

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class IcdConfig:
    """Phase two: improved contrastive divergence (Algorithm 1).

    The losses act on the summed energy. The reference code averages over its three scales instead, which makes
    the contrastive terms three times smaller against the entropy: to have its balance with three scales, set
    ``entropy_weight`` to 0.9.
    """

    iterations: Iterations = 0
    batch_size: Count = 128
    optim: OptimConfig = field(default_factory=OptimConfig)
    steps: Count = 40  # Langevin steps from the replayed image to the negative sample (K)
    contrastive_weight: NotNegative = 1.0  # L_CD
    opt_weight: NotNegative = 1.0  # L_opt
    kl_steps: Count = 1  # how many of the last Langevin steps L_opt and L_ent are differentiated through
    entropy_weight: NotNegative = 0.3  # L_ent
    entropy_past: Count = 100  # past samples that the nearest neighbour is looked for among
    penalty_weight: NotNegative = 1.0  # energy squared (reference code, not paper)
    matching_weight: NotNegative = 0.0  # share of the warm start's loss that is kept; 0 = the paper
    matching_batch: Count = 64
    buffer_size: Count = 10_000
    buffer_kind: BufferKind = "ring"  # persistent: chains are kept apart, few of which become old
    reinit_prob: Probability = 0.01  # a replayed image is noise instead (algorithm box; section 3.1 says 0.001)
    jolt_prob: Probability = 1.0  # a replayed image is moved first; 1 = the paper, below it plain long chains train too

    def __post_init__(self) -> None:
        check_fields(self)
        if self.kl_steps > self.steps:
            raise ValueError(f"kl_steps must be from 1 to steps ({self.steps}), got {self.kl_steps}")
        if self.batch_size > self.buffer_size:
            raise ValueError(f"batch_size {self.batch_size} exceeds buffer_size {self.buffer_size}")
        # The entropy alone will not do: the first step has no past samples for it.
        if not (self.contrastive_weight or self.opt_weight or self.penalty_weight or self.matching_weight):
            raise ValueError(
                "nothing is left to learn by: set contrastive_weight, opt_weight, penalty_weight or matching_weight "
                "above 0"
            )


@dataclass(frozen=True)
class LogConfig:
    """Cadence, in iterations."""

    scalars_every: Count = 20
    samples_every: Count = 500  # full Algorithm 2 chains from noise, drawn as a sheet
    num_samples: Count = 36
    checkpoint_every: Count = 250

    def __post_init__(self) -> None:
        check_fields(self)


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
    views: ViewsConfig = field(default_factory=ViewsConfig)  # and more looks at each of them
    balanced: bool = False  # draw rare labels as often as common ones
    seen_share: Probability = 0.0  # of the pictures drawn, those that show the attribute; 0 = as many as there are
    start_from: str = ""  # a model (its name or path) whose weights the network starts with; "" = at random
    seed: Annotated[int, SEED] = 0
    ema_decay: Probability = 0.999  # paper 0.9999 over 20,000 iterations, reference code 0.99
    # Averages of other profiles kept beside it, from which the export chooses: power functions of these relative widths
    # (EDM2, arXiv:2312.02696), which lengthen with the run.
    ema_widths: Annotated[tuple[float, ...], Bounds(0, MAX_WIDTH, open=True)] = ()
    bf16: bool = True  # autocast where the hardware has bfloat16 instructions
    compile: bool = False  # torch.compile: minutes at the start and a C++ compiler, then a quarter faster
    diverged_at: Positive = 1e4  # |energy gap| at which the run is stopped

    def __post_init__(self) -> None:
        check_fields(self)
        if self.family:
            safe_name(self.family)
        label_dim = self.attribute.label_dim if self.attribute else 0
        if self.net.label_dim != label_dim:
            labels = f"attribute '{self.attribute.name}'" if self.attribute else "no attribute"
            raise ValueError(f"net.label_dim is {self.net.label_dim}, but with {labels} it must be {label_dim}")
        if self.seen_share and not (self.attribute and self.attribute.seen_on):
            raise ValueError("'seen_share' needs an attribute with 'seen_on'; leave it out")

    @property
    def iterations(self) -> int:
        return self.warm_start.iterations + self.icd.iterations
