"""Data sets as one uint8 tensor each. One file per source; ``load`` picks it by name."""

from train.data.config import DataConfig, ImageSet, load

__all__ = ["DataConfig", "ImageSet", "load"]
