"""The first steps of every shipped model's chains as numbers, which the next version must give too.

``python -m tests.core.stored`` writes them anew: when a model is replaced, never because the code changed. They are
coarse figures and no digests of bytes: bytes are the same on the same kind of device alone.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from ebm_core.checkpoint import load_model
from ebm_core.compose import conditioned
from ebm_core.files import write_atomically
from ebm_core.hub import WEIGHTS, find_model, open_space, shipped_models
from ebm_core.precision import for_sampling
from ebm_core.sampling import final_state, sample

FILE = Path(__file__).with_suffix(".json")
STEPS, CHAINS = 5, 2


def figures(name: str) -> dict[str, Any]:
    """Energies of two chains after their first jolt and steps, and the mean colours of a 2x2 grid of each picture."""
    net, info = load_model(find_model(name))
    space, rng = open_space(info.space, info.net, model=find_model(name)), torch.Generator().manual_seed(0)
    label = torch.eye(info.net.label_dim)[0] if info.net.label_dim else None
    plan = replace(info.plan, rounds=1, refinement_steps=0, langevin=replace(info.plan.langevin, steps=STEPS))
    energy = conditioned(for_sampling(net, "float32"), label)
    state = final_state(sample(energy, space.noise(CHAINS, rng), plan, rng, space))
    colours = F.adaptive_avg_pool2d(space.decode(state.x), 2)
    return {"weights": info.weights, "energy": state.energy.tolist(), "colours": colours.flatten().tolist()}


def main() -> None:
    """Write the figures of all models."""
    stored = {name: figures(name) for name in shipped_models(WEIGHTS)}
    write_atomically(FILE, (json.dumps(stored, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
