"""Images that are already pixels in memory, brought to the network's size and number of channels."""

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from ebm_core.images import from_pil


def from_arrays(pixels: npt.NDArray[np.uint8], size: int, channels: int) -> Tensor:
    """``(N, H, W)`` grey or ``(N, H, W, 3)`` colour as uint8 ``(N, channels, size, size)``.

    Pixels that need no change stay bit for bit as they are; grey becomes three equal channels, colour becomes luma.
    """
    own_channels = 1 if pixels.ndim == 3 else 3
    if pixels.shape[1:3] == (size, size) and own_channels <= channels:
        tensor = torch.from_numpy(np.ascontiguousarray(pixels))
        if own_channels == 1:
            return tensor[:, None].repeat(1, channels, 1, 1)
        return tensor.permute(0, 3, 1, 2).contiguous()
    images = torch.empty(len(pixels), channels, size, size, dtype=torch.uint8)
    for image, array in zip(images, pixels):
        image.copy_(from_pil(Image.fromarray(array), size, channels))
    return images
