"""Langevin dynamics on an energy, as a generator of states.

One loop serves everybody: the trainer drains it, the browser draws each state of it.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Annotated, NamedTuple, TypeVar

import torch
from torch import Tensor

from ebm_core.arguments import Bounds, whole
from ebm_core.config import Positive, check_fields
from ebm_core.energy import EnergyFn, energy_and_grad

R = TypeVar("R")
Keep = Callable[[Tensor], Tensor]  # what becomes of points after a step: back within a space's limits, or ``free``

CHECK_EVERY = 32  # steps between two looks at whether a chain on an accelerator is still finite
NEVER = 2**31 - 1  # no step has this number


class NonFiniteEnergyError(ValueError):
    """An energy or gradient became NaN or infinite; the message has the step number."""


@dataclass(frozen=True)
class LangevinConfig:
    """``x <- keep(x + noise_std * n - step_size * grad E(x))`` with ``n ~ N(0, I)``, ``steps`` times.

    Where nothing is kept back and for small steps the chain samples ``exp(-E / T)`` at the ``temperature`` T.
    """

    steps: Annotated[int, whole(0, 10**6)] = 60
    step_size: Positive = 100.0  # CIFAR-10; 500 for CelebA-HQ, 1000 for objects (reference code)
    noise_std: Annotated[float, Bounds(0, 1e6)] = 0.001
    # The paper's equation adds noise after the gradient is taken; the reference code adds it before.
    noise_before_gradient: bool = False

    @property
    def temperature(self) -> float:
        """T of the density ``exp(-E / T)`` that the chain samples, in the unit of ``ebm_core.energy``."""
        return self.noise_std**2 / (2 * self.step_size)

    def with_step_size(self, step_size: float) -> "LangevinConfig":
        """As many steps of another size, with the noise of the same temperature."""
        return replace(self, step_size=step_size, noise_std=self.noise_std * (step_size / self.step_size) ** 0.5)

    def __post_init__(self) -> None:
        check_fields(self)


class ChainState(NamedTuple):
    """A chain of ``B`` points before its step number ``step``: all figures belong to this very ``x``.

    ``x (B, ...)``, ``energy (B,)``, ``scale_energies (B, S)``, ``grad_norm (B,)`` (Euclidean norm of the
    energy's gradient), none with a graph.
    """

    step: int
    x: Tensor
    energy: Tensor
    scale_energies: Tensor
    grad_norm: Tensor


def evaluate_state(energy: EnergyFn, x: Tensor, step: int) -> tuple[ChainState, Tensor]:
    """The state of a chain at ``x`` and the energy's gradient there.

    Raises NonFiniteEnergyError, with the step, instead of letting a NaN spread through the images.
    """
    check = FiniteCheck()
    state, grad = _evaluate(energy, x, step, check)
    check.finish()
    return state, grad


def _evaluate(energy: EnergyFn, x: Tensor, step: int, check: "FiniteCheck") -> tuple[ChainState, Tensor]:
    result = energy_and_grad(energy, x)
    grad_norm: Tensor = torch.linalg.vector_norm(result.grad.flatten(1), dim=1)
    check.add(step, result.energy + grad_norm)
    return ChainState(step, x, result.energy, result.scale_energies, grad_norm), result.grad


class FiniteCheck:
    """Finds the first step at which a number is not finite and raises NonFiniteEnergyError for it.

    On the CPU at once. Reading a number back from an accelerator makes the host wait and the device idle, so
    there it is done every so many steps and at the end of the chain; the message names the step all the same.
    """

    def __init__(self, every: int | None = None) -> None:
        self._every = every
        self._first_bad: Tensor | None = None

    def add(self, step: int, figures: Tensor) -> None:
        bad = torch.where(torch.isfinite(figures).all(), NEVER, step)
        self._first_bad = bad if self._first_bad is None else torch.minimum(self._first_bad, bad)
        every = self._every or (1 if figures.device.type == "cpu" else CHECK_EVERY)
        if (step + 1) % every == 0:
            self.finish()

    def finish(self) -> None:
        step = NEVER if self._first_bad is None else int(self._first_bad)
        if step != NEVER:
            raise NonFiniteEnergyError(
                f"the energy or its gradient is not a finite number at step {step}; use a smaller step size, or "
                "another checkpoint if the step size is the model's own"
            )


def langevin_update(x: Tensor, grad: Tensor, noise: Tensor | None, config: LangevinConfig, keep: Keep) -> Tensor:
    """One update of Langevin dynamics; ``noise`` is standard normal, None when it was added before."""
    x = x - config.step_size * grad
    if noise is not None:
        x = x + config.noise_std * noise
    return keep(x)


def langevin_chain(
    energy: EnergyFn, x: Tensor, config: LangevinConfig, rng: torch.Generator, keep: Keep, *, first_step: int = 0
) -> Generator[ChainState, None, Tensor]:
    """Yields the state before each of ``config.steps`` steps and returns the points after the last one.

    Energies are never evaluated twice: whoever continues from the returned points evaluates them first.
    """
    check = FiniteCheck()
    for step in range(first_step, first_step + config.steps):
        noise = standard_normal(x, rng)
        if config.noise_before_gradient:
            x = x + config.noise_std * noise
        state, grad = _evaluate(energy, x, step, check)
        yield state
        x = langevin_update(x, grad, None if config.noise_before_gradient else noise, config, keep)
    check.finish()
    return x


def differentiable_step(energy: EnergyFn, x: Tensor, noise: Tensor, config: LangevinConfig, keep: Keep) -> Tensor:
    """One Langevin step with standard normal ``noise``, a differentiable function of the energy's parameters (eq. 7).

    Where ``x`` itself carries a graph, so does the result through it: repeated calls differentiate through the
    whole chain.
    """
    if config.noise_before_gradient:
        x = x + config.noise_std * noise
    grad = energy_and_grad(energy, x, create_graph=True).grad
    return langevin_update(x, grad, None if config.noise_before_gradient else noise, config, keep)


def standard_normal(x: Tensor, rng: torch.Generator) -> Tensor:
    """Noise shaped like ``x`` from the given generator."""
    return torch.randn(x.shape, generator=rng, device=x.device, dtype=x.dtype)


def drain(chain: Generator[ChainState, None, R]) -> R:
    """Run a generator of states to its end and give what it returns."""
    while True:
        try:
            next(chain)
        except StopIteration as end:
            result: R = end.value
            return result
