"""Which data, what they become, and what a source of them is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from torch import Tensor


@dataclass(frozen=True)
class DataConfig:
    """A source of images; sizes and channels come from the network."""

    source: str = "zip"  # a name of ``train.data.sources``
    path: str = ""  # a zip (or several, joined by commas), or the folder that holds, or will hold, the set's files
    split: str = "train"  # of sources with official splits; for LSUN its classes, such as "bedroom_train"
    # DTD only. The whole centre square, resized; or, as the ICD reference code does, the top-left corner at full size.
    crop: Literal["centre", "top_left"] = "centre"

    def __post_init__(self) -> None:
        if self.crop not in ("centre", "top_left"):
            raise ValueError(f"crop must be 'centre' or 'top_left', got '{self.crop}'")
        if self.crop == "top_left" and self.source != "dtd":
            raise ValueError(f"crop 'top_left' is for source 'dtd' only, not for '{self.source}'; leave crop out")


class ImageSet(NamedTuple):
    """Images uint8 ``(N, C, H, W)`` and a label for each (number, list or dictionary; None where there is none)."""

    images: Tensor
    labels: list[Any]
    names: Sequence[str] = ()  # of the files, where each picture is one
    notes: Sequence[str] = ()  # what was found there and left out


class Source(NamedTuple):
    """Where images come from. A module of this package for each source exports its ``SOURCES``.

    ``load(config, image_size, channels)`` decodes all images of ``config.path``. ``splits`` are the official ones, none
    where ``path`` itself says which images; None where ``load`` reads ``config.split`` by a rule of its own.
    """

    name: str
    load: Callable[[DataConfig, int, int], ImageSet]
    pattern: str = ""  # the files of an official source below its path: others may share the folder
    splits: tuple[str, ...] | None = ()

    def check(self, config: DataConfig) -> None:
        """Raises ValueError where the config asks for a split that there is not."""
        if self.splits is None or config.split in self.splits or (not self.splits and config.split == "train"):
            return
        if self.splits:
            raise ValueError(f"'{self.name}' has the splits {', '.join(self.splits)}; got '{config.split}'")
        raise ValueError(
            f"source '{self.name}' has no splits, but split is '{config.split}'; give the split's own path instead"
        )
