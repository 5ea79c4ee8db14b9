"""How a picture was made, small enough to travel inside it: the page, the command line and PNGs share this."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image
from safetensors import deserialize

from ebm_core import images
from ebm_core.arguments import whole
from ebm_core.checkpoint import METADATA_KEY, read_info, read_safetensors
from ebm_core.composition import Composition, CompositionError
from ebm_core.config import ConfigError, from_dict, to_dict
from ebm_core.sampling import SamplePlan, without_clamp

MAX_CHAINS = 64
MAX_STEPS = 5000
MAX_SEED = 2**32 - 1
CHAINS, SEED = whole(1, MAX_CHAINS), whole(0, MAX_SEED)


@dataclass(frozen=True)
class Recipe:
    """All that is needed to make a picture again on the same kind of device (``ebm_core.precision`` says which is)."""

    model: str
    fingerprint: str  # of the model's weights and network, so that a retrained model of the same name is noticed
    plan: SamplePlan
    seed: int
    num: int  # chains that ran together
    index: int = -1  # which of them this picture is; -1 = all, as a grid
    transition_strength: float = 1.0  # the plan's transitions are the model's own times this
    stopped_at: int = -1  # the step at which a person stopped the chain; -1 = it ran to its end
    composition: Composition | None = None  # of several models; ``model`` is then their family
    steered: bool = False  # its weights were changed while it ran, so the seed alone does not make it again
    from_picture: bool = False  # it began at a given picture, not at noise: the seed alone does not make it again
    precision: Literal["", "float32", "bfloat16"] = ""  # that the chains ran in; "" = made before this was recorded

    def __post_init__(self) -> None:
        CHAINS.check(self.num, "the number of chains")
        SEED.check(self.seed, "the seed")
        if self.plan.num_steps > MAX_STEPS:
            raise ValueError(f"{self.plan.num_steps} Langevin steps are more than {MAX_STEPS}; take fewer of them")
        if self.plan.num_steps < 1:
            raise ValueError("a chain needs at least one step: raise the rounds or the refinement steps")
        if not -1 <= self.index < self.num:
            raise ValueError(f"there is no chain {self.index} among {self.num}")


def fingerprint(*paths: Path) -> str:
    """First 16 hexadecimal digits of a SHA-256 of what makes the models' pictures, one model after the other.

    That is their weights, networks and labels: where a file says that it came from, or what it was calibrated on, is no
    matter. The plan is in the recipe itself. Raises CheckpointError for what is no model file.
    """
    digest = hashlib.sha256()
    for path in paths:
        read_info(path)  # says what is wrong with the file, if anything is
        # As the file has them: fields that a later version adds, at what they are without, leave it the same model.
        metadata = json.loads(read_safetensors(path, METADATA_KEY, only_metadata=True).text)
        digest.update(json.dumps([metadata["net"], metadata.get("attribute")], sort_keys=True).encode())
        if (space := metadata.get("space")) and space.get("codec"):
            digest.update(json.dumps(space, sort_keys=True).encode())
        for name, tensor in sorted(deserialize(path.read_bytes())):  # type: ignore[no-untyped-call]
            digest.update(json.dumps([name, tensor["dtype"], tensor["shape"]]).encode())
            digest.update(tensor["data"])
    return digest.hexdigest()[:16]


def to_png(image: Image.Image, recipe: Recipe) -> bytes:
    """A PNG that carries its recipe."""
    return images.encode_png(image, to_dict(recipe))


def from_png(data: bytes) -> Recipe:
    """The recipe in a PNG. Raises ValueError, in a sentence, when there is none or it is not valid."""
    try:
        plain = images.read_recipe(data)
        if isinstance(plan := plain.get("plan"), dict):
            plain = plain | {"plan": without_clamp(plan)}
        return from_dict(Recipe, plain)
    except (ConfigError, CompositionError) as error:
        raise ValueError(f"the settings in this PNG are not valid: {error}") from error
