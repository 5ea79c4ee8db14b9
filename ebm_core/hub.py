"""From a name to a model file and the space it lives in. The only module that touches the network."""

import re
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from ebm_core.checkpoint import CheckpointError, ModelInfo, read_info
from ebm_core.codec import Codec, load_codec
from ebm_core.nets import NetConfig
from ebm_core.space import Space, SpaceConfig, latent, pixels

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
MODEL_FILE = "model.safetensors"
CODEC_FILE = "codec.safetensors"
DETECTOR_FILE = "detector.safetensors"  # of a person's own pictures; no model of the page's
HUB_NAME = re.compile(r"hf:([\w.-]+/[\w.-]+)")


def shipped_models(weights: Path = WEIGHTS) -> list[str]:
    """Names of the models in the weights folder, sorted."""
    return sorted(path.parent.name for path in weights.glob(f"*/{MODEL_FILE}"))


def check_models(weights: Path = WEIGHTS) -> dict[str, ModelInfo | CheckpointError]:
    """What each model file of the weights folder says of itself, or why it or its codec cannot be used."""
    checked: dict[str, ModelInfo | CheckpointError] = {}
    for name in shipped_models(weights):
        path = weights / name / MODEL_FILE
        try:
            info = read_info(path)
            open_space(info.space, info.net, model=path)
            checked[name] = info
        except CheckpointError as error:
            checked[name] = error
    return checked


def shipped_infos(weights: Path = WEIGHTS) -> dict[str, ModelInfo]:
    """What the usable model files of the weights folder say of themselves."""
    return {name: info for name, info in check_models(weights).items() if isinstance(info, ModelInfo)}


def find_model(name: str, weights: Path = WEIGHTS) -> Path:
    """The model file for a shipped model's name, a path to a file or folder, or ``hf:owner/repo`` on the Hub.

    Raises CheckpointError when there is none, with the names there are.
    """
    if match := HUB_NAME.fullmatch(name):
        try:
            path = Path(hf_hub_download(match[1], MODEL_FILE))
            if read_info(path).space.is_latent:
                hf_hub_download(match[1], CODEC_FILE)  # lies beside the model then
            return path
        except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
            raise CheckpointError(f"could not fetch {MODEL_FILE} of {match[1]} from the Hub: {error}") from error
    if name in shipped_models(weights):
        return weights / name / MODEL_FILE
    path = Path(name)
    if path.is_dir():
        path = path / MODEL_FILE
    if not path.is_file():
        known = ", ".join(shipped_models(weights)) or "none yet"
        raise CheckpointError(
            f"no model '{name}': give one of the shipped models ({known}), a path to a .safetensors file, or "
            "hf:owner/repo"
        )
    return path


def find_codec(name: str, model: Path | None = None) -> Path:
    """The file of a codec: beside the file ``model`` or in a folder ``name`` beside its own, else the shipped one.

    Raises CheckpointError when there is none.
    """
    folders = [model.parent, model.parent.parent / name] if model else []
    places = [folder / CODEC_FILE for folder in [*folders, WEIGHTS / name]]
    for place in places:
        if place.is_file():
            return place
    raise CheckpointError(
        f"{model or 'the config'} lives in the latents of the codec '{name}', which is not there; put its "
        f"{CODEC_FILE} into the folder {places[0].parent if model else WEIGHTS / name}"
    )


def open_space(config: SpaceConfig, net: NetConfig, device: str = "cpu", model: Path | None = None) -> Space:
    """The space that a network's points live in; ``model`` is the file that it came from, if it did.

    Raises CheckpointError for a codec that is missing, not the one that the model was trained with, or whose latents
    the network does not take.
    """
    if not config.is_latent:
        return pixels(net.channels, net.image_size)
    path, codec = _open_codec(config.codec, model, device)
    if config.weights and codec.weights != config.weights:
        raise CheckpointError(
            f"{model or 'the config'} was trained in the latents of another '{config.codec}' than {path}; give it its "
            "own codec, or train it again"
        )
    if codec.config.latent_shape != (net.channels, net.image_size, net.image_size):
        c, side, _ = codec.config.latent_shape
        raise CheckpointError(
            f"the network takes points of {net.channels} channels and side {net.image_size}, the latents of {path} "
            f"have {c} and {side}; set [net] channels and image_size to these"
        )
    return latent(codec)


def pinned(config: SpaceConfig) -> SpaceConfig:
    """The same space with the digest of the codec that is there now, for what is to be trained in it."""
    if not config.is_latent or config.weights:
        return config
    return replace(config, weights=_open_codec(config.codec)[1].weights)


def _open_codec(name: str, model: Path | None = None, device: str = "cpu") -> tuple[Path, Codec]:
    path = find_codec(name, model)
    return path, _codec(path, path.stat().st_mtime_ns, device)


@lru_cache(maxsize=4)
def _codec(path: Path, modified: int, device: str) -> Codec:
    """One for all models of a process: it is only read."""
    return load_codec(path, device)
