"""The training objective, term by term, as pure functions. Equation numbers are those of ICD."""

from collections.abc import Callable

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.func import functional_call

from ebm_core.energy import energy_and_grad


def contrastive_divergence(e_pos: Tensor, e_neg: Tensor) -> Tensor:
    """L_CD (eq. 5): energies of data ``e_pos (B,)`` down, of samples ``e_neg (B,)`` up."""
    return e_pos.mean() - e_neg.mean()


def sampler_energy(net: nn.Module, x_tilde: Tensor, y: Tensor | None = None) -> Tensor:
    """L_opt (eq. 7): mean energy of the sampler's output under the energy with its parameters held fixed.

    The gradient reaches the parameters only through ``x_tilde``, a differentiable function of them.
    """
    fixed = {name: p.detach() for name, p in net.named_parameters()}
    energy: Tensor = functional_call(net, fixed, (x_tilde, y) if y is not None else (x_tilde,))
    return energy.mean()


def entropy(x_tilde: Tensor, past: Tensor, eps: float = 1e-6) -> Tensor:
    """H (eq. 8), up to a constant: mean log distance of each sample to its nearest neighbour.

    ``x_tilde (B, ...)`` against ``past (N, ...)``, Euclidean distance over all pixels. ``eps`` keeps a sample
    that equals a past one from an infinite gradient. The loss L_ent is minus this.
    """
    distances = torch.cdist(x_tilde.flatten(1), past.flatten(1), compute_mode="donot_use_mm_for_euclid_dist")
    return (distances.amin(dim=1) + eps).log().mean()


def energy_penalty(e_pos: Tensor, e_neg: Tensor) -> Tensor:
    """Mean square of the energies of both kinds (reference code, not paper): keeps their level from drifting."""
    return (e_pos.square() + e_neg.square()).mean()


def pair_by_transport(x_source: Tensor, x_data: Tensor, y: Tensor | None = None) -> Tensor:
    """Data in the order that pairs them with the sources at the least total squared distance.

    Minibatch optimal transport, as in Energy Matching (arXiv:2504.10612); exact, by scipy. With labels ``y`` only
    data of equal labels change places: else the noise that a label's chains start from in training would be another
    than the noise they start from in use.
    """
    cost = torch.cdist(x_source.flatten(1).float(), x_data.flatten(1).float()).square()
    if y is not None:
        cost = cost + x_data[0].numel() * len(x_data) * torch.cdist(y, y).gt(0)  # more than any pairing could save
    _, columns = linear_sum_assignment(cost.cpu().numpy())
    return x_data[torch.as_tensor(columns, device=x_data.device)]


def decay(t: Tensor, decay_from: float) -> Tensor:
    """c(t) of Equilibrium Matching (arXiv:2510.02300): 1 until ``decay_from``, then linearly to 0 at t = 1.

    With it data are resting points; without it (``decay_from`` = 1) chains run past them.
    """
    if decay_from >= 1:
        return torch.ones_like(t)
    return ((1 - t) / (1 - decay_from)).clamp(max=1)


def matching_loss(
    energy: Callable[[Tensor], Tensor], x_source: Tensor, x_data: Tensor, t: Tensor, *, reach: float, decay_from: float
) -> Tensor:
    """Mean squared error, per pixel, of the descent direction on straight paths from sources to data.

    At ``x_t = (1 - t) x_source + t x_data`` (``t (B,)`` in [0, 1]) the energy should fall towards the data:
    ``-reach * grad E(x_t) = c(t) (x_data - x_source)``. ``reach`` = step size times the steps a chain needs, so
    a chain of that many steps goes the whole way.
    """
    c, t = decay(t, decay_from)[:, None, None, None], t[:, None, None, None]
    x_t = (1 - t) * x_source + t * x_data
    grad = energy_and_grad(energy, x_t.requires_grad_(), create_graph=True).grad
    return (reach * grad + c * (x_data - x_source)).square().mean()
