"""Work that does not depend on the machine: floating-point operations and bytes."""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry


class _WorkCounter(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if not func.is_view:
            moved = [t for t in tree_leaves((args, kwargs, result)) if isinstance(t, Tensor)]
            self.bytes += sum(t.numel() * t.element_size() for t in moved)
        if (count := flop_registry.get(func._overloadpacket)) is not None:
            self.flops += count(*args, **kwargs, out_val=result)
        return result


def work(action: Callable[[], Any]) -> tuple[int, int]:
    """FLOPs, and bytes that the operations read and write when each goes to memory (caches serve some of them).

    torch's own FlopCounterMode hooks into modules and cannot follow a gradient with respect to the input alone.
    """
    with _WorkCounter() as counter:
        action()
    return counter.flops, counter.bytes
