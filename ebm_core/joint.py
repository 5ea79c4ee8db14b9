"""The joint score: how unlike held-out pictures a picture is in all that is measured of it together.

Alone each measurement is a weak witness. A face among animals may have the usual ways back from noise, and a
classifier's features tell it at once; of speckles these see little. What counts is how usual they are beside each
other: the Mahalanobis distance of a few numbers of a picture from those of held-out ones (after the typicality of
several statistics: Morningstar et al., 2021, arXiv:2006.09273, there by densities). The energy and its slope are not
among them: with them it tells less (``train/evaluate/joint.py``).
"""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from ebm_core.checkpoint import CheckpointError, digest, fitting, read_safetensors

JOINT = "joint"  # the score's name
COMPONENTS = 64  # principal components of the features of each depth, at the most half of these
LEAST = 200  # held-out pictures: fewer do not say how a dozen numbers vary together
# What has been fitted to some pictures finds these more usual than it does any others of their kind. So one half gives
# the principal components, and the other, which they do not know, all that a new picture is compared with.
FITTED, COMPARED = slice(0, None, 2), slice(1, None, 2)
RIDGE = 1e-6  # of each variance: numbers that always move together still have an inverse
TINY = 1e-6
METADATA_KEY = "ebm_studio_calibration"
FORMAT_VERSION = 2  # 1 had the energy and its slope
MOST = 4096  # features that a file may claim


class Depth(nn.Module):
    """Held-out features of one depth: their mean, their principal components and the spreads along these."""

    mean: Tensor  # (F,)
    axes: Tensor  # (F, k), unit vectors
    spread: Tensor  # (k,)

    def __init__(self, num: int) -> None:
        super().__init__()
        components = max(1, min(COMPONENTS, num // 2))
        self.register_buffer("mean", torch.zeros(num))
        self.register_buffer("axes", torch.zeros(num, components))
        self.register_buffer("spread", torch.ones(components))

    def fit(self, x: Tensor) -> None:
        """To features ``(N, F)``."""
        self.mean.copy_(x.mean(dim=0))
        values, vectors = torch.linalg.eigh(torch.cov(x.T.double()).reshape(len(self.mean), -1))
        k = len(self.spread)
        self.axes.copy_(vectors.flip(1)[:, :k].half())  # as they are stored
        self.spread.copy_(values.flip(0)[:k].clamp(min=TINY).sqrt())

    def forward(self, x: Tensor) -> Tensor:
        """Logarithms, float64 ``(B, 2)``, of the squared Mahalanobis distance along the components, and of the squared
        length of all that they leave out."""
        apart = x - self.mean
        along = apart @ self.axes
        inside, outside = (along / self.spread).square().sum(dim=1), (apart - along @ self.axes.T).square().sum(dim=1)
        return torch.stack([inside, outside], dim=1).double().clamp(min=TINY).log()


class Joint(nn.Module):
    """What held-out pictures' numbers are: ``mean (D,)`` and ``precision (D, D)`` of ``num`` that are handed over, and
    of two for the features of each depth."""

    mean: Tensor
    precision: Tensor

    def __init__(self, depths: Sequence[int], num: int) -> None:
        super().__init__()
        self.depths = nn.ModuleList(Depth(size) for size in depths)
        self.sizes, self.num = [*depths], num
        num += 2 * len(depths)
        self.register_buffer("mean", torch.zeros(num, dtype=torch.float64))
        self.register_buffer("precision", torch.eye(num, dtype=torch.float64))

    @classmethod
    def fit(cls, features: Tensor, numbers: Tensor, depths: Sequence[int]) -> "Joint":
        """Of held-out pictures, ``LEAST`` or more: features ``(N, sum(depths))`` and other numbers ``(N, num)``."""
        own = cls(depths, numbers.shape[1])
        for depth, part in zip(own.depths, features[FITTED].split(own.sizes, dim=1), strict=True):
            assert isinstance(depth, Depth)
            depth.fit(part)
        columns = own._columns(features[COMPARED], numbers[COMPARED])
        covariance = torch.cov(columns.T)
        own.mean.copy_(columns.mean(dim=0))
        ridge = RIDGE * covariance.diagonal().clamp(min=TINY)
        own.precision.copy_(torch.linalg.inv(covariance + torch.diag(ridge)))
        return own

    def forward(self, features: Tensor, numbers: Tensor) -> Tensor:
        """Squared Mahalanobis distance ``(B,)`` of pictures' numbers from the held-out ones'."""
        apart = self._columns(features, numbers) - self.mean
        return ((apart @ self.precision) * apart).sum(dim=1)

    def _columns(self, features: Tensor, numbers: Tensor) -> Tensor:
        parts = features.split(self.sizes, dim=1)
        return torch.cat([numbers.double(), *(depth(part) for depth, part in zip(self.depths, parts))], dim=1)

    def tensors(self) -> dict[str, Tensor]:
        """As the file has them: the components in float16, half the bytes."""
        return {name: t.half() if name.endswith(".axes") else t for name, t in self.state_dict().items()}

    @property
    def digest(self) -> str:
        """Differs when any number of it does; by it a model's calibration knows its own."""
        return digest(self.tensors())

    def to_bytes(self) -> bytes:
        """The content of its file, which ``load_joint`` reads."""
        content = {"format_version": FORMAT_VERSION, "depths": self.sizes, "numbers": self.num}
        tensors = {name: tensor.contiguous() for name, tensor in self.tensors().items()}
        return save(tensors, metadata={METADATA_KEY: json.dumps(content)})


def load_joint(path: Path) -> Joint:
    """The joint score of a file. Raises CheckpointError, in one sentence, for one that cannot be used."""
    file = read_safetensors(path, METADATA_KEY)
    try:
        content = json.loads(file.text)
        if (version := content["format_version"]) != FORMAT_VERSION:
            raise CheckpointError(
                f"{path} has format version {version}, this program reads {FORMAT_VERSION}; "
                f"{'calibrate the model again' if version == 1 else 'update ebm-studio'}"
            )
        sizes, num = [int(size) for size in content["depths"]], int(content["numbers"])
        if min([num, *sizes]) < 1 or num + sum(sizes) > MOST:
            raise ValueError(f"depths {sizes} and {num} numbers")
        joint = Joint(sizes, num)
    except CheckpointError:
        raise
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise CheckpointError(f"{path}: its metadata cannot be read ({error!r}); calibrate the model again") from error
    joint.load_state_dict(fitting(path, file.tensors, joint.state_dict()))
    return joint
