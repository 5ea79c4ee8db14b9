"""One safetensors file is a model: weights, and JSON metadata that say how to build, sample and trust it."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ebm_core.attribute import Attribute
from ebm_core.config import ConfigError, from_dict, to_dict
from ebm_core.nets import EnergyNetwork, NetConfig
from ebm_core.sampling import SamplePlan

FORMAT_VERSION = 1
DATA_RANGE = [0.0, 1.0]
METADATA_KEY = "ebm_studio"


class CheckpointError(ValueError):
    """A file that cannot be used as a model; the message says why and what to do."""


@dataclass(frozen=True)
class ModelInfo:
    """What a checkpoint says beside its weights."""

    net: NetConfig
    plan: SamplePlan
    provenance: dict[str, Any] = field(default_factory=dict)  # command, commit, data, date, machine ...
    calibration: dict[str, Any] = field(default_factory=dict)  # quantiles of held-out energies; may be empty
    family: str = ""  # models of one family were trained on the same data and may be mixed; "" = with none
    attribute: Attribute | None = None  # what the labels of a conditional model mean


def save_model(path: Path, state: dict[str, Tensor], info: ModelInfo) -> None:
    """Write a model in one piece: a reader sees the old file or the whole new one, never half of it.

    Raises CheckpointError when the disk refuses; the old file is then untouched.
    """
    metadata = {
        "format_version": FORMAT_VERSION,
        "data_range": DATA_RANGE,
        "net": to_dict(info.net),
        "plan": to_dict(info.plan),
        "provenance": info.provenance,
        "calibration": info.calibration,
        "family": info.family,
        "attribute": to_dict(info.attribute) if info.attribute else None,
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    write_atomically(path, save(tensors, metadata={METADATA_KEY: json.dumps(metadata)}))


def replace_calibration(path: Path, calibration: dict[str, Any]) -> None:
    """Give a model file a calibration, in one piece; its weights and all else that it says stay as they are.

    Raises CheckpointError when it is not a model file or the disk refuses; the old file is then untouched.
    """
    _replace_metadata(path, {"calibration": calibration})


def replace_plan(path: Path, plan: SamplePlan, tuning: dict[str, Any]) -> None:
    """Give a model file another plan, and say in its provenance how it was chosen; as ``replace_calibration``."""
    provenance = read_info(path).provenance | {"tuning": tuning}
    _replace_metadata(path, {"plan": to_dict(plan), "provenance": provenance})


def _replace_metadata(path: Path, changes: dict[str, Any]) -> None:
    _open(path)
    with safe_open(path, framework="pt") as file:
        metadata = dict(file.metadata())
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - the file is no dictionary
    content = json.loads(metadata[METADATA_KEY]) | changes
    write_atomically(path, save(tensors, metadata=metadata | {METADATA_KEY: json.dumps(content)}))


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` in one piece. Raises CheckpointError as ``replacing`` does."""
    with replacing(path) as file:
        file.write(data)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to, a temporary neighbour of ``path`` that is flushed to disk and takes its name in the end.

    Raises CheckpointError when the disk refuses. After any error the temporary file is gone and ``path`` untouched.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise CheckpointError(
            f"could not write {path}: {error.strerror or error}; free some space or choose another folder "
            "(what was there before is untouched)"
        ) from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def read_info(path: Path) -> ModelInfo:
    """Only the metadata of a model file. Raises CheckpointError as ``load_model`` does."""
    return _open(path)[0]


def load_model(path: Path, device: str = "cpu") -> tuple[EnergyNetwork, ModelInfo]:
    """The frozen float32 network of a model file, in evaluation mode, and what the file says of it.

    Raises CheckpointError, in one sentence, for a file that is missing, truncated, not safetensors, of another
    program, of a newer format, or whose tensors are missing, foreign, misshapen or not finite.
    """
    info, tensors = _open(path, with_tensors=True)
    try:
        net = EnergyNetwork(info.net)
    except ValueError as error:
        raise CheckpointError(f"{path}: its network configuration is not valid: {error}") from error
    wanted = net.state_dict()
    for name in wanted.keys() | tensors.keys():
        if name not in tensors:
            raise CheckpointError(f"{path}: tensor '{name}' is missing; export the model again")
        if name not in wanted:
            raise CheckpointError(f"{path}: unexpected tensor '{name}'; the file does not fit its own configuration")
        if tensors[name].shape != wanted[name].shape:
            raise CheckpointError(
                f"{path}: tensor '{name}' has shape {tuple(tensors[name].shape)}, its configuration asks for "
                f"{tuple(wanted[name].shape)}"
            )
        if not bool(tensors[name].isfinite().all()):
            raise CheckpointError(f"{path}: tensor '{name}' has values that are not finite; use another checkpoint")
    net.load_state_dict(tensors)
    return net.requires_grad_(False).eval().to(device), info


def _open(path: Path, with_tensors: bool = False) -> tuple[ModelInfo, dict[str, Tensor]]:
    if not path.is_file():
        raise CheckpointError(f"{path} is not there; give a model file (.safetensors) or the name of a shipped model")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(METADATA_KEY)
            names = list(file.keys()) if with_tensors else []
            tensors = {name: file.get_tensor(name).float() for name in names}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is not a whole safetensors file ({error}); it may be truncated: fetch or export it again"
        ) from error
    if text is None:
        raise CheckpointError(f"{path} is a safetensors file of another program: it has no '{METADATA_KEY}' metadata")
    return _parse_info(path, text), tensors


def _parse_info(path: Path, text: str) -> ModelInfo:
    try:
        metadata = json.loads(text)
        version = metadata["format_version"]
        if not isinstance(version, int) or version > FORMAT_VERSION:
            raise CheckpointError(
                f"{path} has format version {version}, this program reads up to {FORMAT_VERSION}; update ebm-studio"
            )
        if metadata["data_range"] != DATA_RANGE:
            raise CheckpointError(f"{path} was trained on data in {metadata['data_range']}, only {DATA_RANGE} is known")
        attribute = metadata.get("attribute")
        return ModelInfo(
            net=from_dict(NetConfig, metadata["net"], "net"),
            plan=from_dict(SamplePlan, metadata["plan"], "plan"),
            provenance=dict(metadata["provenance"]),
            calibration=dict(metadata["calibration"]),
            family=str(metadata.get("family", "")),
            attribute=from_dict(Attribute, attribute, "attribute") if attribute else None,
        )
    except CheckpointError:
        raise
    except ConfigError as error:
        raise CheckpointError(f"{path}: its configuration is not valid: {error}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path}: its metadata cannot be read ({error!r}); export the model again") from error
