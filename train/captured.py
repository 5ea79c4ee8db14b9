"""A Langevin gradient, and the gradients of a training step, as CUDA graphs: hundreds of small kernels launched as one.

On a GPU a step of a small network waits for Python: by hand on an H200, 41 ms for 256 latents, of which the kernels are
11. Recorded it takes 24; the rest is the pairing by transport, the optimiser and the averages.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from ebm_core.energy import EnergyFn, EnergyGradient, energy_and_grad, scale_energies
from ebm_core.nets.blocks import shared_weights
from train.step import StepOutput

WARM_UPS = 3  # passes before the capture, in which libraries choose their kernels and workspaces


class CapturedEnergy:
    """An energy whose gradient, for batches of one shape, is recorded once and replayed.

    The weights are read where they lay at the capture: change them in place (``refold``). Other shapes go the
    ordinary way. Not for several threads at once: a replay works in fixed memory.
    """

    def __init__(self, energy: EnergyFn, example: Tensor) -> None:
        self.energy = energy
        self._x = example.detach().clone()
        _warm_up(lambda: energy_and_grad(energy, self._x))
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._result = energy_and_grad(energy, self._x)

    def __call__(self, x: Tensor) -> Tensor:
        return self.energy(x)

    def scale_energies(self, x: Tensor) -> Tensor:
        return scale_energies(self.energy, x)

    def energy_and_grad(self, x: Tensor, *, create_graph: bool = False) -> EnergyGradient:
        """As ``ebm_core.energy.energy_and_grad``; with ``create_graph`` too the ordinary way."""
        if create_graph or x.shape != self._x.shape:
            return energy_and_grad(self.energy, x, create_graph=create_graph)
        self._x.copy_(x)
        self._graph.replay()
        return EnergyGradient(*(part.clone() for part in self._result))


P = TypeVar("P", bound=tuple[object, ...])


class CapturedStep(Generic[P]):
    """The losses of a training step at its points, and their gradients, recorded once and replayed.

    Nothing random may be inside. Points of other shapes do not fit (``fits``). The weights are read, and the results
    written, where they lay at the capture.
    """

    def __init__(self, losses: Callable[[P], StepOutput], net: nn.Module, points: P) -> None:
        self._net, self._weights = net, list(net.parameters())
        self._points = tree_map_only(Tensor, torch.clone, points)
        _warm_up(lambda: self._gradients(losses))
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._output, self._grads = self._gradients(losses)

    def fits(self, points: P) -> bool:
        return _shapes(points) == _shapes(self._points)

    def __call__(self, points: P) -> StepOutput:
        """The losses, detached; every weight has its gradient in ``grad``."""
        for own, new in zip(tree_leaves(self._points), tree_leaves(points), strict=True):
            if isinstance(own, Tensor):
                own.copy_(new)
        self._graph.replay()
        for weight, grad in zip(self._weights, self._grads, strict=True):
            weight.grad = grad
        return self._output

    def _gradients(self, losses: Callable[[P], StepOutput]) -> tuple[StepOutput, tuple[Tensor | None, ...]]:
        with shared_weights(self._net):
            output = losses(self._points)
            grads = torch.autograd.grad(output.loss, self._weights, allow_unused=True)
        return detached(output), grads


def detached(output: StepOutput) -> StepOutput:
    """The same without the graph: while one of another stream is alive, none with these weights can be recorded."""
    result: StepOutput = tree_map_only(Tensor, torch.detach, output)
    return result


def _shapes(points: object) -> list[torch.Size | None]:
    return [leaf.shape if isinstance(leaf, Tensor) else None for leaf in tree_leaves(points)]


def _warm_up(action: Callable[[], object]) -> None:
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UPS):
            action()
    torch.cuda.current_stream().wait_stream(side)


def captured(energy: EnergyFn, example: Tensor) -> EnergyFn:
    """The energy in its fastest form for batches like ``example``: captured on CUDA, itself elsewhere."""
    return CapturedEnergy(energy, example) if example.is_cuda else energy
