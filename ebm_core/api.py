"""EBM Studio in three lines of Python::

    from ebm_core.api import compose, sample, score

    sample("cats128", num=4).pictures[0]
    compose("faces128", [{"attribute": "smiling", "weight": 0.6}]).energies
    score("cat.jpg", "cats128").unusual

Models are named as under ``weights/``, or by a path or ``hf:owner/repo[@revision]``. Bad input raises ValueError, in a
sentence.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Required, TypedDict, TypeVar

from PIL import Image
from torch import Tensor

from ebm_core import images
from ebm_core.arguments import Bounds, brief, whole
from ebm_core.calibration import RATE, Calibration, open_calibration
from ebm_core.checkpoint import load_model
from ebm_core.composition import Composition, CompositionError, Term
from ebm_core.device import default_device
from ebm_core.family import Ask, Family, Operator, ask_for, check_operator, families
from ebm_core.family import compose as composition_of
from ebm_core.hub import WEIGHTS, find_model, open_space, shipped_infos
from ebm_core.langevin import ChainState
from ebm_core.nets import EnergyNetwork
from ebm_core.ood import measure, needs_of, scores
from ebm_core.pictures import Picture, PictureError, read_picture
from ebm_core.recipe import CHAINS, MAX_STEPS, SEED, Recipe, to_png
from ebm_core.restore import DEFAULT_CHAINS, Scene, chain, load_scene, recipe_of
from ebm_core.space import Space

WEIGHT, STEPS = Bounds(0, 1), whole(1, MAX_STEPS)
R = TypeVar("R")
Run = Callable[..., Any]  # calls a function, where and when it sees fit; a server takes turns with others, step by step


class ModelEntry(TypedDict):
    """A model: what its pictures are, and what it can be asked for."""

    name: str
    family: str  # models of one family can be composed; "" = of none
    image_size: int
    calibrated: bool  # whether its scores come with percentiles and a verdict
    attribute: str  # that a conditional model has learned; "" = it is sampled as it is
    values: list[str]  # that the attribute may have; for numbers and angles what they are called


class Wish(TypedDict, total=False):
    """What is asked of one attribute; only its name must be there."""

    attribute: Required[str]
    # A name, several of which any will do, degrees, or a number for each key. Left out, what the attribute is called
    # after: "smiling".
    value: str | float | list[float] | list[str]
    weight: float  # how much it counts, 0 to 1; 0.6 without
    operator: Operator  # "and" without


class Samples(NamedTuple):
    """Where chains ended, in their order."""

    pictures: list[Image.Image]
    energies: list[float]
    recipe: Recipe

    def png(self, index: int) -> bytes:
        """A picture as a file that carries its recipe, from which the page makes it again."""
        return to_png(self.pictures[index], replace(self.recipe, index=range(len(self.pictures))[index]))


class Score(NamedTuple):
    """What a model says of a picture. Without a calibration there are no percentiles and no verdict (None)."""

    energy: float
    judge: str  # the score that says whether it is unusual
    unusual: bool | None
    threshold: float | None  # what that score is compared with
    scores: dict[str, float]  # all of ``ebm_core.ood`` by name; higher = more out-of-distribution
    percentiles: dict[str, float]  # share, 0 to 1, of held-out pictures with a lower score
    notes: list[str]  # what was done to the file


def directly(function: Callable[..., R], *arguments: Any) -> R:
    """Call a function here and now."""
    return function(*arguments)


def models(weights: Path = WEIGHTS) -> list[ModelEntry]:
    """The models of a weights folder that can be used."""
    entries = []
    for name, info in shipped_infos(weights).items():
        space, a = open_space(info.space, info.net, model=find_model(name, weights)), info.attribute
        entries.append(
            ModelEntry(
                name=name,
                family=info.family,
                image_size=space.picture_shape[1],
                calibrated=bool(info.calibration),
                attribute=a.name if a else "",
                values=list(a.values or a.keys) if a else [],
            )
        )
    return entries


def sample(
    model: str,
    num: int = DEFAULT_CHAINS,
    seed: int = 0,
    *,
    weights: Path = WEIGHTS,
    device: str = default_device(),
    run: Run = directly,
) -> Samples:
    """``num`` chains from noise, by the model's own plan: same seed, same kind of device, same pictures."""
    num, seed = CHAINS.check(num, "'num'"), SEED.check(seed, "'seed'")
    recipe = recipe_of(Composition(Term(model)), weights, device, seed, num)
    return _finished(_scene_of(recipe, weights, device), recipe, run)


def compose(
    family: str,
    wishes: Sequence[Wish],
    num: int = DEFAULT_CHAINS,
    seed: int = 0,
    *,
    weights: Path = WEIGHTS,
    device: str = default_device(),
    run: Run = directly,
) -> Samples:
    """``num`` chains from noise down the sum of a family's energies, one for each wish."""
    num, seed = CHAINS.check(num, "'num'"), SEED.check(seed, "'seed'")
    known = families(shipped_infos(weights))
    if not (isinstance(family, str) and family in known):
        raise ValueError(f"there is no family {brief(family)} here; there are: {', '.join(known) or 'none'}")
    if not isinstance(wishes, list | tuple):
        raise CompositionError(f"wishes are a list, one for each attribute; got {brief(wishes)}")
    composition = composition_of(
        known[family], [ask for wish in wishes if (ask := _ask_of(known[family], wish)).weight]
    )
    recipe = replace(recipe_of(composition, weights, device, seed, num), model=family, composition=composition)
    return _finished(_scene_of(recipe, weights, device), recipe, run)


def score(
    picture: Image.Image | bytes | str | Path,
    model: str,
    false_alarm_rate: float = 0.05,
    *,
    weights: Path = WEIGHTS,
    device: str = default_device(),
    run: Run = directly,
) -> Score:
    """How unlike the model's training data a picture is, a file (its bytes, its path) or PIL's.

    It is unusual when its ``Calibration.judge`` is above that of all but a ``false_alarm_rate`` of held-out pictures.
    """
    rate = RATE.check(false_alarm_rate, "'false_alarm_rate'")
    net, space, calibration = _model_of(model, weights, device)
    read = _read(picture, space)
    measured = run(measure, net, read.u8[None], space, device, needs_of(calibration, device))
    values = scores(measured, calibration)
    shares, threshold, judge = {}, None, "energy"
    if calibration is not None:
        shares = {name: float(calibration.percentile(name, values[name])) for name in calibration.quantiles}
        judge = calibration.judge
        threshold = calibration.threshold(judge, rate)
    plain = {name: float(value) for name, value in values.items()}
    unusual = None if threshold is None else plain[judge] > threshold
    return Score(plain["energy"], judge, unusual, threshold, plain, shares, list(read.notes))


def pull_back(
    picture: Image.Image | bytes | str | Path,
    model: str,
    steps: int = 200,
    seed: int = 0,
    *,
    weights: Path = WEIGHTS,
    device: str = default_device(),
    run: Run = directly,
) -> Samples:
    """``steps`` Langevin steps from a picture itself, by the model's own step size and noise: one picture."""
    steps, seed = STEPS.check(steps, "'steps'"), SEED.check(seed, "'seed'")
    # In the precision of the score, so that the walk begins at the very energy that ``score`` gives.
    recipe = replace(recipe_of(Composition(Term(model)), weights, device, seed, 1), precision="float32")
    scene = _scene_of(recipe, weights, device)
    recipe = replace(recipe, plan=recipe.plan.refining(steps), from_picture=True)
    start = run(scene.space.encode, _read(picture, scene.space).u8[None].to(device))
    return _finished(scene, recipe, run, start)


def _finished(scene: Scene, recipe: Recipe, run: Run, start: Tensor | None = None) -> Samples:
    """The chains at their end, every step by ``run``."""
    states = chain(scene, recipe, start)
    last: ChainState | None = None
    while (state := run(next, states, None)) is not None:
        last = state
    assert last is not None  # a recipe has a step or more
    pictures = images.quantise(run(scene.space.decode, last.x)).cpu()
    return Samples([images.to_pil(u8) for u8 in pictures], last.energy.tolist(), recipe)


def _ask_of(family: Family, wish: Mapping[str, Any]) -> Ask:
    """A wish of a family. Raises CompositionError, in a sentence, for one that it cannot fulfil."""
    allowed = Wish.__annotations__
    if not isinstance(wish, Mapping) or "attribute" not in wish or not set(wish) <= set(allowed):
        raise CompositionError(f"a wish is {{'attribute': NAME}} with {', '.join(allowed)}; got {brief(wish)}")
    known = {attribute.name: (model, attribute) for model, attribute in family.attributes.items()}
    if not (isinstance(wish["attribute"], str) and wish["attribute"] in known):
        said = brief(wish["attribute"])
        raise CompositionError(f"'{family.name}' has no attribute {said}; there are: {', '.join(known)}")
    model, attribute = known[wish["attribute"]]
    weight = WEIGHT.check(wish.get("weight", 0.6), f"the weight of '{attribute.name}'")
    operator = wish.get("operator", "and")
    check_operator(operator, attribute)
    try:
        values = attribute.hear(wish.get("value"))
    except ValueError as error:
        raise CompositionError(str(error)) from error
    return ask_for(model, attribute, values, float(weight), operator)


def _read(picture: Image.Image | bytes | str | Path, space: Space) -> Picture:
    if isinstance(picture, Image.Image):
        try:
            picture = images.encode(picture, "PNG", exif=picture.getexif())  # which says how a camera was held
        except OSError as error:
            raise PictureError(f"{error}: hand over the file itself, or the picture after convert('RGB')") from error
    if isinstance(picture, (str, Path)):
        path = Path(picture)
        try:
            picture = path.read_bytes()
        except OSError as error:
            raise PictureError(f"{path} cannot be read: {error.strerror}") from error
    size, channels = space.size_and_channels
    return read_picture(picture, size, channels)


def _scene_of(recipe: Recipe, weights: Path, device: str) -> Scene:
    return _scene(replace(recipe, seed=0, num=1), weights, device)


@lru_cache(maxsize=6)
def _scene(recipe: Recipe, weights: Path, device: str) -> Scene:
    """One for all chains of a recipe's models: it is only read. Their fingerprint is in the recipe."""
    return load_scene(recipe, weights, device)


def _model_of(name: str, weights: Path, device: str) -> tuple[EnergyNetwork, Space, Calibration | None]:
    path = find_model(name, weights)
    return _model(path, path.stat().st_mtime_ns, device)


@lru_cache(maxsize=6)
def _model(path: Path, modified: int, device: str) -> tuple[EnergyNetwork, Space, Calibration | None]:
    net, info = load_model(path, device)
    if info.net.label_dim:
        raise ValueError(f"'{path.parent.name}' answers only with a label: score by an unconditional model")
    return net, open_space(info.space, info.net, device, path), open_calibration(path, info)
