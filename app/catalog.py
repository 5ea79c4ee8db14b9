"""Which models there are; loaded when first used, the least recently used dropped."""

import copy
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from app.compute import COMPUTE
from app.walk import Landscape
from ebm_core.attribute import Attribute
from ebm_core.checkpoint import CheckpointError, ModelInfo, load_model, read_info
from ebm_core.hub import find_model, shipped_models
from ebm_core.nets import EnergyNetwork
from ebm_core.precision import for_sampling
from ebm_core.reader import READER_FILE, Reader, load_reader
from ebm_core.recipe import fingerprint

WARM_CHAINS = 16  # what the slider for the number of chains stands at


@dataclass(frozen=True)
class Model:
    """A loaded model: frozen, shared by everybody, only read."""

    name: str
    net: EnergyNetwork  # folded for sampling, in the faster precision
    info: ModelInfo
    fingerprint: str

    @property
    def exact(self) -> EnergyNetwork:
        """The network in float32, whose scores may be held beside those of a calibration; shares its weights."""
        net = copy.copy(self.net)
        net.bf16 = False
        return net

    @property
    def landscape(self) -> Landscape:
        """Where an unconditional model's chains walk."""
        c = self.info.net
        device = str(next(self.net.parameters()).device)
        return Landscape(self.net, (c.channels, c.image_size, c.image_size), device)


@dataclass(frozen=True)
class Family:
    """Models that may be mixed: one for each attribute, and an unconditional one if there is one."""

    name: str
    base: str | None
    attributes: dict[str, Attribute]  # by the name of the model that has learned it


class Catalog:
    """The models of a weights folder; safe to use from several threads."""

    def __init__(self, weights: Path, device: str = "cpu", capacity: int = 12) -> None:
        self.weights, self.device, self.capacity = weights, device, capacity
        self._loaded: OrderedDict[str, Model] = OrderedDict()
        self._readers: dict[str, Reader] = {}
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Names of the unconditional models."""
        return [name for name, info in self._infos().items() if not info.net.label_dim]

    def families(self) -> dict[str, Family]:
        """The families with at least one attribute, by name."""
        infos = self._infos()
        found: dict[str, Family] = {}
        for family in sorted({info.family for info in infos.values() if info.family}):
            members = {name: info for name, info in infos.items() if info.family == family}
            base = next((name for name, info in members.items() if not info.net.label_dim), None)
            attributes = {name: info.attribute for name, info in members.items() if info.attribute is not None}
            if attributes:
                found[family] = Family(family, base, attributes)
        return found

    def captions(self, family: str) -> Callable[[Tensor], list[str]] | None:
        """What a classifier reads in pictures of a family, one caption for each; None when there is no reader.

        Raises CheckpointError, in a sentence, for a reader that cannot be used.
        """
        path = self.weights / family / READER_FILE
        if not path.is_file():
            return None
        with self._lock:
            if family not in self._readers:
                self._readers[family] = load_reader(path, self.device)
            reader = self._readers[family]
        return lambda x: COMPUTE.submit(reader.captions, x.to(self.device)).result()

    def problems(self) -> list[str]:
        """A sentence for each model file that cannot be used."""
        found = [str(found) for found in self._check().values() if not isinstance(found, ModelInfo)]
        for path in sorted(self.weights.glob(f"*/{READER_FILE}")):
            try:
                load_reader(path)
            except CheckpointError as error:
                found.append(str(error))
        return found

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

    def _load(self, name: str) -> Model:
        path = find_model(name, self.weights)
        net, info = load_model(path, self.device)
        # Its passes are of the size that the page offers first: the first frame need not wait for kernels to be chosen.
        fast = COMPUTE.submit(for_sampling, net, WARM_CHAINS, self.device).result()
        return Model(name, fast, info, fingerprint(path))

    def _infos(self) -> dict[str, ModelInfo]:
        return {name: found for name, found in self._check().items() if isinstance(found, ModelInfo)}

    def _check(self) -> dict[str, ModelInfo | CheckpointError]:
        checked: dict[str, ModelInfo | CheckpointError] = {}
        for name in shipped_models(self.weights):
            try:
                checked[name] = read_info(find_model(name, self.weights))
            except CheckpointError as error:
                checked[name] = error
        return checked
