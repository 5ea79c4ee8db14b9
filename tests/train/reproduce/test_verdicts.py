"""An effect is shown over three seeds, by an interval above zero, at equal compute, and not otherwise."""

import math

import pytest

from train.reproduce.measures import lower_by
from train.reproduce.verdicts import interval_of, verdict


def test_the_interval_is_students():
    low, high = interval_of([1.0, 2.0, 3.0])
    assert (low + high) / 2 == pytest.approx(2.0)
    assert (high - low) / 2 == pytest.approx(4.303 / math.sqrt(3), rel=1e-3)
    assert interval_of([0.5] * 4) == (0.5, 0.5)
    assert interval_of([1.0, -math.inf, 2.0]) is None
    assert interval_of([1.0, math.nan, 2.0]) is None
    assert interval_of([math.inf, math.inf, 0.1]) is None
    assert interval_of([math.inf] * 3) is None
    assert interval_of([1.0, math.inf, 2.0]) == interval_of([1.0, 2.0, 2.0])


@pytest.mark.parametrize(
    ("margins", "compute", "shown", "words"),
    [
        ([9.0], (), False, "not shown, one seed (1 of 1 with the effect)"),
        ([-9.0], (), False, "not shown, one seed (0 of 1 with the effect)"),
        ([9.0, 9.1], (), False, "not shown, 2 seeds (2 of 2 with the effect)"),
        ([9.0, 9.1, 9.2], (), True, "shown (margin +9.1, 95 % interval +8.85 to +9.35 over 3 seeds)"),
        ([1.0, 2.0, 9.0], (), False, "not shown (margin +4, 95 % interval -6.83 to +14.8 over 3 seeds)"),
        ([-9.0, -9.1, -9.2], (), False, "not shown (margin -9.1, 95 % interval -9.35 to -8.85 over 3 seeds)"),
        ([9.0, 9.1, 9.2], (100, 103), True, "shown (margin"),
        ([9.0, 9.1, 9.2], (100, 110), False, "not shown: the runs compared did not take equal compute"),
        (
            [math.inf, math.inf, 0.1],
            (),
            False,
            "not shown: an interval needs two margins or more that are numbers, there are 1",
        ),
        ([math.inf, 0.1, 0.1], (), True, "shown (margin +0.1"),
        ([9.0, 9.1, -math.inf], (), False, "not shown: a seed ended without numbers"),
    ],
)
def test_verdicts(margins, compute, shown, words):
    found = verdict(margins, compute)
    assert found.shown is shown
    assert found.words.startswith(words)


def test_seeds_of_one_model_show_it_of_that_model_alone():
    assert verdict([9.0, 9.1, 9.2], one_model=True).words.startswith("shown of these weights (margin")


def test_a_run_without_numbers_is_above_all_others():
    assert lower_by(3.0, 5.0) == 2.0
    assert lower_by(3.0, None) == math.inf
    assert lower_by(None, 5.0) == lower_by(None, None) == -math.inf
