"""Which models there are; loaded when first used, the least recently used dropped."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from app.compute import COMPUTE
from ebm_core.checkpoint import CheckpointError, ModelInfo, load_model, read_info
from ebm_core.hub import find_model, shipped_models
from ebm_core.nets import EnergyNetwork
from ebm_core.precision import for_sampling
from ebm_core.recipe import fingerprint

WARM_CHAINS = 16  # what the slider for the number of chains stands at


@dataclass(frozen=True)
class Model:
    """A loaded model: frozen, shared by everybody, only read."""

    name: str
    net: EnergyNetwork  # folded for sampling, in the faster precision
    info: ModelInfo
    fingerprint: str


class Catalog:
    """The models of a weights folder; safe to use from several threads."""

    def __init__(self, weights: Path, device: str = "cpu", capacity: int = 3) -> None:
        self.weights, self.device, self.capacity = weights, device, capacity
        self._loaded: OrderedDict[str, Model] = OrderedDict()
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Names of the models whose files can be read."""
        return [name for name, problem in self._check() if problem is None]

    def problems(self) -> list[str]:
        """A sentence for each model file that cannot be used."""
        return [problem for _, problem in self._check() if problem is not None]

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

    def _check(self) -> list[tuple[str, str | None]]:
        checked: list[tuple[str, str | None]] = []
        for name in shipped_models(self.weights):
            try:
                info = read_info(find_model(name, self.weights))
                checked.append((name, f"{name} needs labels" if info.net.label_dim else None))
            except CheckpointError as error:
                checked.append((name, str(error)))
        return checked
