"""The page's endpoints for programs: ``ebm_core.api`` by name, stateless, in the page's line and on its compute thread.

Pictures travel as files in base64; a PNG that comes back carries its recipe. Bad input is an error in one sentence.
"""

import base64
import binascii
from collections.abc import Callable
from typing import Any, TypedDict, TypeVar

from gradio.events import api as endpoint

from app.catalog import Catalog
from app.compute import COMPUTE
from app.limits import PICTURES
from app.line import LINE
from ebm_core import api
from ebm_core.api import ModelEntry, Samples, Wish
from ebm_core.arguments import brief
from ebm_core.checkpoint import CheckpointError
from ebm_core.config import to_dict
from ebm_core.hub import shipped_models

NUM = 4  # chains where nobody says how many
WAIT = 60.0  # seconds between two looks at the line
R = TypeVar("R")


class SamplesReply(TypedDict):
    """Where chains ended: PNG files in base64 and their energies, in the same order; and how they were made."""

    pictures: list[str]
    energies: list[float]
    recipe: dict[str, Any]


class ScoreReply(TypedDict):
    """``ebm_core.api.Score``."""

    energy: float
    judge: str
    unusual: bool | None
    threshold: float | None
    scores: dict[str, float]
    percentiles: dict[str, float]
    notes: list[str]


def add_endpoints(catalog: Catalog) -> None:
    """Add the five to the page that is being built, for the models of a catalog."""
    weights, device = catalog.weights, catalog.device

    def models() -> list[ModelEntry]:
        """The models that are here: their families, attributes and the values that these may have."""
        return api.models(weights)

    def sample(model: str, num: int = NUM, seed: int = 0) -> SamplesReply:
        """Walk `num` chains (1 to 64) from noise to pictures of a model."""
        check_known(model)
        return _reply(in_turn(api.sample, model, num, seed))

    def compose(family: str, wishes: list[Wish], num: int = NUM, seed: int = 0) -> SamplesReply:
        """Walk chains down the sum of a family's energies. A wish is {"attribute": "smiling", "value": "smiling",
        "weight": 0.6, "operator": "and"}; all but the attribute may be left out. Angles are in degrees."""
        return _reply(in_turn(api.compose, family, wishes, num, seed))

    def score(picture: str, model: str, false_alarm_rate: float = 0.05) -> ScoreReply:
        """How unlike a model's training data a picture (an image file in base64) is; higher is more so."""
        check_known(model)
        # No walk: it waits for no place in the line, only for its turn of the compute thread.
        s = api.score(_bytes_of(picture), model, false_alarm_rate, weights=weights, device=device, run=_run)
        return ScoreReply(
            energy=s.energy,
            judge=s.judge,
            unusual=s.unusual,
            threshold=s.threshold,
            scores=s.scores,
            percentiles=s.percentiles,
            notes=s.notes,
        )

    def pull_back(picture: str, model: str, steps: int = 200, seed: int = 0) -> SamplesReply:
        """Walk from a picture (an image file in base64) downhill to one that the model knows."""
        check_known(model)
        return _reply(in_turn(api.pull_back, _bytes_of(picture), model, steps, seed))

    def in_turn(function: Callable[..., R], *arguments: Any) -> R:
        ticket = LINE.join()
        try:
            while not LINE.wait(ticket, WAIT):
                pass
            return function(*arguments, weights=weights, device=device, run=_run)
        finally:
            LINE.leave(ticket)

    def check_known(model: str) -> None:
        """Strangers may name the models of this folder alone, no paths."""
        if model not in (known := shipped_models(weights)):
            raise CheckpointError(f"there is no model {brief(model)} here; there are: {', '.join(known)}")

    for function in (models, sample, compose, score, pull_back):
        endpoint(function, concurrency_limit=None)


def _run(function: Callable[..., R], *arguments: Any) -> R:
    return COMPUTE.submit(function, *arguments).result()


def _reply(samples: Samples) -> SamplesReply:
    files = [base64.b64encode(samples.png(i)).decode() for i in range(len(samples.pictures))]
    return SamplesReply(pictures=files, energies=samples.energies, recipe=to_dict(samples.recipe))


def _bytes_of(picture: str) -> bytes:
    """The file in a base64 string or data URL. Raises ValueError for anything else, and above the page's limit."""
    if not isinstance(picture, str):
        raise ValueError(f"'picture' is an image file in base64, got {type(picture).__name__}")
    PICTURES.check_bytes(len(picture) * 3 // 4)
    try:
        return base64.b64decode(picture.rpartition("base64,")[2], validate=True)
    except binascii.Error as error:
        raise ValueError(f"'picture' is an image file in base64, and this is no base64 ({error})") from error
