"""A tiny codec with nothing of it zero, and tiny models of its latents."""

from dataclasses import replace

import torch
from torch import nn

from ebm_core.checkpoint import ModelInfo, save_model
from ebm_core.codec import Codec, CodecConfig, load_codec, save_codec
from ebm_core.langevin import LangevinConfig
from ebm_core.nets import EnergyNetwork
from ebm_core.sampling import SamplePlan
from ebm_core.space import SpaceConfig
from ebm_core.transitions import TransitionConfig
from tests.conftest import TINY

CODEC = CodecConfig(16, 5, (4,), (1,), (6,), (1,))  # pictures of 16 pixels, latents (5, 8, 8)
NET = replace(TINY, channels=5)
PLAN = SamplePlan(2, 3, True, LangevinConfig(3, 1.0, 0.1), TransitionConfig(crop_min_scale=0.5))


def random_codec(seed=0, config=CODEC):
    """No block of it is the identity, as those of a new codec are, and no latent is standardised by 0 and 1."""
    torch.manual_seed(seed)
    codec = Codec(config)
    for module in codec.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
    for buffer in codec.buffers():
        nn.init.uniform_(buffer, 0.2, 0.7)
    return codec.requires_grad_(False).eval()


def save_random_codec(folder, seed=0, config=CODEC):
    """The codec as it is read from the file ``folder/codec.safetensors``."""
    save_codec(folder / "codec.safetensors", random_codec(seed, config))
    return load_codec(folder / "codec.safetensors")


def save_latent(folder, codec, **changes):
    """A tiny model of the latents of ``codec``, which it knows as 'tiny-codec'."""
    config, space = changes.pop("net", NET), SpaceConfig("tiny-codec", codec.weights)
    torch.manual_seed(1 + config.label_dim)
    net = EnergyNetwork(config)
    for name, parameter in net.named_parameters():
        if ".labels." in name:
            nn.init.normal_(parameter, std=0.5)  # so that labels matter
    info = replace(ModelInfo(net.config, PLAN, space=space), **changes)
    save_model(folder / "model.safetensors", net.state_dict(), info)
    return folder / "model.safetensors"
