"""No part of a network dies at the rates that the shipped configs train with."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import train
from ebm_core.config import load_toml
from ebm_core.nets.liveness import LEAST_SHARE
from ebm_core.space import SpaceConfig
from train.config import TrainConfig
from train.trainer import Trainer

CONFIGS = Path(train.__file__).parent / "configs"
ITERATIONS = 40


def trained(config):
    """A small run of three scales at the config's rates, which the schedule keeps high to the end."""
    torch.manual_seed(0)
    net = replace(config.net, image_size=16, channels=3, width=4, patch=1, layouts=("1 2d attn 2", "1 2d 2", "1 2d"))
    warm = replace(config.warm_start, iterations=10 * ITERATIONS, batch_size=8)
    warm = replace(warm, optim=replace(warm.optim, warmup=0))
    # Flat colours: the lower resolutions have as much to say as the full one.
    colours = torch.randint(256, (64, 3, 1, 1), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    config = replace(config, net=net, warm_start=warm, attribute=None, balanced=False, start_from="")
    config = replace(config, bf16=False, compile=False, space=SpaceConfig())
    trainer = Trainer(config, colours.expand(-1, -1, 16, 16).contiguous(), "cpu")
    for _ in range(ITERATIONS):
        trainer.step()
    return trainer


@pytest.mark.parametrize("name", [path.stem for path in sorted(CONFIGS.glob("*.toml"))])
def test_every_part_is_alive_at_the_configured_rates(name):
    config = load_toml(TrainConfig, CONFIGS / f"{name}.toml")
    if config.start_from:
        pytest.skip("starts from its family's network")
    trainer = trained(config)
    assert trainer.dead_scales() == []
    figures = {key: float(value) for key, value in trainer.scale_figures().items()}
    assert min(value for key, value in figures.items() if key.startswith("grad_share")) > 1e-3
    if config.net.attention:
        assert figures["attention_share0"] > LEAST_SHARE
