"""A network for sampling: its weights fixed, and every convolution a plain one."""

import copy

import torch
from torch import nn
from torch.nn.utils import parametrize

from ebm_core.nets.blocks import StandardisedConv2d
from ebm_core.nets.network import EnergyNetwork


def folded(net: EnergyNetwork) -> EnergyNetwork:
    """A frozen copy with the same energies, whose convolutions hold the weights that training recomputes.

    Weight standardisation and spectral norm depend on no input, so a chain of hundreds of passes needs them
    once. The copy shares no memory with ``net``; ``refold`` brings it up to date.
    """
    result = copy.deepcopy(net).requires_grad_(False).eval()
    for parent in list(result.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d) and (isinstance(child, StandardisedConv2d) or _parametrised(child)):
                setattr(parent, name, _plain(child))
    return result.requires_grad_(False)


@torch.no_grad()
def refold(target: EnergyNetwork, net: EnergyNetwork) -> None:
    """Give ``target``, once made by ``folded``, the present weights of ``net``, in place.

    The addresses stay, so that a captured CUDA graph goes on with the new weights.
    """
    fixed = dict(target.named_modules())
    for name, module in net.named_modules():
        if name not in fixed:  # the parts of a parametrisation
            continue
        for key, tensor in [*fixed[name].named_parameters(recurse=False), *fixed[name].named_buffers(recurse=False)]:
            is_weight = key == "weight" and isinstance(module, nn.Conv2d)
            tensor.copy_(effective_weight(module) if is_weight else getattr(module, key))


def effective_weight(conv: nn.Conv2d) -> torch.Tensor:
    """The weight that a convolution multiplies with, ``(out, in, 3, 3)``."""
    return conv.standardised_weight() if isinstance(conv, StandardisedConv2d) else conv.weight


def _plain(conv: nn.Conv2d) -> nn.Conv2d:
    width = conv.kernel_size[0]
    plain = nn.Conv2d(conv.in_channels, conv.out_channels, width, padding=width // 2, device=conv.weight.device)
    assert plain.bias is not None  # as all convolutions of the blocks have
    assert conv.bias is not None
    with torch.no_grad():
        plain.weight.copy_(effective_weight(conv))
        plain.bias.copy_(conv.bias)
    return plain


def _parametrised(module: nn.Module) -> bool:
    return parametrize.is_parametrized(module, "weight")
