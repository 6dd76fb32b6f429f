"""The threshold that known defects would choose."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.quality import best_f1

scores = st.lists(st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0, 1e30]) | st.floats(-10, 10), min_size=1, max_size=30)


def measured(good, odd, threshold):
    found, alarms = int((odd > threshold).sum()), int((good > threshold).sum())
    return 2 * found / (found + alarms + len(odd)), found / len(odd), alarms / len(good)


@given(scores, scores)
def test_no_threshold_has_a_better_f1(good, odd):
    good, odd = np.array(good), np.array(odd)
    best = best_f1(good, odd)
    assert (best["f1"], best["recall"], best["false_alarms"]) == measured(good, odd, best["threshold"])
    every = [-np.inf, *good, *odd]
    assert best["f1"] == pytest.approx(max(measured(good, odd, t)[0] for t in every))


def test_what_can_be_told_apart_is():
    best = best_f1(np.array([1.0, 2.0, 3.0]), np.array([4.0, 9.0]))
    assert best == {"threshold": 3.0, "f1": 1.0, "recall": 1.0, "false_alarms": 0.0}


def test_what_cannot_be_told_apart_is_all_flagged_at_best():
    best = best_f1(np.full(3, 5.0), np.full(3, 5.0))
    assert best["threshold"] < 5
    assert (best["recall"], best["false_alarms"]) == (1, 1)
    assert best["f1"] == pytest.approx(2 / 3)


def test_of_equally_good_thresholds_the_one_with_fewer_alarms_counts():
    # flagging 2 of 2 with 2 alarms, or 1 of 2 with none: both have F1 2/3
    best = best_f1(np.array([0.0, 1.5, 1.5]), np.array([1.2, 3.0]))
    assert (best["threshold"], best["recall"], best["false_alarms"]) == (1.5, 0.5, 0.0)
