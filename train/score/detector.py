"""What calibrating, evaluating and scoring share: a model that scores pictures, and measuring many of them."""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor
from tqdm import tqdm

from ebm_core.calibration import Calibration, open_calibration
from ebm_core.checkpoint import load_model
from ebm_core.detector import model as own
from ebm_core.detector.methods import METHODS
from ebm_core.energy import EnergyFn
from ebm_core.hub import find_model, open_space
from ebm_core.nets import NetConfig
from ebm_core.nets.folding import folded
from ebm_core.ood import CALIBRATED, Measured, Needs, all_needs, joined, measure, needs_of, scores
from ebm_core.recipe import fingerprint
from ebm_core.space import Space


class Detector(NamedTuple):
    """An unconditional model: its energy in float32 on its device, and what its file says."""

    energy: EnergyFn
    net: NetConfig
    space: Space
    calibration: Calibration | None
    path: Path
    fingerprint: str
    device: str
    needs: Needs
    provenance: dict[str, Any]

    @property
    def calibration_digest(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the calibration, which percentiles and verdicts depend on."""
        return _digest(self.calibration)

    @property
    def size_and_channels(self) -> tuple[int, int]:
        """Of the pictures that it scores."""
        return self.space.size_and_channels

    @property
    def score_names(self) -> list[str]:
        """Names of the scores that there are, in the order of ``ebm_core.ood.scores``."""
        scales = (f"scale_{i}" for i in range(len(self.net.layouts)))
        coded = ["reconstruction"] if self.space.is_coded else []
        known = self.calibration.quantiles if self.calibration else {}
        return ["energy", *scales, "grad_norm", *coded, *(name for name in CALIBRATED if name in known)]

    @property
    def judge(self) -> str:
        """The score of percentile and verdict, unless another is asked for."""
        return self.calibration.judge if self.calibration else "energy"

    def scores(self, u8: Tensor) -> dict[str, Tensor]:
        """Every score of one batch by name, ``(B,)`` each."""
        return scores(self.measure(u8), self.calibration)

    def measure(self, u8: Tensor) -> Measured:
        """``ebm_core.ood.measure`` of one batch, without the heat maps: a million of them fill any memory."""
        measured = measure(self.energy, u8, self.space, self.device, self.needs)
        return measured._replace(heat=measured.heat[:, :0, :0])

    def measure_all(self, u8: Tensor, batch: int, title: str) -> Measured:
        """Measure uint8 pictures ``(N, C, H, W)`` with a progress bar. Raises ValueError when there are none."""
        if len(u8) == 0:
            raise ValueError(f"{title}: no pictures are left to measure; take fewer away")
        parts = []
        with tqdm(total=len(u8), desc=title, unit="image", leave=False) as bar:
            for part in u8.split(batch):
                parts.append(self.measure(part))
                bar.update(len(part))
        return joined(parts)


class OwnDetector(NamedTuple):
    """A detector of a person's own pictures, in the place of a model."""

    own: own.Detector
    path: Path
    fingerprint: str

    @property
    def calibration(self) -> Calibration:
        return self.own.calibration

    @property
    def calibration_digest(self) -> str:
        return _digest(self.calibration)

    @property
    def size_and_channels(self) -> tuple[int, int]:
        return self.own.info.config.size, 3

    @property
    def score_names(self) -> list[str]:
        return list(METHODS)

    @property
    def judge(self) -> str:
        return self.own.info.method

    def scores(self, u8: Tensor) -> dict[str, Tensor]:
        return self.own.judge(u8).scores


Scorer = Detector | OwnDetector


def load_scorer(model: str, device: str) -> Scorer:
    """Whatever scores pictures under a name or path: a model, or a detector of one's own pictures.

    Raises ValueError, in a sentence, when there is neither, or it cannot be used.
    """
    path = own.find_detector(model)
    if path is None:
        return load_detector(model, device)
    detector = own.load_detector(path, device)
    return OwnDetector(detector, path, detector.fingerprint)


def _digest(calibration: Calibration | None) -> str:
    plain = calibration.to_plain() if calibration else {}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def load_detector(model: str, device: str, *, calibrated: bool = True) -> Detector:
    """The model of a name or path; without ``calibrated`` what its calibration says does not matter.

    Raises ValueError when there is none, when it needs labels, or when its calibration cannot be used.
    """
    path = find_model(model)
    net, info = load_model(path, device)
    if info.net.label_dim:
        raise ValueError(
            f"'{model}' is a conditional model, whose energy is of a picture and a label; only unconditional models "
            "score pictures"
        )
    calibration = open_calibration(path, info) if calibrated else None
    space = open_space(info.space, info.net, device, path)
    needs = needs_of(calibration, device) if calibrated else all_needs(device)  # who calibrates wants every score
    key = fingerprint(path)
    return Detector(folded(net), info.net, space, calibration, path, key, device, needs, info.provenance)
