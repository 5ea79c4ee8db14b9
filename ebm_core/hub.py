"""From a name to a model file. The only module that touches the network."""

import re
from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from ebm_core.checkpoint import CheckpointError, ModelInfo, read_info

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
MODEL_FILE = "model.safetensors"
HUB_NAME = re.compile(r"hf:([\w.-]+/[\w.-]+)")


def shipped_models(weights: Path = WEIGHTS) -> list[str]:
    """Names of the models in the weights folder, sorted."""
    return sorted(path.parent.name for path in weights.glob(f"*/{MODEL_FILE}"))


def check_models(weights: Path = WEIGHTS) -> dict[str, ModelInfo | CheckpointError]:
    """What each model file of the weights folder says of itself, or why it cannot be used."""
    checked: dict[str, ModelInfo | CheckpointError] = {}
    for name in shipped_models(weights):
        try:
            checked[name] = read_info(weights / name / MODEL_FILE)
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
            return Path(hf_hub_download(match[1], MODEL_FILE))
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
