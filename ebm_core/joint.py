"""The joint score: how unlike held-out pictures a picture is in all that is measured of it together.

Alone each measurement is a weak witness. An energy likes plain pictures, whose ways back from noise are odd; a face
among animals passes both, and a classifier's features tell it at once. What counts is how usual they are beside each
other: the Mahalanobis distance of a few numbers of a picture from those of held-out ones (after the typicality of
several statistics: Morningstar et al., 2021, arXiv:2006.09273, there by densities).
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from ebm_core.checkpoint import CheckpointError, digest, fitting, read_safetensors
from ebm_core.detector.points import TINY, Whitening
from ebm_core.files import write_atomically

JOINT = "joint"  # the score's name
COMPONENTS = 64  # principal components of the features
LEAST = 200  # held-out pictures: fewer do not say how eight numbers vary together
# What has been fitted to some pictures finds these more usual than it does any others of their kind. So one half gives
# the principal components, and the other, which they do not know, all that a new picture is compared with.
FITTED, COMPARED = slice(0, None, 2), slice(1, None, 2)
RIDGE = 1e-6  # of each variance: numbers that always move together still have an inverse
METADATA_KEY = "ebm_studio_calibration"
FORMAT_VERSION = 1
MOST = 4096  # of any size that a file may claim


class Joint(nn.Module):
    """What held-out pictures' numbers are: ``mean (D,)`` and ``precision (D, D)`` of those that are handed over, and of
    two of the features, the distances inside and outside of their principal components."""

    mean: Tensor
    precision: Tensor

    def __init__(self, features: int, components: int, num: int) -> None:
        super().__init__()
        self.whitening = Whitening(features, components)
        self.register_buffer("mean", torch.zeros(num, dtype=torch.float64))
        self.register_buffer("precision", torch.eye(num, dtype=torch.float64))

    @classmethod
    def fit(cls, features: Tensor, numbers: Tensor) -> "Joint":
        """Of held-out pictures, ``LEAST`` or more: features ``(N, F)`` and other numbers ``(N, D - 2)``."""
        whitening = Whitening.fit(features[FITTED], COMPONENTS)
        own = cls(features.shape[1], whitening.axes.shape[1], numbers.shape[1] + 2)
        own.whitening.load_state_dict(whitening.state_dict())
        own.whitening.axes.copy_(whitening.axes.half())  # as they are stored
        columns = own._columns(features[COMPARED], numbers[COMPARED])
        covariance = torch.cov(columns.T)
        ridge = RIDGE * covariance.diagonal().clamp(min=TINY)
        own.mean.copy_(columns.mean(dim=0))
        own.precision.copy_(torch.linalg.inv(covariance + torch.diag(ridge)))
        return own

    def forward(self, features: Tensor, numbers: Tensor) -> Tensor:
        """Squared Mahalanobis distance ``(B,)`` of pictures' numbers from the held-out ones'."""
        apart = self._columns(features, numbers) - self.mean
        return ((apart @ self.precision) * apart).sum(dim=1)

    def _columns(self, features: Tensor, numbers: Tensor) -> Tensor:
        *inside, outside = self.whitening(features).double().unbind(1)
        distance = torch.stack(inside, dim=1).square().sum(dim=1).clamp(min=TINY).log()
        return torch.cat([numbers.double(), torch.stack([distance, outside], dim=1)], dim=1)

    def tensors(self) -> dict[str, Tensor]:
        """As the file has them: the components in float16, half the bytes."""
        state = self.state_dict()
        return state | {"whitening.axes": state["whitening.axes"].half()}

    @property
    def digest(self) -> str:
        """Differs when any number of it does; by it a model's calibration knows its own."""
        return digest(self.tensors())

    def save(self, path: Path) -> None:
        """Write it in one piece. Raises FileError when the disk refuses."""
        features, components = self.whitening.axes.shape
        sizes = {"features": features, "components": components, "numbers": len(self.mean)}
        content = {"format_version": FORMAT_VERSION, **sizes}
        tensors = {name: tensor.contiguous() for name, tensor in self.tensors().items()}
        write_atomically(path, save(tensors, metadata={METADATA_KEY: json.dumps(content)}))


def load_joint(path: Path) -> Joint:
    """The joint score of a file. Raises CheckpointError, in one sentence, for one that cannot be used."""
    file = read_safetensors(path, METADATA_KEY)
    try:
        content = json.loads(file.text)
        if (version := content["format_version"]) != FORMAT_VERSION:
            raise CheckpointError(
                f"{path} has format version {version}, this program reads {FORMAT_VERSION}; update ebm-studio"
            )
        sizes = [int(content[key]) for key in ("features", "components", "numbers")]
        if not all(1 <= size <= MOST for size in sizes):
            raise ValueError(f"sizes {sizes}")
        joint = Joint(*sizes)
    except CheckpointError:
        raise
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path}: its metadata cannot be read ({error!r}); calibrate the model again") from error
    joint.load_state_dict(fitting(path, file.tensors, joint.state_dict()))
    return joint
