"""Several processes that train one model, each with its share of every batch and of the replay buffer.

Started by ``torchrun``, which sets the environment that ``Processes.join`` reads. Without it there is one
process, and every method here is the identity.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Processes:
    """This process's place among ``size`` equal ones. The methods are collective: all must call them alike."""

    rank: int = 0
    size: int = 1

    @classmethod
    def join(cls, patience: timedelta | None = None) -> "Processes":
        """Meet the processes that torchrun started; alone when it started none.

        ``patience`` is how long one waits for another before it gives up (default: that of torch, half an hour).
        """
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls()
        # Gradients travel by NCCL where they live on GPUs; checkpoints and flags are gathered in host memory.
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=patience)
        return cls(dist.get_rank(), dist.get_world_size())

    def leave(self) -> None:
        if self.size > 1:
            dist.destroy_process_group()

    @property
    def is_first(self) -> bool:
        """Whether this process writes the logs and checkpoints."""
        return self.rank == 0

    def device(self, name: str) -> str:
        """The device of this process: each on a machine has a GPU of its own."""
        return f"cuda:{os.environ['LOCAL_RANK']}" if name == "cuda" and self.size > 1 else name

    def share(self, total: int, name: str) -> int:
        """This process's part of ``total``. Raises ValueError when it does not divide evenly."""
        if total % self.size:
            raise ValueError(f"{name} {total} cannot be shared evenly by {self.size} processes; change one of the two")
        return total // self.size

    def average_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Give all processes the mean of their gradients, in place and in one message."""
        grads = [p.grad for p in parameters if p.grad is not None]
        if self.size == 1 or not grads:
            return
        flat = torch.cat([g.flatten() for g in grads])
        dist.all_reduce(flat)
        flat /= self.size
        for grad, mean in zip(grads, flat.split([g.numel() for g in grads]), strict=True):
            grad.copy_(mean.view_as(grad))

    def any(self, flag: bool) -> bool:
        """Whether the flag is up in any process."""
        if self.size == 1:
            return flag
        raised = torch.tensor(float(flag))
        dist.all_reduce(raised)
        return bool(raised > 0)

    def wait(self) -> None:
        """Until all processes are here."""
        self.any(False)

    def gather(self, value: dict[str, Any]) -> list[dict[str, Any]]:
        """The values of all processes by rank, in the first process; an empty list in the others."""
        if self.size == 1:
            return [value]
        values: list[Any] | None = [None] * self.size if self.is_first else None
        dist.gather_object(value, values)
        return values or []
