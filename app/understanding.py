"""What the Understand page shows: chains of one start with and without transitions, and the plunge into the valleys.

No Gradio here.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import plotly.graph_objects as go

from app import present
from app.catalog import Catalog, Model
from app.live import Live
from app.session import DRAWING_SHARE, FRAME_INTERVAL, Session, View, in_line, resume, stop
from app.settings import controls_of, make_recipe
from app.walk import Walk
from ebm_core.arguments import COUNT, whole
from ebm_core.diversity import mean_pairwise_distance
from ebm_core.recipe import MAX_CHAINS, Recipe

NAMES = ("with jolts", "without")
OUT_OF_LINE = "Out of the line. <b>Let them part</b> joins it again."
NOISE, CHAINS = "noise", "the chains with jolts"


@dataclass
class Comparison:
    """One update of the two chain views, and of the plot that they share; None leaves a part as it is."""

    views: tuple[View | None, View | None]
    plot: go.Figure | None = None

    @property
    def phase(self) -> str:
        """The one of the walk that is behind: they end a moment after each other."""
        phases = [view.phase for view in self.views if view is not None]
        return next((phase for phase in ("running", "waiting", "stopped") if phase in phases), "finished")


def mixing_recipe(model: Model, num: float, rounds: float, strength: float, seed: float) -> Recipe:
    """Chains by the model's own plan for so many rounds, each of which, the first too, begins with a transition.

    Raises ValueError, in a sentence, for numbers that make no comparison.
    """
    whole(2, MAX_CHAINS).check(num, "'Chains on each side'")
    COUNT.check(rounds, "'Rounds'")
    controls = replace(controls_of(model), rounds=rounds, candidates=1, transition_strength=strength)
    recipe = make_recipe(model, controls, num, seed)
    return replace(recipe, plan=replace(recipe.plan, move_noise=True))


def part(
    pair: Sequence[Session], catalog: Catalog, name: str, num: float, rounds: float, strength: float, seed: float
) -> Iterator[Comparison]:
    """One chain walks from noise to a picture; from there ``num`` go on with transitions, and as many without.

    Raises ValueError, in a sentence, for settings that make no chain.
    """
    model = catalog.get(name)
    recipes = [mixing_recipe(model, num, rounds, power, seed) for power in (strength, 0.0)]
    first = Walk(model.landscape, make_recipe(model, controls_of(model), 1, seed))
    pair[1].close()
    pair[0].begin(first)
    first.go_on()
    for view in in_line(first, lambda: pair[0].walk is first):
        yield Comparison((view, view))
    live = Live(first)
    while first.wait(FRAME_INTERVAL) and pair[0].walk is first:
        if first.state is not None:
            view = _beginning(first, live)
            yield Comparison((view, view), distance_plot([]))
    if pair[0].walk is not first:
        return  # another comparison began, or the tab was closed
    if first.error is not None:
        raise first.error
    if first.state is None or not first.finished:
        note = "" if first.state else OUT_OF_LINE
        view = View("finished", "**Stopped** before the chains parted: press the button again", note=note)
        yield Comparison((view, view))
        return
    start = first.state.x.repeat(recipes[0].num, 1, 1, 1)
    for session, recipe in zip(pair, recipes, strict=True):
        session.begin(Walk(model.landscape, recipe, start))
    yield from watch(pair)


def watch(pair: Sequence[Session]) -> Iterator[Comparison]:
    """Both walks go on from where they stand. Raises ValueError when there are none."""
    walks = [session.walk for session in pair]
    if None in walks:
        raise ValueError("There are no chains to continue: press the button above first.")
    first, second = (resume(session, every_look=True) for session in pair)
    for views in zip_longest(first, second):
        wanted = any(view is not None and view.plot is not None for view in views)
        yield Comparison(views, distance_plot([walk for walk in walks if walk is not None]) if wanted else None)


def stop_both(pair: Sequence[Session]) -> None:
    """Both walks end after their present step and keep everything."""
    for session in pair:
        stop(session)


def distances(walk: Walk) -> dict[int, float]:
    """By recorded step the mean distance between two chains of a walk."""
    return {step: float(mean_pairwise_distance(walk.points(packed))) for step, packed in walk.frames()}


def plunge(
    session: Session, catalog: Catalog, name: str, num: float, steps: float, seed: float, chains: Walk | None = None
) -> Iterator[View]:
    """Noiseless steps into the nearest valleys, from noise, or from where the ``chains`` of another walk stand.

    Raises ValueError, in a sentence, when there is no such start or the settings make no chain.
    """
    model = catalog.get(name)
    start = None
    if chains is not None:
        if chains.state is None or chains.recipe.model != name:
            raise ValueError(f"There are no chains of '{name}' to start from: let some part, or start from noise.")
        start, num = chains.state.x, chains.recipe.num
    steps = COUNT.check(steps, "'Noiseless steps'")
    controls = replace(controls_of(model), rounds=0, refinement_steps=steps, noise_std=0.0, transition_strength=0.0)
    session.begin(Walk(model.landscape, make_recipe(model, controls, num, seed), start))
    yield from resume(session)


def _beginning(walk: Walk, live: Live) -> View:
    assert walk.state is not None
    step, steps = walk.state.step, walk.recipe.plan.num_steps
    status = f"**Making the picture that all chains start from** · step {step} of {steps}"
    started = time.monotonic()
    frame = live.frame(DRAWING_SHARE)
    live.spent += time.monotonic() - started - live.decoding
    return View("running", status, frame, smooth=walk.is_coded, progress=step / steps)


def distance_plot(walks: Sequence[Walk]) -> go.Figure:
    """Mean pairwise distances over the steps, a line for each walk."""
    num_steps = walks[0].recipe.plan.num_steps if walks else 1
    figure = present.energy_plot([], num_steps)
    for name, walk, colour in zip(NAMES, walks, present.LINE_COLOURS, strict=False):
        apart = distances(walk)
        figure.add_scatter(
            x=list(apart), y=list(apart.values()), mode="lines", name=name, line={"width": 3, "color": colour}
        )
    figure.update_layout(showlegend=bool(walks), yaxis={"title": {"text": "mean distance between chains"}})
    return figure
