"""Flagging many pictures together, against the published example and another implementation."""

from collections import Counter

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from ganomaly.false_discoveries import cutoff, fewest_flags

# Benjamini, Hochberg 1995, section 3.2: fifteen hypotheses, of which their procedure at 0.05 rejects four.
PUBLISHED = [
    0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0,
]  # fmt: skip


def test_the_published_example():
    assert cutoff([(p, 1) for p in PUBLISHED], 0.05) == 0.0095
    assert cutoff([(p, 1) for p in reversed(PUBLISHED)], 0.05) == 0.0095


def test_a_small_one_behind_a_large_one_takes_that_along():
    assert cutoff([(0.04, 1), (0.049, 1)], 0.05) == 0.049


def test_nothing_is_flagged_of_nothing_or_where_nothing_is_odd():
    assert cutoff([], 0.1) is None
    assert cutoff([(0.5, 10), (1.0, 10)], 0.1) is None


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.1, 0.3, 0.9])
@pytest.mark.parametrize("seed", range(20))
def test_conformal_p_values_are_flagged_as_scipy_does(seed, rate):
    rng = np.random.default_rng(seed)
    n, m, odd = rng.integers(5, 200), rng.integers(1, 300), rng.integers(0, 40)
    calibration, raw = rng.normal(size=n), np.concatenate([rng.normal(size=m), rng.normal(3, 1, size=odd)])
    p_values = (1 + (calibration[:, np.newaxis] >= raw).sum(axis=0)) / (n + 1)
    largest = cutoff(Counter(p_values.tolist()).items(), rate)
    flagged = p_values <= (largest if largest is not None else 0)
    assert np.array_equal(flagged, false_discovery_control(p_values, method="bh") <= rate)


@pytest.mark.parametrize(("tests", "calibration", "rate"), [(100, 80, 0.05), (100, 99, 0.1), (7, 3, 0.6), (50, 9, 0.3)])
def test_so_many_of_the_smallest_p_value_are_flagged_and_one_fewer_are_not(tests, calibration, rate):
    fewest, smallest = fewest_flags(tests, calibration, rate), 1 / (calibration + 1)
    assert 1 < fewest < tests
    assert cutoff([(smallest, fewest), (1.0, tests - fewest)], rate) == smallest
    assert cutoff([(smallest, fewest - 1), (1.0, tests - fewest + 1)], rate) is None


def test_more_flags_may_be_needed_than_there_are_pictures():
    assert fewest_flags(100, 80, 0.01) == 124
    assert fewest_flags(1, 19, 0.1) == 1
