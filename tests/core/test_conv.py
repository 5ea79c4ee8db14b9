"""The convolution that a GPU differentiates fast: its gradients are those of torch's own."""

import pytest
import torch
import torch.nn.functional as F

from ebm_core.nets.conv import _Convolution, conv2d


def second_order(convolve, x, weight, bias):
    """Gradients of a loss of an inner gradient, as training takes them."""
    energy = F.silu(convolve(x, weight, bias)).square().sum()
    (inner,) = torch.autograd.grad(energy, x, create_graph=True)
    return torch.autograd.grad(inner.pow(3).sum() + energy, (x, weight, bias))


@pytest.mark.parametrize("width", [1, 3])
def test_gradients_of_the_inner_gradient_are_torchs_own(width, rng):
    def draw(*shape):
        return torch.randn(shape, generator=rng, dtype=torch.float64).requires_grad_()

    tensors = draw(2, 4, 6, 6), draw(5, 4, width, width), draw(5)
    for own, torchs in zip(second_order(_Convolution.apply, *tensors), second_order(conv2d, *tensors), strict=True):
        torch.testing.assert_close(own, torchs)


def test_weights_held_fixed_get_no_gradient(rng):
    x, weight = torch.randn(1, 2, 4, 4, generator=rng).requires_grad_(), torch.randn(2, 2, 3, 3, generator=rng)
    _Convolution.apply(x, weight, None).sum().backward()
    expected = F.conv_transpose2d(torch.ones(1, 2, 4, 4), weight, padding=1)
    torch.testing.assert_close(x.grad, expected)
    assert weight.grad is None


@pytest.mark.parametrize("width", [1, 3])
def test_on_a_cpu_it_is_torchs_convolution(width, rng):
    x, weight = torch.randn(2, 3, 5, 5, generator=rng), torch.randn(4, 3, width, width, generator=rng)
    assert torch.equal(conv2d(x, weight, None), F.conv2d(x, weight, padding=width // 2))
