"""When a report may say that an effect is shown: from three seeds, an interval and equal compute on, and not before."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

SEEDS = 3  # the fewest
ALIKE = 1.05  # runs whose compute differs by no more than this factor are compared at equal compute
# Student's t: 95 % of the distribution with so many degrees of freedom lie within it, on both sides of 0.
T95 = {2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


@dataclass(frozen=True)
class Verdict:
    """``words`` for a report; ``interval`` of the mean margin, None where there are too few seeds or no numbers."""

    shown: bool
    words: str
    interval: tuple[float, float] | None = None


def verdict(margins: Sequence[float], compute: Sequence[float] = (), one_model: bool = False) -> Verdict:
    """Of an effect's margins by seed, above 0 where the seed has the effect.

    ``compute`` is that of the runs that are compared, if any are. ``one_model`` says that the seeds only draw anew from
    one trained model, so that the effect is shown of that one alone.
    """
    num = len(margins)
    if num < SEEDS:
        have = sum(margin > 0 for margin in margins)
        seeds = "one seed" if num == 1 else f"{num} seeds"
        return Verdict(False, f"not shown, {seeds} ({have} of {num} with the effect)")
    interval = interval_of(margins)
    if interval is None and _lacks_numbers(margins):
        return Verdict(False, "not shown: a seed ended without numbers")
    if interval is None:
        have = sum(map(math.isfinite, margins))
        return Verdict(False, f"not shown: an interval needs two margins or more that are numbers, there are {have}")
    margin = f"margin {sum(interval) / 2:+.3g}, 95 % interval {interval[0]:+.3g} to {interval[1]:+.3g} over {num} seeds"
    if compute and max(compute) > ALIKE * min(compute):
        return Verdict(False, f"not shown: the runs compared did not take equal compute ({margin})", interval)
    if interval[0] <= 0:
        return Verdict(False, f"not shown ({margin})", interval)
    return Verdict(True, f"shown{' of these weights' if one_model else ''} ({margin})", interval)


def interval_of(margins: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of the mean by Student's t; None when a margin is not a number or minus infinity, or fewer than
    two are finite: one number has no spread.

    Plus infinity, the margin over a run that ended without numbers, counts as much as the largest finite one.
    """
    finite = [margin for margin in margins if math.isfinite(margin)]
    if _lacks_numbers(margins) or len(finite) < 2:
        return None
    values = [min(margin, max(finite)) for margin in margins]
    half = T95[min(len(values) - 1, max(T95))] * stdev(values) / math.sqrt(len(values))
    return mean(values) - half, mean(values) + half


def _lacks_numbers(margins: Sequence[float]) -> bool:
    return any(math.isnan(margin) or margin == -math.inf for margin in margins)
