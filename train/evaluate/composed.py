"""A family's models as one thing: their energies summed as asked, and chains on the sum."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from ebm_core.attribute import Attribute
from ebm_core.checkpoint import ModelInfo, load_model, read_info
from ebm_core.composition import energy_of_each
from ebm_core.family import Ask, Family, compose, families
from ebm_core.hub import MODEL_FILE, open_space
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
    paths = {path.parent.name: path for path in sorted(weights.glob(f"{family}*/{MODEL_FILE}"))}
    own = families({model: read_info(path) for model, path in paths.items()}).get(family)
    if own is None or own.base is None:
        raise ValueError(f"{weights} has no family '{family}' with an unconditional and an attribute model")
    members = {"": own.base} | {attribute.name: model for model, attribute in own.attributes.items()}
    nets, infos = {}, {}
    for name, model in members.items():
        net, infos[name] = load_model(paths[model], device)
        nets[name] = for_sampling(net)
    space = open_space(infos[""].space, infos[""].net, device, paths[own.base])
    return FamilyModels(nets, infos, space, device)
