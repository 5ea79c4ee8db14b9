"""A Langevin gradient as a CUDA graph: hundreds of small kernels launched as one."""

import torch
from torch import Tensor

from ebm_core.energy import EnergyFn, EnergyGradient, energy_and_grad, scale_energies

WARM_UPS = 3  # passes before the capture, in which libraries choose their kernels and workspaces


class CapturedEnergy:
    """An energy whose gradient, for batches of one shape, is recorded once and replayed.

    The weights are read where they lay at the capture: change them in place (``refold``). Other shapes go the
    ordinary way. Not for several threads at once: a replay works in fixed memory.
    """

    def __init__(self, energy: EnergyFn, example: Tensor) -> None:
        self.energy = energy
        self._x = example.detach().clone()
        side = torch.cuda.Stream(example.device)
        side.wait_stream(torch.cuda.current_stream(example.device))
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                energy_and_grad(energy, self._x)
        torch.cuda.current_stream(example.device).wait_stream(side)
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


def captured(energy: EnergyFn, example: Tensor) -> EnergyFn:
    """The energy in its fastest form for batches like ``example``: captured on CUDA, itself elsewhere."""
    return CapturedEnergy(energy, example) if example.is_cuda else energy
