"""A detector as a person has it: pictures in, scores and maps out; one safetensors file."""

import json
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ebm_core.calibration import Calibration
from ebm_core.checkpoint import CheckpointError, digest, filled, read_safetensors
from ebm_core.config import ConfigError, from_dict, to_dict
from ebm_core.detector.methods import METHODS
from ebm_core.detector.network import DetectorConfig, DetectorNetwork
from ebm_core.detector.points import Extractor
from ebm_core.files import write_atomically
from ebm_core.hub import DETECTOR_FILE, WEIGHTS

METADATA_KEY = "ebm_studio_detector"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class DetectorInfo:
    """What a detector's file says beside its weights."""

    config: DetectorConfig
    method: str  # whose score judges, unless another is asked for
    calibration: dict[str, Any]  # of held-out pictures, for the scores of every method
    comparison: dict[str, Any]  # of the methods, how the one was chosen
    false_alarms: dict[str, Any]  # of held-out pictures, by a threshold that was set without them
    account: tuple[str, ...] = ()  # sentences about the files
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"a detector's method is one of {', '.join(METHODS)}; got '{self.method}'")


class Judged(NamedTuple):
    """What a detector says of pictures: ``scores``, ``(B,)`` by method, and ``places (B, h, w)``, where the chosen
    method finds what does not belong."""

    scores: dict[str, Tensor]
    places: Tensor


class Detector:
    """A fitted detector. Not a network to train: it is only asked."""

    def __init__(self, extractor: Extractor, net: DetectorNetwork, info: DetectorInfo, device: str = "cpu") -> None:
        self.extractor, self.net, self.info, self.device = extractor, net, info, device
        calibration = Calibration.from_plain(info.calibration)
        if calibration is None:
            raise ValueError("a detector without a calibration cannot judge; fit it again")
        self.calibration = calibration

    def judge(self, u8: Tensor) -> Judged:
        """Of pictures uint8 ``(B, 3, S, S)``. Raises ValueError when a score is not finite."""
        said = self.net(self.extractor.of(u8, self.device))
        scores = self.net.join(said)
        if not all(bool(values.isfinite().all()) for values in scores.values()):
            raise ValueError("the detector gives a picture a score that is not a finite number; fit it again")
        return Judged(scores, said[self.info.method].places)

    @property
    def fingerprint(self) -> str:
        """Differs when any number of it does."""
        return digest(self.net.state_dict())

    def save(self, path: Path) -> None:
        """Write it in one piece. Raises FileError when the disk refuses."""
        write_atomically(path, self.to_bytes())

    def to_bytes(self) -> bytes:
        """The file."""
        metadata = {"format_version": FORMAT_VERSION, **to_dict(self.info)}
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in self.net.state_dict().items()}
        return save(state, metadata={METADATA_KEY: json.dumps(metadata)})


@lru_cache(maxsize=2)
def shared_extractor(device: str = "cpu") -> Extractor:
    """One for all detectors of a process: it is only read. Raises ValueError where its package is missing."""
    return Extractor().to(device)


def find_detector(name: str, weights: Path = WEIGHTS) -> Path | None:
    """The file of a detector: of the weights folder, or at a path; None where there is none, or a model instead."""
    if name and (path := weights / name / DETECTOR_FILE).is_file():
        return path
    path = Path(name)
    path = path / DETECTOR_FILE if path.is_dir() else path
    try:
        with safe_open(path, framework="pt") as file:
            return path if METADATA_KEY in (file.metadata() or {}) else None
    except (SafetensorError, OSError):
        return None


def load_detector(path: Path, device: str = "cpu") -> Detector:
    """The detector of a file. Raises CheckpointError, in one sentence, for one that cannot be used."""
    file = read_safetensors(path, METADATA_KEY)
    try:
        metadata = json.loads(file.text)
        version = metadata.pop("format_version")
        if version != FORMAT_VERSION:
            raise CheckpointError(
                f"{path} has format version {version}, this program reads {FORMAT_VERSION}; update ebm-studio"
            )
        info = from_dict(DetectorInfo, metadata)
    except CheckpointError:
        raise
    except (ConfigError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path}: its metadata cannot be read ({error}); fit the detector again") from error
    net = filled(path, lambda: DetectorNetwork.of(info.config), file.tensors)
    try:
        return Detector(shared_extractor(device), net, info, device)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
