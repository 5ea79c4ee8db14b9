"""Beside Table 4: what the parts of the method are worth for composition, at equal compute."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ebm_core.attribute import Attribute
from ebm_core.checkpoint import ModelInfo, save_model
from ebm_core.classifier import CLASSIFIER_FILE, Classifier, load_classifier
from ebm_core.config import load_toml, override, to_dict
from ebm_core.hub import MODEL_FILE
from ebm_core.nets import EnergyNetwork
from ebm_core.precision import for_sampling
from ebm_core.space import pixels
from train.batch import label_vectors
from train.config import TrainConfig
from train.data import load
from train.evaluate.predictions import TOGETHER, accuracies, has_asked, predictions
from train.reproduce.compute import PHASES, flops, lasting, spent
from train.reproduce.experiment import Claim, Experiment, Findings, Size
from train.reproduce.figures import COLOURS, figure, legend, rows_of_pictures
from train.reproduce.lab import Lab, NotRun
from train.reproduce.training import CONFIGS, NEVER, NO_KL, NO_TRANSITIONS, train

FAMILY, TRAIN, TEST = "faces", "celeba128-train.zip", "celeba128-test.zip"
ATTRIBUTES = ("young", "female", "smiling", "wavy_hair")
FULL = "all of it"
# Pictures of a quarter of the pixels and a network of half the width: a variant's five runs take a few minutes.
SMALL = [
    "net.image_size=16",
    "net.width=8",
    "net.layouts=['1 2d attn 2 4d', '1 2d', '1']",
    "icd.batch_size=16",
    "icd.steps=20",
    "icd.matching_batch=16",
    "log.scalars_every=20",
    "log.checkpoint_every=100",
]
BASE = {"small": ["warm_start.iterations=1200", "icd.iterations=100"], "full": []}
ATTRIBUTE = {"small": ["warm_start.iterations=200", "icd.iterations=50"], "full": ["icd.iterations=300"]}


@dataclass(frozen=True)
class Settings:
    """``base`` trains the unconditional model of a variant, ``attribute`` each of the four that start from it."""

    base: TrainConfig
    attribute: TrainConfig
    num: int = 64  # samples of each composition

    @property
    def seed(self) -> int:
        return self.base.seed


def settings(size: Size) -> Settings:
    """``full`` has the shipped models' own configs, whose attribute models are then finished by ICD as well."""
    changes = [f"data.path={TRAIN}", f"log.samples_every={NEVER}", *(SMALL if size == "small" else [])]
    base = load_toml(TrainConfig, CONFIGS / "faces.toml", [*changes, *BASE[size]])
    attribute = load_toml(TrainConfig, CONFIGS / f"faces-{ATTRIBUTES[0]}.toml", [*changes, *ATTRIBUTE[size]])
    return Settings(base, attribute) if size == "small" else Settings(base, attribute, num=1000)


def run(lab: Lab, s: Settings) -> Findings:
    """Five runs and a few compositions for each variant, read by the family's classifier."""
    try:
        classifier = load_classifier(lab.weights / FAMILY / CLASSIFIER_FILE, lab.device)
    except ValueError as reason:
        raise NotRun(str(reason)) from reason
    attributes = [_attribute(name) for name in ATTRIBUTES]
    compositions, compute = {}, {}
    for variant, changes in _variants(s.base).items():
        base = override(s.base, changes)
        configs = {"": base}
        start = str(lab.folder(f"{variant}, base") / MODEL_FILE)
        for attribute in attributes:
            config = replace(override(s.attribute, changes), attribute=attribute, start_from=start)
            configs[attribute.name] = config
        # The compute of the full method: a cheaper iteration means more of them.
        budgets = {
            name: {phase: getattr(config, phase).iterations * flops(s.base, phase) for phase in PHASES}
            for name, config in configs.items()
        }
        configs = {name: lasting(config, budgets[name], like=base) for name, config in configs.items()}
        compute[variant] = sum(spent(config, like=base) for config in configs.values())
        models = {}
        for name, config in configs.items():
            net = train(lab, f"{variant}, {name or 'base'}", config).net
            models[name] = (net, ModelInfo(config.net, config.plan, family=FAMILY, attribute=config.attribute))
            if not name:
                save_model(Path(start), net.state_dict(), models[name][1])
        about = [s.num, {name: to_dict(config) for name, config in configs.items()}, classifier.config.provenance]
        compositions[variant] = lab.piece(
            f"{variant}, composed", about, partial(_compose, lab, models, attributes, classifier, s)
        )
    held_out = lab.piece(
        "classifier", [s.base.net.image_size, classifier.config.provenance], lambda: _held_out(lab, classifier, s)
    )
    return _findings(compositions, held_out, s.num, compute)


def _variants(base: TrainConfig) -> dict[str, list[str]]:
    still = [*NO_TRANSITIONS, f"matching.noise={1 - base.matching.moved_noise}", "matching.moved_data=0.0"]
    one = [f"net.layouts={list(base.net.layouts[:1])}"]
    return {FULL: [], "no KL term": NO_KL, "no transitions": still, "one scale": one}


def _attribute(name: str) -> Attribute:
    attribute = load_toml(TrainConfig, CONFIGS / f"faces-{name}.toml").attribute
    assert attribute is not None
    return attribute


def _compose(
    lab: Lab,
    trained: dict[str, tuple[EnergyNetwork, ModelInfo]],
    attributes: list[Attribute],
    classifier: Classifier,
    s: Settings,
) -> dict[str, Any]:
    """Readings and distance of nothing, and of attributes one added after the other; samples of the last."""
    from train.evaluate.asked import AskedPictures
    from train.evaluate.asking import cases
    from train.evaluate.composed import FamilyModels

    nets = {name: for_sampling(net) for name, (net, _) in trained.items()}
    infos, base = {name: info for name, (_, info) in trained.items()}, s.base.net
    models = FamilyModels(nets, infos, pixels(base.channels, base.image_size), lab.device)
    by_name = {a.name: a for a in attributes}
    test = load(lab.data_config(TEST), s.base.net.image_size)
    labels = {a.name: label_vectors(test.labels, a, test.names) for a in attributes}
    planned = [c for c in cases(by_name, list(by_name), labels, s.num) if not c.name.endswith(" alone")]
    rows: dict[str, Any] = {}
    real = AskedPictures(test.images, labels, by_name, lab.device)
    for case in planned:
        samples, _ = models.draw(case, s.num, s.seed)
        # Where nothing is asked, what the classifier would find of what the last case asks: the level to beat.
        read = accuracies(
            predictions(classifier, enlarged(samples, classifier), lab.device),
            by_name,
            case.labels or planned[-1].labels,
        )
        distance = real.distance(samples, case)
        rows[case.name] = {"read": read, "distance": distance["distance"] if distance else None}
    return {"rows": rows, "shown": samples[:16]}


def enlarged(x: Tensor, classifier: Classifier) -> Tensor:
    """Pictures uint8 ``(B, C, H, W)`` at the classifier's own size, bilinearly."""
    side = classifier.config.image_size
    return F.interpolate(x.float(), size=(side, side), mode="bilinear", antialias=True).round().byte()


def _held_out(lab: Lab, classifier: Classifier, s: Settings) -> dict[str, float]:
    """What the classifier makes of real test pictures that were as small as the samples."""
    test = load(lab.data_config(TEST), s.base.net.image_size)
    by_name = {a.name: a for a in map(_attribute, ATTRIBUTES)}
    labels = {name: label_vectors(test.labels, a, test.names) for name, a in by_name.items()}
    outputs = predictions(classifier, enlarged(test.images, classifier), lab.device)
    alone = {name: accuracies(outputs, by_name, {name: label})[name] for name, label in labels.items()}
    asked = {name: torch.tensor([a.encode(a.opposites[1])]) for name, a in by_name.items()}  # as the last case asks
    has = has_asked(asked, by_name, labels, len(test.images))
    if not has.any():
        return alone
    outputs, labels = ({name: of[has] for name, of in all_of.items()} for all_of in (outputs, labels))
    return alone | {TOGETHER: accuracies(outputs, by_name, labels)[TOGETHER]}


def _findings(
    compositions: dict[str, dict[str, Any]], held_out: dict[str, float], num: int, compute: dict[str, float]
) -> Findings:
    table: list[dict[str, Any]] = [
        {"variant": variant, "asked for": case, **row["read"], "distance to such faces": row["distance"]}
        for variant, result in compositions.items()
        for case, row in result["rows"].items()
    ]
    table.append({"variant": "the classifier on real test pictures as small", **held_out})
    plot, (axis,) = figure(1, ["Read as asked for, all at once"], width=7.0)
    for (variant, result), colour in zip(compositions.items(), COLOURS, strict=False):
        rows = {case: row["read"][TOGETHER] for case, row in result["rows"].items()}
        cases = [case.replace(" & ", "\n& ") for case in rows]
        axis.plot(cases, list(rows.values()), "o-", color=colour, label=variant)
    axis.set_ylim(0, 1.05)
    legend(axis)
    last = {variant: list(result["rows"].values())[-1] for variant, result in compositions.items()}
    together = {variant: row["read"][TOGETHER] for variant, row in last.items()}
    nothing = next(iter(compositions[FULL]["rows"].values()))["read"][TOGETHER]
    claims = [
        Claim(
            "all four together are there more often than where nothing is asked",
            together[FULL] - nothing,
            f"{together[FULL]:.2f} of the samples, where nothing is asked {nothing:.2f}.",
        ),
        *(
            Claim(
                f"the full method composes better than with {variant}",
                together[FULL] - value,
                f"All four at once: {together[FULL]:.2f} against {value:.2f}; distance to real faces with all four "
                f"{last[FULL]['distance']} against {last[variant]['distance']}.",
                (compute[FULL], compute[variant]),
            )
            for variant, value in together.items()
            if variant != FULL
        ),
    ]
    samples = [result["shown"] for result in compositions.values()]
    pictures = {f"All four asked for; a row each: {', '.join(compositions)}": rows_of_pictures(samples)}
    notes = [
        "Every variant has an unconditional model and four attribute models of its own, trained with the compute that "
        "the full method takes; only the last iterations of each are ICD, where the KL term is.",
        f"Shares are of {num} samples; the distances to real faces with all four, which use more than one bit of each "
        "sample, stand beside.",
        "Samples are enlarged to the classifier's size, as are the real pictures of the last row: each attribute in "
        "all test pictures, each value counting alike, and all at once in those that have all four.",
    ]
    return Findings(table, claims, plot, pictures, notes)


EXPERIMENT = Experiment(
    "baselines",
    "Table 4",
    "What are the parts of the method worth for composition?",
    "Nothing: Table 4 has the full method alone. Table 2 has the parts' worth for samples.",
    settings,
    run,
)
