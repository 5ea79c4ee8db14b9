"""Data sets as one uint8 tensor each. One file per source; ``load`` picks it by name."""

from train.data.config import DataConfig, ImageSet
from train.data.load import load

__all__ = ["DataConfig", "ImageSet", "load"]
