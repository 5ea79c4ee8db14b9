"""All sources by name: a new one is a module with ``SOURCES``, and its name below."""

from train.data import archive, celeba, cifar, dtd, imagenet32, lsun, mnist, svhn
from train.data.config import DataConfig, Source

MODULES = (archive, cifar, svhn, celeba, lsun, mnist, dtd, imagenet32)
SOURCES: dict[str, Source] = {source.name: source for module in MODULES for source in module.SOURCES}


def source_of(config: DataConfig) -> Source:
    """The source that a config names. Raises ValueError when there is none, or it lacks the split."""
    if config.source not in SOURCES:
        raise ValueError(f"source must be one of {', '.join(SOURCES)}; got '{config.source}'")
    source = SOURCES[config.source]
    source.check(config)
    return source
