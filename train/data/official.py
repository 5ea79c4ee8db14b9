"""What the sources with an official distribution share: their folder, errors in one sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from train.data.config import DataConfig

T = TypeVar("T")


def root_folder(config: DataConfig) -> Path:
    """The folder of ``config.path``. Raises ValueError when it is not there, so that a typo downloads nothing."""
    root = Path(config.path)
    if not root.is_dir():
        raise ValueError(
            f"{root} is not a folder; give the folder with the files of '{config.source}', "
            "or make an empty one for them to be downloaded into"
        )
    return root


def fetch(config: DataConfig, make: Callable[[], T]) -> T:
    """``make()``: a torchvision data set that looks for its files, checks them, and downloads what is missing.

    Raises ValueError when they can neither be used nor be fetched.
    """
    try:
        return make()
    except (RuntimeError, OSError, ImportError, ValueError, TypeError, LookupError, AssertionError) as error:
        raise ValueError(
            f"'{config.source}' is neither whole in {config.path} nor could be downloaded there "
            f"({type(error).__name__}: {error}); put the official files there by hand, or try again with a network"
        ) from error
