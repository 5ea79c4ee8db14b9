"""One safetensors file is a model: weights, and JSON metadata that say how to build, sample and trust it."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ebm_core.attribute import Attribute
from ebm_core.config import ConfigError, from_dict, to_dict
from ebm_core.files import describe, one_line, safe_name, write_atomically
from ebm_core.nets import EnergyNetwork, NetConfig
from ebm_core.sampling import SamplePlan, without_clamp
from ebm_core.space import SpaceConfig

FORMAT_VERSION = 2  # 1 knew pixels alone
DATA_RANGE = [0.0, 1.0]  # that version 1 states
METADATA_KEY = "ebm_studio"
FLOATS = ("F16", "BF16", "F32", "F64")  # of weights, as safetensors calls them; in narrower ones they are others


M = TypeVar("M", bound=nn.Module)


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
    space: SpaceConfig = field(default_factory=SpaceConfig)  # that its chains walk in
    weights: str = field(default="", compare=False)  # digest of the weights it came with; "" = they were not read


def metadata_of(info: ModelInfo) -> dict[str, Any]:
    """What a model file says of itself, as plain values for JSON."""
    return {
        "format_version": FORMAT_VERSION,
        "space": to_dict(info.space),
        "net": to_dict(info.net),
        "plan": to_dict(info.plan),
        "provenance": info.provenance,
        "calibration": info.calibration,
        "family": info.family,
        "attribute": to_dict(info.attribute) if info.attribute else None,
    }


def save_model(path: Path, state: dict[str, Tensor], info: ModelInfo) -> None:
    """Write a model in one piece: a reader sees the old file or the whole new one, never half of it.

    Raises FileError when the disk refuses; the old file is then untouched.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    write_atomically(path, save(tensors, metadata={METADATA_KEY: json.dumps(metadata_of(info))}))


def replace_calibration(path: Path, calibration: dict[str, Any]) -> None:
    """Give a model file a calibration, in one piece; its weights and all else that it says stay as they are.

    Raises CheckpointError when it is not a model file and FileError when the disk refuses; the old file is then
    untouched.
    """
    # A calibration is of these very weights: rounded or trained further, they give other scores.
    _replace_metadata(
        path, lambda tensors: {"calibration": calibration | {"weights": digest(tensors)} if calibration else {}}
    )


def replace_plan(path: Path, plan: SamplePlan, tuning: dict[str, Any]) -> None:
    """Give a model file another plan, and say in its provenance how it was chosen; as ``replace_calibration``."""
    provenance = read_info(path).provenance | {"tuning": tuning}
    _replace_metadata(path, lambda _: {"plan": to_dict(plan), "provenance": provenance})


def _replace_metadata(path: Path, changes: Callable[[dict[str, Tensor]], dict[str, Any]]) -> None:
    file = read_safetensors(path, METADATA_KEY)
    _parse_info(path, file.text)
    content = json.loads(file.text) | changes(file.tensors)
    write_atomically(path, save(file.tensors, metadata=file.metadata | {METADATA_KEY: json.dumps(content)}))


def read_info(path: Path) -> ModelInfo:
    """Only the metadata of a model file. Raises CheckpointError as ``load_model`` does."""
    return _parse_info(path, read_safetensors(path, METADATA_KEY, only_metadata=True).text)


def load_model(path: Path, device: str = "cpu") -> tuple[EnergyNetwork, ModelInfo]:
    """The frozen float32 network of a model file, in evaluation mode, and what the file says of it.

    Raises CheckpointError, in one sentence, for a file that is missing, cut off, not safetensors, of another program,
    of a newer format, or whose tensors are missing, foreign, misshapen, no floating-point numbers or not finite.
    """
    file = read_safetensors(path, METADATA_KEY)
    info = _parse_info(path, file.text)
    try:
        net = filled(path, lambda: EnergyNetwork(info.net), file.tensors)
    except CheckpointError:
        raise
    except ValueError as error:
        raise CheckpointError(f"{path}: its network configuration is not valid: {error}") from error
    return net.requires_grad_(False).eval().to(device), replace(info, weights=digest(file.tensors))


def digest(tensors: Mapping[str, Tensor]) -> str:
    """First 16 hexadecimal digits of a hash that differs when any tensor's name, type, shape or value does."""
    whole = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        whole.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        whole.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()[:16]


class SafetensorsFile(NamedTuple):
    """``text`` is the metadata under the key that was asked for; ``tensors`` are as they lie in the file."""

    text: str
    metadata: dict[str, str]
    tensors: dict[str, Tensor]


def read_safetensors(
    path: Path, key: str, types: tuple[str, ...] = FLOATS, *, only_metadata: bool = False
) -> SafetensorsFile:
    """A safetensors file of this program: its metadata have ``key``, and its tensors numbers of these types.

    Raises CheckpointError, in one sentence that says what the file is and what to do, for anything else.
    """
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder; give the model file (.safetensors) in it")
    if not path.is_file():
        raise CheckpointError(f"{path} is not there; give a model file (.safetensors) or the name of a shipped model")
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            names = list(file.keys())
            if key not in metadata:
                kind = "of another program" if metadata else "with tensors alone (a bare state dict)"
                raise CheckpointError(
                    f"{path} is a safetensors file {kind}: it has no '{key}' metadata to say what they are; "
                    "python -m train export writes files that do"
                )
            for name in names:
                if (number := file.get_slice(name).get_dtype()) not in types:
                    raise CheckpointError(
                        f"{path}: tensor '{name}' has numbers of the type {number}, none of {', '.join(types)}: these "
                        "are no longer the weights that were trained and calibrated; use the file from before they "
                        "were converted"
                    )
            tensors = {} if only_metadata else {name: file.get_tensor(name) for name in names}
            return SafetensorsFile(metadata[key], metadata, tensors)
    except (SafetensorError, OSError) as error:
        try:
            what = describe(path)
        except OSError:
            what = one_line(error)
        raise CheckpointError(f"{path} is no safetensors file that can be used: it is {what}") from error


def filled(path: Path, build: Callable[[], M], tensors: Mapping[str, Tensor]) -> M:
    """The module that ``build`` makes, with the tensors of a file.

    It is built without memory first: a file that only says that it is large costs nothing. Raises CheckpointError as
    ``fitting`` does.
    """
    with torch.device("meta"):
        module = build()
    state = fitting(path, tensors, module.state_dict())
    # Copied: where memory is aligned changes the last bits. Not by ``to_empty``, which imports sympy: time and memory.
    module.load_state_dict({name: tensor.clone() for name, tensor in state.items()}, assign=True)
    return module


def fitting(path: Path, tensors: Mapping[str, Tensor], template: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a file in the types of a network's own state, ``template``.

    Raises CheckpointError for the first that is missing, foreign, misshapen, of another kind or not finite.
    """
    for name in sorted(template.keys() | tensors.keys()):
        if name not in tensors:
            raise CheckpointError(f"{path}: tensor '{name}' is missing; export the model again")
        if name not in template:
            raise CheckpointError(f"{path}: unexpected tensor '{name}'; the file does not fit its own configuration")
        tensor, own = tensors[name], template[name]
        if tensor.shape != own.shape:
            raise CheckpointError(
                f"{path}: tensor '{name}' has shape {tuple(tensor.shape)}, its configuration asks for "
                f"{tuple(own.shape)}"
            )
        if tensor.is_floating_point() != own.is_floating_point():
            raise CheckpointError(
                f"{path}: tensor '{name}' has {tensor.dtype} numbers, weights are floating-point "
                "ones; use the file from before it was converted"
            )
        if not bool(tensor.isfinite().all()):
            raise CheckpointError(f"{path}: tensor '{name}' has values that are not finite; use another checkpoint")
    return {name: tensor.to(template[name].dtype) for name, tensor in tensors.items()}


def _parse_info(path: Path, text: str) -> ModelInfo:
    try:
        metadata = json.loads(text)
        version = metadata["format_version"]
        if not isinstance(version, int) or version > FORMAT_VERSION:
            raise CheckpointError(
                f"{path} has format version {version}, this program reads up to {FORMAT_VERSION}; update ebm-studio"
            )
        if version < 2 and metadata["data_range"] != DATA_RANGE:
            raise CheckpointError(f"{path} was trained on data in {metadata['data_range']}, only {DATA_RANGE} is known")
        attribute = metadata.get("attribute")
        return ModelInfo(
            net=from_dict(NetConfig, metadata["net"], "net"),
            plan=from_dict(SamplePlan, without_clamp(metadata["plan"]), "plan"),
            provenance=dict(metadata["provenance"]),
            calibration=dict(metadata["calibration"]),
            family=safe_name(str(family)) if (family := metadata.get("family")) else "",
            attribute=from_dict(Attribute, attribute, "attribute") if attribute else None,
            space=from_dict(SpaceConfig, metadata["space"], "space") if version > 1 else SpaceConfig(),
        )
    except CheckpointError:
        raise
    except ConfigError as error:
        raise CheckpointError(f"{path}: its configuration is not valid: {error}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path}: its metadata cannot be read ({error!r}); export the model again") from error
