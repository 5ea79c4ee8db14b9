"""The form of a network that chains walk in: its precision and its memory layout, both chosen by a rule.

Nothing here is measured when it runs, so that the same recipe gives the same picture every time. "The same kind of
device", on which a recipe promises that, is one of the same processor or GPU with the same version of torch, in the
recipe's precision. The number of threads changes no byte of a network without norms, as all shipped ones are; with
norms the convolutions lie otherwise in memory, and their sums depend on how many threads share them. In float32 a
batch of one also sums in another order than a larger batch, so a chain is made again with as many as it ran with.
"""

import copy
from typing import Literal

import torch

from ebm_core.device import has_bf16
from ebm_core.nets import EnergyNetwork
from ebm_core.nets.folding import folded

Precision = Literal["float32", "bfloat16"]


def sampling_precision(device: str) -> Precision:
    """bfloat16 where the device multiplies it in hardware, else float32.

    Measured by hand on an AMD EPYC with AVX-512's instructions, one thread: a gradient of 16 pictures takes 46 ms
    instead of 75 (the shipped models), of 4 pictures 72 instead of 111 (the paper's CIFAR-10 network), of a single one
    15 instead of 12. The network makes no difference that would be worth another rule.
    """
    return "bfloat16" if has_bf16(device) else "float32"


def is_available(precision: Precision, device: str) -> bool:
    """Whether the device has a precision in hardware."""
    return precision == "float32" or has_bf16(device)


def precision_of(net: EnergyNetwork) -> Precision:
    """The precision that a network computes in."""
    return "bfloat16" if net.bf16 else "float32"


def for_sampling(net: EnergyNetwork, precision: Precision | None = None) -> EnergyNetwork:
    """A frozen copy for chains: folded, in the layout of ``channels_last`` and a precision, by default the device's."""
    fast = channels_last(folded(net))
    fast.bf16 = (precision or sampling_precision(_device(net))) == "bfloat16"
    return fast


def in_precision(net: EnergyNetwork, precision: Precision) -> EnergyNetwork:
    """The network in another precision; it shares the weights."""
    other = copy.copy(net)
    other.bf16 = precision == "bfloat16"
    return other


def channels_last(net: EnergyNetwork) -> EnergyNetwork:
    """Weights in the order that convolutions on a CPU are fastest in, where nothing between them prefers the other.

    Without norms it saves up to a fifth of a step (``benchmarks/README.md``), while with torch's group norm small
    batches lose more.
    """
    on_cpu = _device(net) == "cpu"
    return net.to(memory_format=torch.channels_last) if on_cpu and net.config.norm == "none" else net


def _device(net: EnergyNetwork) -> str:
    return next(net.parameters()).device.type
