"""What contrastive divergence with old chains promises of the shipped weights: who walks on stays with the data."""

import torch

from ebm_core.calibration import open_calibration
from ebm_core.checkpoint import load_model
from ebm_core.hub import find_model, open_space
from ebm_core.precision import for_sampling
from ebm_core.sampling import final_state, sample

STEPS, CHAINS = 400, 4  # five times what the energy was first made for; before, 30 % were saturated after 300


def test_plain_chains_of_cifar10_stay_at_the_energies_of_held_out_pictures():
    path = find_model("cifar10")
    net, info = load_model(path)
    space, rng = open_space(info.space, info.net, model=path), torch.Generator().manual_seed(0)
    noise = space.noise(CHAINS, rng)
    state = final_state(sample(for_sampling(net, "float32"), noise, info.plan.refining(STEPS), rng, space))
    calibration = open_calibration(path, info)
    assert calibration is not None
    low, high = calibration.threshold("energy", 0.95), calibration.threshold("energy", 0.05)
    spread = (high - low) / 3.3  # of a normal distribution
    assert float(state.energy.mean()) > calibration.energy_median - 4 * spread
    picture = space.decode(state.x)
    assert float(((picture <= 0) | (picture >= 1)).float().mean()) < 0.1
