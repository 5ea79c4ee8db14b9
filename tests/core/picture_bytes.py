"""Pictures as the bytes of a file, and the sentence of one that is refused."""

import pytest
import torch

from ebm_core import images
from ebm_core.pictures import PictureError, read_picture

SIZE = 8


def pixels(seed=0, size=SIZE, channels=3):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (channels, size, size), generator=generator, dtype=torch.uint8)


def encoded(format="PNG", mode=None, seed=0, **options):
    image = images.to_pil(pixels(seed))
    return images.encode(image.convert(mode) if mode else image, format, **options)


def refusal(data, **options):
    with pytest.raises(PictureError) as caught:
        read_picture(data, SIZE, **options)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)
