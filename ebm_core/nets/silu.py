"""SiLU whose second derivative is one pass over memory."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

CURVATURE = """
template <typename T> T silu_curvature(T x, T factor) {
  const float at = static_cast<float>(x), s = 1.0f / (1.0f + expf(-at));
  return static_cast<T>(static_cast<float>(factor) * s * (1.0f - s) * (2.0f + at * (1.0f - 2.0f * s)));
}
"""


def silu(x: Tensor) -> Tensor:
    """``x * sigmoid(x)``, to be differentiated twice at most.

    Where the gradient of an energy is differentiated once more, torch makes SiLU's own gradient of a dozen recorded
    operations, each of which reads and writes whole activations: half of the memory traffic of a training step.
    """
    # The transforms of torch.func, which a compiled gradient is made of, take no function like ours; torch asks so too.
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active() or not x.requires_grad:
        return F.silu(x)
    result: Tensor = _SiLU.apply(x)
    return result


# Both take ``ctx`` in ``forward``: with a ``setup_context`` torch reads a signature at every call, which was a
# quarter of the Python of a chain's step.
class _SiLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return F.silu(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        result: Tensor = _Gradient.apply(*ctx.saved_tensors, *grads)
        return result


class _Gradient(torch.autograd.Function):
    """``grad * silu'(x)``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, grad: Tensor) -> Tensor:
        ctx.save_for_backward(x, grad)
        result: Tensor = torch.ops.aten.silu_backward(grad, x)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (x, grad), (outer,) = ctx.saved_tensors, grads
        of_x = silu_curvature(x, grad * outer) if ctx.needs_input_grad[0] else None
        of_grad = torch.ops.aten.silu_backward(outer, x) if ctx.needs_input_grad[1] else None
        return of_x, of_grad


def silu_curvature(x: Tensor, factor: Tensor) -> Tensor:
    """``factor * silu''(x)``, elementwise."""
    if x.is_cuda:
        result: Tensor = _kernel()(x, factor)
        return result
    s = torch.sigmoid(x)
    return (2 + x * (1 - 2 * s)).mul_(s).mul_(1 - s).mul_(factor)


@cache
def _kernel() -> Callable[[Tensor, Tensor], Tensor]:
    kernel: Callable[[Tensor, Tensor], Tensor] = torch.cuda.jiterator._create_jit_fn(CURVATURE)
    return kernel
