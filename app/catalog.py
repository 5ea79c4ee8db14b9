"""Which models there are; loaded when first used, the least recently used dropped."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from app.captions import captions
from app.compute import COMPUTE
from app.walk import Landscape
from ebm_core.checkpoint import CheckpointError, ModelInfo, load_model
from ebm_core.classifier import CLASSIFIER_FILE, Classifier, load_classifier
from ebm_core.compose import conditioned
from ebm_core.energy import energy_and_grad
from ebm_core.family import Family, families
from ebm_core.hub import check_models, find_model, open_space, shipped_infos, shipped_models
from ebm_core.level import Reference
from ebm_core.nets import EnergyNetwork
from ebm_core.precision import Precision, for_sampling, in_precision, precision_of
from ebm_core.recipe import fingerprint
from ebm_core.space import Space

WARM_CHAINS = 12  # what the slider for the number of chains stands at


@dataclass(frozen=True)
class Model:
    """A loaded model: frozen, shared by everybody, only read."""

    name: str
    path: Path
    net: EnergyNetwork  # folded for sampling, in the precision that this device samples in
    space: Space  # of its points
    info: ModelInfo
    fingerprint: str

    @property
    def exact(self) -> EnergyNetwork:
        """The network in float32, whose scores may be held beside those of a calibration; shares its weights."""
        return in_precision(self.net, "float32")

    @property
    def landscape(self) -> Landscape:
        """Where an unconditional model's chains walk."""
        return Landscape(self.net, self.space, self.device, self.precision)

    @property
    def device(self) -> str:
        return str(next(self.net.parameters()).device)

    @property
    def precision(self) -> Precision:
        return precision_of(self.net)

    def in_precision(self, precision: Precision | Literal[""]) -> "Model":
        """The same model, whose chains walk in the given precision; "" leaves it in its own."""
        return replace(self, net=in_precision(self.net, precision)) if precision else self


class Catalog:
    """The models of a weights folder; safe to use from several threads."""

    def __init__(self, weights: Path, device: str = "cpu", capacity: int = 12) -> None:
        self.weights, self.device, self.capacity = weights, device, capacity
        self._loaded: OrderedDict[str, Model] = OrderedDict()
        self._classifiers: dict[str, Classifier] = {}
        self._faults: dict[tuple[Path, int, int], CheckpointError | None] = {}
        self._references: dict[tuple[str, str, str], Reference] = {}
        self._lock = threading.RLock()

    def names(self) -> list[str]:
        """Names of the unconditional models."""
        return [name for name, info in self.infos().items() if not info.net.label_dim]

    def families(self) -> dict[str, Family]:
        """The families with at least one attribute, by name."""
        return families(self.infos())

    def families_by_base(self) -> dict[str, Family]:
        """By the name of an unconditional model the family whose attributes it can be asked for."""
        return {family.base: family for family in self.families().values() if family.base}

    def infos(self) -> dict[str, ModelInfo]:
        """What the models say of themselves that can be loaded."""
        return {name: info for name, info in self._checked().items() if isinstance(info, ModelInfo)}

    def _checked(self) -> dict[str, ModelInfo | CheckpointError]:
        """Each model's own words, or why it cannot be loaded: every file is loaded once, and again when it changes."""
        checked = check_models(self.weights)
        for name, info in checked.items():
            if isinstance(info, ModelInfo) and (fault := self._fault(find_model(name, self.weights))):
                checked[name] = fault
        return checked

    def _fault(self, path: Path) -> CheckpointError | None:
        stat = path.stat()
        key = (path, stat.st_mtime_ns, stat.st_size)
        with self._lock:
            if key not in self._faults:
                self._faults[key] = None
                try:
                    load_model(path)
                except CheckpointError as error:
                    self._faults[key] = error
            return self._faults[key]

    def captioner(self, family: str) -> Callable[[Tensor], list[str]] | None:
        """What makes a caption for each picture of a family; None when the family has no classifier.

        Raises CheckpointError, in a sentence, for a classifier that cannot be used, one of larger pictures too.
        """
        path = self.weights / family / CLASSIFIER_FILE
        if not path.is_file():
            return None
        with self._lock:
            if family not in self._classifiers:
                self._classifiers[family] = self._load_classifier(path)
            classifier = self._classifiers[family]
        return lambda x: COMPUTE.submit(captions, classifier, x.to(self.device)).result()

    def problems(self) -> list[str]:
        """A sentence for each model file that cannot be used."""
        problems = [str(e) for e in self._checked().values() if isinstance(e, CheckpointError)]
        for path in sorted(self.weights.glob(f"*/{CLASSIFIER_FILE}")):
            try:
                self._load_classifier(path)
            except CheckpointError as error:
                problems.append(str(error))
        return problems

    def get(self, name: str) -> Model:
        """Load a model or take it from memory. Raises CheckpointError, in a sentence, when that fails."""
        with self._lock:
            if name not in self._loaded:
                if name not in shipped_models(self.weights):
                    raise CheckpointError(f"there is no model '{name}' here; choose one of {', '.join(self.names())}")
                self._loaded[name] = self._load(name)
            self._loaded.move_to_end(name)
            while len(self._loaded) > self.capacity:
                self._loaded.popitem(last=False)
            return self._loaded[name]

    def reference(self, base: str, precision: Precision | Literal[""]) -> Reference:
        """The unconditional model of a family as what its labels are levelled by; computed once, in its first chain."""
        model = self.get(base).in_precision(precision)
        with self._lock:
            key = (base, model.fingerprint, model.precision)
            return self._references.setdefault(key, Reference(model.net, model.info.plan.langevin, model.space))

    def _load_classifier(self, path: Path) -> Classifier:
        classifier, family = load_classifier(path, self.device), path.parent.name
        for name, info in shipped_infos(self.weights).items():
            _, size, _ = open_space(info.space, info.net, model=find_model(name, self.weights)).picture_shape
            if info.family == family and size < classifier.config.image_size:
                raise CheckpointError(
                    f"{path} is for pictures of {classifier.config.image_size} pixels, those of '{name}' have {size}; "
                    "train a classifier of theirs"
                )
        return classifier

    def _load(self, name: str) -> Model:
        path = find_model(name, self.weights)
        net, info = load_model(path, self.device)
        fast, space = for_sampling(net), open_space(info.space, info.net, self.device, path)
        COMPUTE.submit(_warm_up, fast, space).result()
        return Model(name, path, fast, space, info, fingerprint(path))


def _warm_up(net: EnergyNetwork, space: Space) -> None:
    """A pass of the size that the page offers first, so that the first frame need not wait for kernels to be chosen."""
    device, num = next(net.parameters()).device, net.config.label_dim
    label = torch.zeros(num, device=device) if num else None
    x = torch.zeros(WARM_CHAINS, *space.shape, device=device)
    space.preview(x)
    energy_and_grad(conditioned(net, label), x)
