"""anomalib's PatchCore on the features of our detectors, where that package is installed; it is no dependency.

Its embedding, coreset of a tenth, nearest neighbours and score, all with its own defaults. The weights of its backbone
cannot be had without internet, so both sides see the same network.
"""

import time
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ebm_core.detector.model import shared_extractor
from ebm_core.features import BLOCKS

CORESET = 0.1  # share of all patches, its default
BATCH = 16


class PatchCore(NamedTuple):
    """``scores`` by the name of a set, and seconds of the processor and of the clock for fitting and judging all."""

    scores: dict[str, Tensor]
    cpu_seconds: float
    seconds: float
    version: str


def patchcore(normal: Tensor, sets: dict[str, Tensor]) -> PatchCore:
    """Fitted on pictures uint8 ``(N, 3, S, S)``, asked about ``sets`` of such. Raises ValueError without anomalib."""
    try:
        import anomalib
        from anomalib.models.image.patchcore.torch_model import PatchcoreModel
    except ImportError as error:
        raise ValueError(f"--anomalib needs a package that is missing ({error}): pip install anomalib") from error
    began, cpu_began = time.monotonic(), time.process_time()
    layers = [str(block) for block in BLOCKS]
    model = PatchcoreModel(layers, "resnet18", pre_trained=False)
    model.feature_extractor = Middle()
    model.train()
    for batch in normal.split(BATCH):
        model((batch.float() + 0.5) / 256)
    model.subsample_embedding(CORESET)
    model.eval()
    with torch.no_grad():
        scores = {
            name: torch.cat([model((batch.float() + 0.5) / 256).pred_score.flatten() for batch in u8.split(BATCH)])
            for name, u8 in sets.items()
        }
    return PatchCore(scores, time.process_time() - cpu_began, time.monotonic() - began, anomalib.__version__)


class Middle(nn.Module):
    """Activations of the middle layers by their names, as anomalib wants them."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        activations = shared_extractor().activations(x, BLOCKS, head=False)
        return {str(block): h for block, h in zip(BLOCKS, activations, strict=True)}
