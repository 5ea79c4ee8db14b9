"""What contrastive divergence minimises, for whoever trains an energy. Equation numbers are those of ICD."""

from torch import Tensor


def contrastive_divergence(e_pos: Tensor, e_neg: Tensor) -> Tensor:
    """L_CD (eq. 5): energies of data ``e_pos (B,)`` down, of samples ``e_neg (B,)`` up."""
    return e_pos.mean() - e_neg.mean()


def energy_penalty(e_pos: Tensor, e_neg: Tensor) -> Tensor:
    """Mean square of the energies of both kinds (reference code, not paper): keeps their level from drifting."""
    return (e_pos.square() + e_neg.square()).mean()
