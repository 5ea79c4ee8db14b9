"""What the controls of the sampling page mean, and its presets."""

from dataclasses import dataclass, replace

from app.catalog import Model
from ebm_core.arguments import Bounds, whole
from ebm_core.recipe import CHAINS, SEED, Recipe
from ebm_core.sampling import MAX_CANDIDATES, SamplePlan
from ebm_core.transitions import scaled


@dataclass(frozen=True)
class Controls:
    """Values of the page's controls, in the order in which they stand there."""

    rounds: float
    steps: float
    candidates: float
    refinement_steps: float
    step_size: float
    noise_std: float
    transition_strength: float


# What each is called on the page and may be, far beyond what walks well; the recipe bounds the steps together.
INPUTS: dict[str, tuple[str, Bounds]] = {
    "rounds": ("Rounds N", whole(0)),
    "steps": ("Steps K in each round", whole(0)),
    "candidates": ("Candidates for each picture", whole(1, MAX_CANDIDATES)),
    "refinement_steps": ("Refinement steps", whole(0)),
    "step_size": ("Step size", Bounds(0, 1e6, open=True)),
    "noise_std": ("Noise", Bounds(0, 10)),
    "transition_strength": ("Strength of the jolts", Bounds(0, 4)),
}


@dataclass(frozen=True)
class Preset:
    """A name, what it is for, and how it changes the model's own controls."""

    name: str
    purpose: str
    changes: dict[str, float]  # factors, but for those in ``fixed``
    fixed: dict[str, float]


PRESETS = [
    Preset("As trained", "The model's own plan: the pictures on its card.", {}, {}),
    Preset(
        "Quick look",
        "Half of the steps in one round; rougher, in half of the time or less.",
        {"steps": 0.5, "refinement_steps": 0.5},
        {"rounds": 1, "candidates": 1},
    ),
    Preset(
        "Wander",
        "More and stronger jolts between the walks: chains move on to other pictures.",
        {"rounds": 3, "transition_strength": 1.5},
        {},
    ),
    Preset(
        "Straight downhill",
        "No jolts and no noise: every chain rolls into the nearest valley.",
        {"refinement_steps": 4},
        {"rounds": 0, "candidates": 1, "noise_std": 0.0, "transition_strength": 0.0},
    ),
]
PRESET_NAMES = [preset.name for preset in PRESETS]


def controls_of(model: Model) -> Controls:
    """Controls as the model was trained."""
    plan = model.info.plan
    c = plan.langevin
    return Controls(plan.rounds, c.steps, plan.candidates, plan.refinement_steps, c.step_size, c.noise_std, 1.0)


def apply_preset(model: Model, name: str) -> tuple[Controls, str]:
    """Controls of a preset for this model, and the sentence that says what it is for."""
    preset = next(p for p in PRESETS if p.name == name)
    base = controls_of(model)
    values: dict[str, float] = {}
    for field, factor in preset.changes.items():
        value = getattr(base, field) * factor
        values[field] = max(1, round(value)) if isinstance(getattr(base, field), int) else value
    return replace(base, **values, **preset.fixed), preset.purpose


def make_recipe(model: Model, controls: Controls, num: float, seed: float) -> Recipe:
    """The recipe that the controls ask for. Raises ValueError, in the page's words, for values that make none.

    Without rounds to choose after there are no candidates: an address may switch the rounds off and say no more.
    """
    own = model.info.plan
    values = {name: bounds.check(getattr(controls, name), f"'{label}'") for name, (label, bounds) in INPUTS.items()}
    c = Controls(**values)
    langevin = replace(own.langevin, steps=int(c.steps), step_size=float(c.step_size), noise_std=float(c.noise_std))
    strength = float(c.transition_strength)
    plan = SamplePlan(
        int(c.rounds),
        int(c.refinement_steps),
        own.move_noise,
        langevin,
        scaled(own.transition, strength),
        int(c.candidates) if c.rounds * c.steps else 1,
    )
    chains, whole_seed = CHAINS.check(num, "'Chains'"), SEED.check(seed, "'Seed'")
    return Recipe(model.name, model.fingerprint, plan, whole_seed, chains, transition_strength=strength)


def controls_of_recipe(recipe: Recipe) -> Controls:
    """The inverse of ``make_recipe``."""
    plan = recipe.plan
    c = plan.langevin
    return Controls(
        plan.rounds,
        c.steps,
        plan.candidates,
        plan.refinement_steps,
        c.step_size,
        c.noise_std,
        recipe.transition_strength,
    )
