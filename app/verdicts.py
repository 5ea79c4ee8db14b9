"""Which scores can judge, and what a score means in words."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from app.board import Board, Scored
from app.catalog import Model
from ebm_core.calibration import Calibration
from ebm_core.ood import CALIBRATED
from ebm_core.training import iterations_of

RESOLUTION = 1e-6  # of float32, with what the order of its sums makes of it

Kind = Literal["unusual", "usual", "low", "raw"]
LOW = 0.01  # share of held-out pictures with a lower score, below which the page warns


@dataclass(frozen=True)
class Judge:
    """A score by its name in ``ebm_core.ood``: its name on the page, what it is, and what those that are lower do."""

    name: str
    label: str
    purpose: str
    lower: str
    low_is_odd: bool = True  # far below the held-out pictures is as strange as far above
    constant: bool = False  # it says the same of all held-out pictures, so it cannot judge

    @property
    def short(self) -> str:
        """The label, as short as it stands in tables."""
        return self.label.removeprefix("Energy ").removesuffix("-corrected energy")


@dataclass(frozen=True)
class Verdict:
    """``low``: not unusual, but suspiciously below almost all; ``raw``: there is nothing to compare with."""

    kind: Kind
    words: str

    @property
    def unusual(self) -> bool:
        return self.kind == "unusual"

    @property
    def short(self) -> str:
        """One or two words; ``words`` begin with them."""
        return {"unusual": "unusual", "raw": "no verdict"}.get(self.kind, "not unusual")


MATCHED = (
    "⚠️ **Do not rely on its verdicts**: {done} of its {total:,} training iterations were contrastive divergence, which "
    "alone gives an energy's level a meaning. Noise, or pictures of another kind, may look usual to it. For a verdict "
    "that counts teach a detector under *My own pictures*."
)
WITH_JOINT = (
    "⚠️ **Do not judge by its energy alone**: {done} of its {total:,} training iterations were contrastive divergence, "
    "which alone gives an energy's level a meaning. *All together* does without that level."
)
MOSTLY = 0.5  # share of contrastive divergence below which the page warns


def training_warning(provenance: Mapping[str, Any], *, joint: bool) -> str:
    """Markdown that warns of a model trained by matching for the most part; "" where its file does not say.

    With the ``joint`` score, which judges where it is, only of the energy.
    """
    iterations = iterations_of(provenance)
    if iterations is None or iterations.contrastive >= MOSTLY * iterations.total:
        return ""
    done = f"{iterations.contrastive:,}" if iterations.contrastive else "none"
    return (WITH_JOINT if joint else MATCHED).format(done=done, total=iterations.total)


RECONSTRUCTION = Judge(
    "reconstruction",
    "Reconstruction error",
    "What the model cannot see: it works on a short code of the picture, and this is the mean squared difference "
    "between the picture (pixels from 0 to 1) and what its code gives back. It is large where there is detail that "
    "the code was not made for, such as writing or noise.",
    "are given back better by their code",
    low_is_odd=False,
)


def judges_of(model: Model, calibration: Calibration | None) -> dict[str, Judge]:
    """The scores by name: those that are calibrated, or without a calibration those that a model gives by itself."""
    c, coded = model.info.net, model.space.is_coded
    sizes = [c.image_size >> scale for scale in range(len(c.layouts))] if len(c.layouts) > 1 else []
    what, unit = ("the picture's code", "places") if coded else ("the picture", "pixels")
    scales = [
        Judge(
            f"scale_{i}",
            f"Energy at {size}x{size}",
            f"One of the terms that the energy is the sum of: what the model thinks of {what} at {size}x{size} {unit}.",
            f"have a lower energy at {size}x{size}",
        )
        for i, size in enumerate(sizes)
    ]
    known = [
        Judge(
            "energy",
            "Energy",
            "The model's own answer: minus the log-probability, up to a constant.",
            "have a lower energy",
        ),
        *scales,
        Judge(
            "grad_norm",
            "Gradient norm",
            "How steep the energy is at the picture (“approximate mass”): training pictures lie where it is flat.",
            "lie where it is flatter",
            low_is_odd=False,
        ),
        *([RECONSTRUCTION] if coded else []),
        Judge(
            "typicality",
            "Typicality",
            "How far the energy is from the median of held-out pictures, on either "
            "side: a picture can also be too likely.",
            "are nearer to the median energy",
            low_is_odd=False,
        ),
        Judge(
            "complexity",
            "Complexity-corrected energy",
            "The energy less what the picture's complexity, in bits "
            "of a PNG, explains of it: a plain picture gets no discount.",
            "have a lower corrected energy",
        ),
        Judge(
            "residual",
            "Way back from noise",
            "The picture is mixed with noise, and the model's slope should lead back to it: how unlike those of "
            "held-out pictures its misses are.",
            "are led back to more as usual",
            low_is_odd=False,
        ),
        Judge(
            "joint",
            "All together",
            "How unlike those of held-out pictures the ways back from noise and what a classifier of photographs "
            "sees in the picture are together.",
            "are more usual in all of it together",
            low_is_odd=False,
        ),
    ]
    if calibration is None:
        return {judge.name: judge for judge in known if judge.name not in CALIBRATED}
    return {
        judge.name: replace(judge, constant=is_constant(calibration, judge.name))
        for judge in known
        if judge.name in calibration.quantiles
    }


def is_constant(calibration: Calibration, name: str) -> bool:
    """Whether a score is the same for all held-out pictures, as far as float32 can tell; the energy never counts so."""
    low, *_, high = calibration.quantiles[name]
    return name != "energy" and high - low <= RESOLUTION * abs(high)


def judge_of(board: Board) -> Judge:
    """The score that judges on this board; the energy where the chosen one is not to be had."""
    assert board.model is not None
    judges = judges_of(board.model, board.calibration)
    chosen = judges.get(board.judge, judges["energy"])
    return judges["energy"] if chosen.constant else chosen


def threshold_of(board: Board) -> float | None:
    """The score above which a picture is called unusual; None without a calibration."""
    return board.calibration.threshold(judge_of(board).name, board.rate) if board.calibration is not None else None


def verdict_of(board: Board, scored: Scored) -> Verdict:
    """What the board's judge says of a picture."""
    calibration, threshold = board.calibration, threshold_of(board)
    if calibration is None or threshold is None:
        return Verdict("raw", "no verdict: the model has no calibration, its energies are raw")
    judge = judge_of(board)
    share = scored.percentiles[judge.name]
    words = f"{share_in_words(share, calibration.num)} {judge.lower}"
    if scored.scores[judge.name] > threshold:
        return Verdict("unusual", f"unusual: {words}")
    if judge.low_is_odd and share < LOW:
        return Verdict("low", f"not unusual: {words}; suspiciously few, see what typicality says")
    return Verdict("usual", f"not unusual: {words}")


def share_in_words(share: float, num: int) -> str:
    """A share, 0 to 1, of ``num`` held-out pictures; never rounded to all or none of them."""
    if share in (0, 1):
        return f"{'all' if share else 'none'} of the {num:,} held-out pictures"
    percent = f"{100 * share:.1f}"
    if percent in ("0.0", "100.0"):
        percent = "less than 0.1" if share < 0.5 else "more than 99.9"
    return f"{percent} % of held-out pictures"
