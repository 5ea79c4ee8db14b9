"""The optimiser of a phase: Adam, or Muon for the weight matrices and Adam for the rest."""

from typing import Any

import torch
from torch import Tensor, nn

from train.config import OptimConfig
from train.muon import Muon


class Optimiser:
    """Steps the parameters of a network; one learning-rate schedule scales all of its parts.

    With ``muon_lr`` the weights of convolutions and linear layers, as matrices ``(out, in * k * k)``, are moved
    by orthogonalised momentum (Jordan et al., 2024), and only gains, biases and vectors by
    Adam. Under the warm start that halves the loss at equal time (measured by hand on 2026-11-23, kept in no report).
    """

    def __init__(self, net: nn.Module, config: OptimConfig) -> None:
        self.parameters = list(net.parameters())
        matrices = [p for p in self.parameters if config.muon_lr and _is_matrix(p)]
        chosen = {id(p) for p in matrices}
        vectors = [p for p in self.parameters if id(p) not in chosen]
        self._parts: list[torch.optim.Optimizer] = [
            torch.optim.Adam(vectors, lr=config.lr, betas=(config.beta1, config.beta2), fused=True)
        ]
        if matrices:
            self._parts.append(Muon(matrices, config.muon_lr, config.muon_decay))
        self._rates = [config.lr, config.muon_lr][: len(self._parts)]
        self._clip_norm = config.clip_norm

    def zero_grad(self) -> None:
        for p in self.parameters:
            p.grad = None

    def clip(self) -> Tensor:
        """Cut the gradients' common norm to the config's; gives the norm before."""
        return torch.nn.utils.clip_grad_norm_(self.parameters, self._clip_norm)

    def step(self, share: float) -> None:
        """Step at ``share`` of each learning rate."""
        for part, rate in zip(self._parts, self._rates, strict=True):
            for group in part.param_groups:
                group["lr"] = rate * share
            part.step()

    def state_dict(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises ValueError when the state is of another kind of optimiser or network."""
        if len(state["parts"]) != len(self._parts):
            raise ValueError("the checkpoint's optimiser is of another kind: muon_lr was changed between 0 and not 0")
        for part, saved in zip(self._parts, state["parts"], strict=True):
            part.load_state_dict(saved)


def _is_matrix(parameter: Tensor) -> bool:
    # A head of one row has no other rows to be orthogonal to.
    return parameter.dim() >= 2 and parameter.shape[0] > 1
