"""A convolution whose gradient with respect to the picture is differentiated fast on a GPU too."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def conv2d(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolution of ``x (B, C, H, W)`` that keeps the size, ``weight (C', C, k, k)`` with an odd ``k``.

    Training differentiates the gradient of an energy once more. torch does that with a convolution whose kernel is as
    large as the picture, for which a GPU has no fast kernel: by hand on an H100, 97 % of a step at 16x16 points. There
    ``_Convolution`` writes the inner gradient as a convolution of its own instead.
    """
    padding = weight.shape[2] // 2
    if not x.is_cuda or torch.compiler.is_compiling():
        return F.conv2d(x, weight, bias, padding=padding)
    if torch.is_autocast_enabled("cuda"):
        dtype = torch.get_autocast_dtype("cuda")
        x, weight, bias = x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    result: Tensor = _Convolution.apply(x, weight, bias)
    return result


class _Convolution(torch.autograd.Function):
    """Only for losses of the gradient with respect to ``x``: inside a backward pass that is itself recorded no gradient
    of the weights is made, since a Python function is not told whether anyone asks for it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias, padding=weight.shape[2] // 2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        (grad,), (x, weight) = grads, ctx.saved_tensors
        padding = weight.shape[2] // 2
        required = [needed and not torch.is_grad_enabled() for needed in ctx.needs_input_grad[1:]]
        of_x = F.conv_transpose2d(grad, weight, padding=padding) if ctx.needs_input_grad[0] else None
        of_weight = None
        if required[0]:
            of_weight = torch.ops.aten.convolution_backward(
                grad, x, weight, None, [1, 1], [padding] * 2, [1, 1], False, [0, 0], 1, [False, True, False]
            )[1]
        return of_x, of_weight, grad.sum(dim=(0, 2, 3)) if required[1] else None
