"""The training objective beyond ``ebm_core.contrastive``, term by term, as pure functions; equations are ICD's."""

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.func import functional_call


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


def pair_by_transport(x_source: Tensor, x_data: Tensor, y: Tensor | None = None) -> Tensor:
    """Data in the order that pairs them with the sources at the least total squared distance.

    Minibatch optimal transport, as in Energy Matching (arXiv:2504.10612); exact, by scipy. With labels ``y`` only
    data of equal labels change places: else the noise that a label's chains start from in training would be another
    than the noise they start from in use.
    """
    cost = torch.cdist(x_source.flatten(1).float(), x_data.flatten(1).float()).square()
    if y is not None:
        differ = (y[:, None] != y).any(dim=2)  # exactly: ``cdist`` rounds a label's distance to itself to 5e-4
        cost = cost + (cost.amax() + 1) * len(x_data) * differ  # more than any pairing could save
    _, columns = linear_sum_assignment(cost.cpu().numpy())
    return x_data[torch.as_tensor(columns, device=x_data.device)]


def decay(t: Tensor, decay_from: float) -> Tensor:
    """c(t) of Equilibrium Matching (arXiv:2510.02300): 1 until ``decay_from``, then linearly to 0 at t = 1.

    With it data are resting points; without it (``decay_from`` = 1) chains run past them.
    """
    if decay_from >= 1:
        return torch.ones_like(t)
    return ((1 - t) / (1 - decay_from)).clamp(max=1)


def straight_path(x_source: Tensor, x_data: Tensor, t: Tensor, decay_from: float) -> tuple[Tensor, Tensor]:
    """``x_t = (1 - t) x_source + t x_data``, ``t (B,)`` in [0, 1], and the way down from there: c(t) times the path."""
    c, t = decay(t, decay_from)[:, None, None, None], t[:, None, None, None]
    return (1 - t) * x_source + t * x_data, c * (x_data - x_source)


def matching_loss(grad: Tensor, descent: Tensor, reach: float) -> Tensor:
    """Mean squared error, per pixel, of the descent direction: ``-reach * grad E(x_t)`` should be ``descent``.

    ``reach`` = step size times the steps a chain needs, so a chain of that many steps goes the whole way.
    """
    return (reach * grad + descent).square().mean()


def mates_by_time(t: Tensor) -> Tensor:
    """A partner for each picture of a path, ``(B,)``, from the next ``t (B,)``; i is the mate of its mate, one may be
    its own.

    Two pictures as far from data as each other: in a picture that is mostly noise no label can be told, and in a pair
    it would spoil the other.
    """
    pairs = t.argsort()[: len(t) // 2 * 2].view(-1, 2)
    mates = torch.arange(len(t), device=t.device)
    mates[pairs[:, 0]], mates[pairs[:, 1]] = pairs[:, 1], pairs[:, 0]
    return mates


def label_contrast(energy: Tensor, swapped: Tensor, mates: Tensor, differ: Tensor, sharpness: float) -> Tensor:
    """How badly the energy tells which of two pictures has which of their two labels.

    ``energy (B,)`` with the own label, ``swapped (B,)`` with that of the mate ``mates (B,)``, ``differ (B,)`` where
    the two are not the same. ``-log p`` of the true pairing under the posterior ``p(y | x) ~ exp(-sharpness E(x, y))``
    that a conditional energy implies (JEM, arXiv:1912.03263); the pairing's, so that it is the same for classes and
    for numbers, and because what a label adds to the energies of all pictures alike drops out of it. Against a single
    label that sum is a stiff direction in which training swings without learning. Neither in the paper nor in its code.
    """
    gain = energy + energy[mates] - swapped - swapped[mates]
    losses = torch.nn.functional.softplus(sharpness * gain)
    return (losses * differ).sum() / differ.sum().clamp(min=1)
