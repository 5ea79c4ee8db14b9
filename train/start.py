"""A run that starts with the weights of a model that is there already."""

import logging
from dataclasses import asdict

from torch import Tensor

from ebm_core.checkpoint import load_model
from ebm_core.hub import find_model, pinned
from ebm_core.nets import EnergyNetwork
from ebm_core.space import SpaceConfig

_log = logging.getLogger(__name__)


def check_same_network(net: EnergyNetwork, weights: dict[str, Tensor]) -> None:
    """Raises ValueError, in a sentence, when ``weights`` are those of another network."""
    own = net.state_dict()
    for name in sorted(own.keys() | weights.keys()):
        if name not in own or name not in weights or own[name].shape != weights[name].shape:
            raise ValueError(f"it is of another network: '{name}' is not the same in both; give it its own [net]")


def start_from(net: EnergyNetwork, model: str, space: SpaceConfig) -> None:
    """Give ``net`` the weights of a model, by name or path; label layers, which only one of them has, stay new.

    A conditional network then starts as the unconditional one, whatever the label. Where weights of the same shapes
    mean something else, as under another kind of attention, a warning says so. Raises ValueError when the two are not
    the same network otherwise, or the model's points are not those of ``space``.
    """
    trained, info = load_model(find_model(model))
    if info.space != pinned(space):
        raise ValueError(
            f"the network cannot start from '{model}': that is an energy of {info.space.describe()}, this one of "
            f"{pinned(space).describe()}; give the config that model's own [space]"
        )
    weights = trained.state_dict()
    own = net.state_dict()
    shared = {name: tensor for name, tensor in weights.items() if name in own and own[name].shape == tensor.shape}
    unmatched = [name for name in own.keys() | weights.keys() if name not in shared and ".labels." not in name]
    if unmatched:
        raise ValueError(
            f"the network cannot start from '{model}': '{min(unmatched)}' is not the same in both; give the config "
            "that model's own [net]"
        )
    own_kinds, kinds = asdict(net.config), asdict(trained.config)
    others = [f"{key} = {kinds[key]!r}" for key in kinds if key != "label_dim" and kinds[key] != own_kinds[key]]
    if others:
        _log.warning("'%s' was trained with %s; its weights are taken into another network", model, ", ".join(others))
    net.load_state_dict(shared, strict=False)
