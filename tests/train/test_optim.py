"""Adam and Muon: which parameters each moves, and by how much."""

import pytest
import torch
from torch import nn

from train.config import OptimConfig
from train.optim import Optimiser


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.Linear(16, 1))


def moves(net, optimiser):
    before = [p.detach().clone() for p in net.parameters()]
    optimiser.zero_grad()
    net(torch.rand(5, 2, 4, 4)).square().sum().backward()
    optimiser.clip()
    optimiser.step(0.5)
    return [p.detach() - b for p, b in zip(net.parameters(), before)]


def test_without_muon_every_parameter_moves_as_under_adam():
    net = network()
    for move in moves(net, Optimiser(net, OptimConfig(lr=0.01, clip_norm=1e9))):
        torch.testing.assert_close(move.abs(), torch.full_like(move, 0.005))  # Adam's first step is the rate


def test_muon_moves_matrices_by_an_orthogonal_step_and_leaves_the_rest_to_adam():
    net = network()
    kernel, bias, head, head_bias = moves(net, Optimiser(net, OptimConfig(lr=0.01, muon_lr=0.1, clip_norm=1e9)))
    for move in (bias, head, head_bias):
        torch.testing.assert_close(move.abs(), torch.full_like(move, 0.005))
    # Newton-Schulz brings the singular values near one; the step is scaled to the RMS of an Adam step of 0.2 lr.
    singular = torch.linalg.svdvals(kernel.flatten(1)) / (0.5 * 0.1 * 0.2 * 18**0.5)
    assert singular.min() > 0.6
    assert singular.max() < 1.3


def test_muon_moves_kernels_with_channels_last_by_the_same_step():
    config = OptimConfig(lr=0.01, muon_lr=0.1, clip_norm=1e9)
    net, last = network(), network().to(memory_format=torch.channels_last)
    assert last[0].weight.is_contiguous(memory_format=torch.channels_last)
    steps = [moves(n, Optimiser(n, config))[0] for n in (net, last) if torch.manual_seed(1)]
    assert steps[0].abs().min() > 0
    torch.testing.assert_close(steps[1], steps[0], atol=1e-3, rtol=5e-2)  # Newton-Schulz may run in bfloat16


def test_the_norm_is_that_before_clipping():
    net = network()
    optimiser = Optimiser(net, OptimConfig(clip_norm=1e-3))
    net(torch.rand(5, 2, 4, 4)).sum().backward()
    norm = torch.stack([p.grad.norm() for p in net.parameters()]).norm()
    assert float(optimiser.clip()) == pytest.approx(float(norm))
    assert float(torch.stack([p.grad.norm() for p in net.parameters()]).norm()) == pytest.approx(1e-3, rel=1e-3)


def test_a_state_of_the_other_kind_is_refused():
    net = network()
    state = Optimiser(net, OptimConfig()).state_dict()
    with pytest.raises(ValueError, match="muon_lr was changed"):
        Optimiser(net, OptimConfig(muon_lr=0.1)).load_state_dict(state)


def test_muon_is_that_of_torch():
    from train.muon import Muon

    torch.manual_seed(1)
    ours, theirs = (torch.nn.Parameter(m) for m in torch.randn(6, 40).repeat(2, 1, 1).unbind())
    both = Muon([ours], 0.1), torch.optim.Muon([theirs], 0.1, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    for _ in range(3):
        ours.grad = theirs.grad = torch.randn(6, 40)
        for optimiser in both:
            optimiser.step()
    torch.testing.assert_close(ours, theirs, atol=0.02, rtol=0)  # theirs has three digits, on steps of 0.1


def test_tall_matrices_are_orthogonalised_too():
    from train.muon import orthogonalised

    matrix = torch.randn(30, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(orthogonalised(matrix), orthogonalised(matrix.T).T)
    both = orthogonalised(torch.stack([matrix, -2 * matrix]))
    torch.testing.assert_close(both, torch.stack([orthogonalised(matrix), -orthogonalised(matrix)]))
    values = torch.linalg.svdvals(orthogonalised(matrix))
    assert values.min() > 0.6
    assert values.max() < 1.3
