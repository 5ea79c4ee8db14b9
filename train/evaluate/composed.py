"""A family's models as one thing: their energies summed as asked, and chains on the sum."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from ebm_core.attribute import Attribute
from ebm_core.checkpoint import ModelInfo, load_model
from ebm_core.composition import energy_of_each
from ebm_core.family import Ask, Family, base_of, compose
from ebm_core.hub import find_model, open_space
from ebm_core.level import Reference
from ebm_core.nets import EnergyNetwork
from ebm_core.precision import for_sampling
from ebm_core.space import Space
from train.evaluate.asking import Case
from train.evaluate.samples import draw_chains

BATCH = 32


@dataclass(frozen=True)
class FamilyModels:
    """Networks ready for sampling, by attribute; "" is the unconditional one."""

    nets: Mapping[str, EnergyNetwork]
    infos: Mapping[str, ModelInfo]
    space: Space
    device: str = "cpu"

    @property
    def attributes(self) -> dict[str, Attribute]:
        return {name: info.attribute for name, info in self.infos.items() if info.attribute is not None}

    def draw(
        self, case: Case, num: int, seed: int, sum_only: bool = False, weight: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Samples uint8 ``(num, C, H, W)`` of a case and their energies.

        Each attribute weighs ``weight``, composed by the page's own functions; with ``sum_only`` as in the paper,
        without the base.
        """
        attributes = self.attributes
        family = Family("", None if sum_only and case.asked else "", attributes)
        compositions = [
            compose(
                family,
                [
                    Ask(a.attribute, attributes[a.attribute], tuple(a.labels[i].tolist()), weight, a.operator)
                    for a in case.asked
                ],
            )
            for i in range(num)
        ]
        reference = Reference(self.nets[""], self.infos[""].plan.langevin, self.space)
        return draw_chains(
            lambda part: energy_of_each(compositions[part], self.nets, reference, self.space),
            self.space,
            replace(compositions[0].plan(self.infos), candidates=1),  # the base, too, as what is compared with it
            num,
            seed,
            batch=BATCH,
            device=self.device,
            title=case.name,
        )


def load_family(family: str, weights: Path, device: str) -> FamilyModels:
    """The models of a family in the folder ``weights``. Raises ValueError when there is none with an attribute."""
    loaded = {}
    for folder in sorted(weights.glob(f"{family}*/model.safetensors")):
        path = find_model(str(folder))
        net, info = load_model(path, device)
        if info.family == family:
            loaded[folder.parent.name] = (path, net, info)
    base = base_of(family, {model: info for model, (_, _, info) in loaded.items()})
    members = {info.attribute.name: (net, info) for _, net, info in loaded.values() if info.attribute is not None}
    if base is None or not members:
        raise ValueError(f"{weights} has no family '{family}' with an unconditional and an attribute model")
    path, net, info = loaded[base]
    members[""] = (net, info)
    nets = {name: for_sampling(net) for name, (net, _) in members.items()}
    infos = {name: info for name, (_, info) in members.items()}
    space = open_space(info.space, info.net, device, path)
    return FamilyModels(nets, infos, space, device)
