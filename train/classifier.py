"""``python -m train classifier FAMILY``: a classifier of a family's attributes, trained on real pictures."""

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from ebm_core.arguments import COUNT, add_device, folder_name
from ebm_core.attribute import Attribute
from ebm_core.classifier import CLASSIFIER_FILE, Classifier, ClassifierConfig, save_classifier
from ebm_core.config import load_toml
from ebm_core.files import check_new
from ebm_core.hub import WEIGHTS
from ebm_core.images import dequantise
from ebm_core.recipe import SEED
from ebm_core.transitions import TransitionConfig, transition
from train.batch import label_vectors
from train.config import TrainConfig
from train.data import DataConfig, load
from train.evaluate.predictions import accuracies, predictions
from train.provenance import add_allow_dirty, command_of, provenance

CONFIGS = Path(__file__).parent / "configs"
BATCH = 64
COLOURS = TransitionConfig(1.0, 0.0, jitter_strength=0.3, jitter_prob=0.8, grayscale_prob=0.0, blur_prob=0.3)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add_device(parser)
    parser.add_argument(
        "family", type=folder_name, help="such as faces: its attributes are those of train/configs/FAMILY-*.toml"
    )
    parser.add_argument("--train", required=True, help="zip of the training images")
    parser.add_argument("--test", required=True, help="zip of images that only its accuracy is measured on")
    parser.add_argument("--epochs", type=COUNT, default=12)
    parser.add_argument(
        "--width", type=COUNT, default=ClassifierConfig.width, help="of the first stage; ResNet-18 has 64"
    )
    parser.add_argument("--size", type=COUNT, default=ClassifierConfig.image_size, help="of the pictures that it reads")
    parser.add_argument("--seed", type=SEED, default=0)
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="folder whose FAMILY folder gets the classifier")
    parser.add_argument("--force", action="store_true", help="replace the classifier that is there")
    add_allow_dirty(parser)


def run(a: argparse.Namespace) -> None:
    path = a.weights / a.family / CLASSIFIER_FILE
    if not a.force:
        check_new(path, "--force replaces it")
    config = ClassifierConfig(family_attributes(a.family), image_size=a.size, width=a.width)
    started = time.monotonic()
    (x, y), (x_test, y_test) = (_load(path, config) for path in (a.train, a.test))
    classifier = fit_classifier(x, y, config, a.epochs, a.seed, a.device)
    figures = held_out(classifier, x_test, y_test, a.device)
    options = {
        "train": a.train,
        "test": a.test,
        "epochs": a.epochs,
        "width": a.width,
        "size": a.size,
        "seed": a.seed,
        "weights": a.weights,
        "force": a.force,
    }
    origin: dict[str, Any] = {
        "train": Path(a.train).name,
        "test": Path(a.test).name,
        "num_train": len(x),
        "num_test": len(x_test),
        "epochs": a.epochs,
        "seed": a.seed,
        "seconds": round(time.monotonic() - started),
        **provenance(command_of(["classifier", a.family], options, a.device)),
    }
    classifier.config = replace(config, held_out=figures, provenance=origin)
    save_classifier(path, classifier)
    print("\n".join(f"{name}: {value:.4f}" for name, value in figures.items()))
    print(f"{path}: {path.stat().st_size / 2**20:.2f} MiB, {origin['seconds']} s")


def family_attributes(family: str) -> tuple[Attribute, ...]:
    """The attributes of a family's configs, by name. Raises ValueError when there are none."""
    configs = [load_toml(TrainConfig, path) for path in sorted(CONFIGS.glob(f"{family}-*.toml"))]
    attributes = tuple(c.attribute for c in configs if c.attribute is not None and c.family == family)
    if not attributes:
        raise ValueError(f"there are no attribute configs of a family '{family}' in {CONFIGS}")
    return attributes


def fit_classifier(x: Tensor, y: Tensor, config: ClassifierConfig, epochs: int, seed: int, device: str) -> Classifier:
    """Train on images uint8 ``(N, 3, H, W)`` and label vectors ``(N, sum of label_dim)``; AdamW, one cycle."""
    torch.manual_seed(seed)
    rng = torch.Generator(device).manual_seed(seed)
    classifier, x, y = Classifier(config).to(device).train(), x.to(device), y.to(device)
    optimiser = torch.optim.AdamW(classifier.parameters(), weight_decay=0.05, fused=True)
    steps = epochs * max(1, len(x) // BATCH)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    # Crops and mirrors keep a smile; a place or a size they would change.
    choices_only = all(a.is_choice for a in config.attributes)
    moves = replace(COLOURS, crop_min_scale=0.75, flip_prob=0.5) if choices_only else COLOURS
    counts = y.clamp(min=0).sum(dim=0)
    for _ in tqdm(range(steps), "classifier"):
        chosen = torch.randint(len(x), (BATCH,), generator=rng, device=device)
        moved = transition(dequantise(x[chosen], rng), moves, rng)
        loss = classifier_loss(classifier, moved, y[chosen], counts)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        cycle.step()
    return classifier.eval()


def classifier_loss(classifier: Classifier, x: Tensor, y: Tensor, counts: Tensor) -> Tensor:
    """Cross entropy for choices plus squared error for numbers, summed over the attributes.

    ``counts (sum of label_dim)`` say how often each value is there: a rare one counts as much as a common one.
    """
    outputs, labels, frequency = (classifier.by_attribute(v) for v in (classifier(x), y, counts[None]))
    losses = []
    for a in classifier.config.attributes:
        if a.is_choice:
            weight = frequency[a.name][0].sum() / (len(a.values) * frequency[a.name][0].clamp(min=1))
            losses.append(F.cross_entropy(outputs[a.name], labels[a.name], weight, label_smoothing=0.05))
        else:
            losses.append(4 * F.mse_loss(outputs[a.name], labels[a.name]))
    return torch.stack(losses).sum()


@torch.no_grad()
def held_out(classifier: Classifier, x: Tensor, y: Tensor, device: str) -> dict[str, float]:
    """On pictures not trained on: of each attribute by itself the balanced share read rightly, or the mean error."""
    outputs, labels = predictions(classifier, x, device), classifier.by_attribute(y)
    figures: dict[str, float] = {}
    for a in classifier.config.attributes:
        figures |= accuracies(outputs, {a.name: a}, {a.name: labels[a.name]})
    return figures


def _load(path: str, config: ClassifierConfig) -> tuple[Tensor, Tensor]:
    data = load(DataConfig("zip", path), config.image_size)
    return data.images, torch.cat([label_vectors(data.labels, a, data.names) for a in config.attributes], dim=1)
