"""A classifier that reads the attributes of a family's pictures, so that compositions can be judged by a stranger.

No energy ever sees it: it only sees finished pictures, on the page and in evaluations.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor, nn

from ebm_core.arguments import whole
from ebm_core.attribute import Attribute
from ebm_core.checkpoint import FLOATS, CheckpointError, filled, read_safetensors
from ebm_core.config import check_fields, from_dict, to_dict
from ebm_core.files import write_atomically

CLASSIFIER_FILE = "classifier.safetensors"
METADATA_KEY = "ebm_studio_reader"  # what such files were first called


@dataclass(frozen=True)
class ClassifierConfig:
    """What makes a classifier; saved with its weights."""

    attributes: tuple[Attribute, ...]
    image_size: Annotated[int, whole(1, 4096)] = 32
    width: Annotated[int, whole(1, 1024)] = 16  # of the first stage; a ResNet-18 has 64
    held_out: dict[str, float] = field(default_factory=dict)  # its own figures on pictures it was not trained on
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.attributes:
            raise ValueError("a classifier needs an attribute")


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a way past them (He et al., 2016), its weights named as those of torchvision's."""

    def __init__(self, width_in: int, width_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width_out)
        self.conv2 = nn.Conv2d(width_out, width_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width_out)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or width_in != width_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(width_in, width_out, 1, stride, bias=False), nn.BatchNorm2d(width_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        h = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True)))
        return F.relu(h + self.downsample(x), inplace=True)


class Classifier(nn.Module):
    """ResNet-18 (He et al., 2016) with a 3x3 stem that keeps the size, as for CIFAR.

    ``(B, 3, H, W)`` in [0, 1] to ``(B, sum of label_dim)``: for each attribute in turn its label vector, as logits
    where it is a choice. BatchNorm is no harm here: this is no energy.
    """

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        w = config.width
        layers: list[nn.Module] = [nn.Conv2d(3, w, 3, padding=1, bias=False), nn.BatchNorm2d(w), nn.ReLU()]
        channels = w
        for stage in range(4):
            for block in range(2):
                width_out, stride = w * 2**stage, 2 if stage and not block else 1
                layers.append(BasicBlock(channels, width_out, stride))
                channels = width_out
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(channels, sum(a.label_dim for a in config.attributes))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.head(self.body(2 * x - 1))
        return result

    def by_attribute(self, outputs: Tensor) -> dict[str, Tensor]:
        """Outputs ``(B, sum)`` as ``(B, label_dim)`` for each attribute's name."""
        parts = torch.split(outputs, [a.label_dim for a in self.config.attributes], dim=1)
        return {a.name: part for a, part in zip(self.config.attributes, parts, strict=True)}

    def fitted(self, x: Tensor) -> Tensor:
        """Pictures ``(B, 3, H, W)`` in the size that it was trained on. Raises ValueError for smaller ones."""
        size = self.config.image_size
        if min(x.shape[2:]) < size:
            raise ValueError(f"this classifier reads pictures of {size} pixels or more, got {min(x.shape[2:])}")
        return x if x.shape[2:] == (size, size) else F.interpolate(x, size=(size, size), mode="area")


def save_classifier(path: Path, classifier: Classifier) -> None:
    """Write a classifier's weights, as float16, and config in one piece. Raises FileError when the disk refuses."""
    tensors = {n: (t.half() if t.is_floating_point() else t).contiguous() for n, t in classifier.state_dict().items()}
    write_atomically(path, save(tensors, metadata={METADATA_KEY: json.dumps(to_dict(classifier.config))}))


def load_classifier(path: Path, device: str = "cpu") -> Classifier:
    """A frozen classifier in evaluation mode. Raises CheckpointError, in one sentence, for a file that is none."""
    if not path.exists():
        raise CheckpointError(f"{path} is not there; python -m train classifier trains it")
    file = read_safetensors(path, METADATA_KEY, (*FLOATS, "I64"))  # BatchNorm counts its batches
    try:
        config = from_dict(ClassifierConfig, json.loads(file.text), "classifier")
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not a classifier that can be used ({error}); train it again") from error
    classifier = filled(path, lambda: Classifier(config), file.tensors)
    return classifier.requires_grad_(False).eval().to(device)
