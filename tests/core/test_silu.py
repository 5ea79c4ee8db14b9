"""The SiLU of the energies: its derivatives are those of torch's own."""

import torch
import torch.nn.functional as F

from ebm_core.nets.silu import silu


def second_order(activation, x, weight):
    energy = activation(activation(x) * weight).square().sum()
    (inner,) = torch.autograd.grad(energy, x, create_graph=True)
    return energy, inner, *torch.autograd.grad(inner.pow(3).sum() + energy, (x, weight))


def test_its_derivatives_are_torchs_own(rng):
    tensors = [torch.randn(4, 7, generator=rng, dtype=torch.float64).mul(3).requires_grad_() for _ in range(2)]
    for own, torchs in zip(second_order(silu, *tensors), second_order(F.silu, *tensors), strict=True):
        torch.testing.assert_close(own, torchs)


def test_its_second_derivative_agrees_with_finite_differences(rng):
    x = torch.randn(3, 5, generator=rng, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(silu, x)
    assert torch.autograd.gradgradcheck(silu, x)


def test_a_chain_gets_the_same_bits_as_from_torchs(rng):
    x = torch.randn(4, 7, generator=rng).requires_grad_()
    energies = [activation(x).sum() for activation in (silu, F.silu)]
    grads = [torch.autograd.grad(energy, x)[0] for energy in energies]
    assert torch.equal(*energies)
    assert torch.equal(*grads)


def test_the_transforms_of_torch_func_pass_through_it():
    x = torch.linspace(-3, 3, 7, requires_grad=True)
    (wanted,) = torch.autograd.grad(F.silu(x).sum(), x)
    assert torch.allclose(torch.func.grad(lambda x: silu(x).sum())(x), wanted)
