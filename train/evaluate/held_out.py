"""The matching loss on pictures that training never saw: quick, and comparable between runs."""

from dataclasses import replace

import torch
from torch import Tensor

from ebm_core.nets import EnergyNetwork
from ebm_core.space import Space
from train.batch import Batch
from train.config import TrainConfig
from train.step import matching_step

SEED = 20_201_202  # of noise, pairing and t: the same in every run
BATCH = 64


def held_out_loss(
    net: EnergyNetwork, config: TrainConfig, images: Tensor, space: Space, labels: Tensor | None = None, num: int = 256
) -> float:
    """Mean over the first ``num`` of ``images``, uint8 ``(N, C, H, W)``, at fixed noise and uniform ``t``.

    The sources and the decay are the config's; how it draws ``t`` is not, so that runs which differ there compare.
    """
    even = replace(config, matching=replace(config.matching, t_mean=0.0, t_std=0.0, label_weight=0.0))
    rng = torch.Generator(images.device).manual_seed(SEED)
    total, num = 0.0, min(num, len(images))
    for start in range(0, num, BATCH):
        part = slice(start, min(start + BATCH, num))
        batch = Batch(space.encode(images[part], rng), None if labels is None else labels[part])
        # Weighted by pictures: the last batch may have fewer.
        total += len(batch.x) * matching_step(net, batch, even, rng, space).figures["matching"].double().item()
    return total / num
