"""The one function that loads a data set."""

import logging

from train.data.cache import cached
from train.data.config import DataConfig, ImageSet
from train.data.sources import source_of

_log = logging.getLogger(__name__)


def load(config: DataConfig, image_size: int, channels: int = 3) -> ImageSet:
    """A data set decoded and resized, from the cache where it has been decoded before.

    Files that are no pictures are named in a warning. Raises ValueError, in one sentence, when there is nothing usable
    at its path.
    """
    source = source_of(config)
    if not config.path:
        raise ValueError(f"the data's path is empty; give --data or data.path for source '{config.source}'")
    if channels not in (1, 3):
        raise ValueError(f"images are loaded with 1 or 3 channels, the network asks for {channels}")

    def decode() -> ImageSet:
        images = source.load(config, image_size, channels)
        if len(images.images) == 0:
            raise ValueError(f"{config.path}: no images there")
        return images

    images = cached(config, image_size, channels, decode)
    for note in images.notes:
        _log.warning(note)
    return images
