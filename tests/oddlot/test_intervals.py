"""Intervals against known values, and against what happens when the sample is drawn many times."""

import numpy as np
import pytest
from scipy.stats import binom

from oddlot.intervals import Stratum, count_in, share_of


def test_none_of_twenty_is_at_most_fourteen_percent() -> None:
    found = share_of(0, 20)
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.at_most == pytest.approx(1 - 0.05 ** (1 / 20))
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 20))


@pytest.mark.parametrize(("found", "seen"), [(1, 20), (7, 9), (12, 34), (3, 3), (1, 1)])
def test_the_bounds_of_a_share_are_where_what_was_seen_becomes_unlikely(found, seen) -> None:
    interval = share_of(found, seen)
    assert binom.sf(found - 1, seen, interval.low) == pytest.approx(0.025)
    if found < seen:
        assert binom.cdf(found, seen, interval.high) == pytest.approx(0.025)
        assert binom.cdf(found, seen, interval.at_most) == pytest.approx(0.05)
    else:
        assert interval.high == interval.at_most == 1.0


def test_equal_strata_are_one_sample() -> None:
    together = count_in([Stratum(1000, 20, 1), Stratum(500, 10, 0), Stratum(250, 5, 1)])
    one = share_of(2, 35).times(1750)
    assert (together.value, together.low, together.high) == pytest.approx((one.value, one.low, one.high))


def test_what_was_seen_whole_leaves_nothing_open() -> None:
    found = count_in([Stratum(20, 20, 3)])
    assert (found.value, found.low, found.high, found.at_most) == (3, 3, 3, 3)


def test_an_interval_never_contradicts_what_was_seen() -> None:
    found = count_in([Stratum(21, 20, 3), Stratum(5, 1, 0)])
    assert 3 <= found.low <= found.value <= found.high <= 3 + 1 + 4


@pytest.mark.parametrize(
    ("sizes", "seen", "shares"),
    [
        ((1000,), (20,), (0.05,)),
        ((10_000,), (20,), (0.145,)),
        ((2000, 2100, 1950), (20, 20, 20), (0.05, 0.04, 0.06)),
        ((30,), (20,), (0.1,)),
        ((1000, 1100, 40), (20, 20, 20), (0.03, 0.05, 0.4)),
        ((2000, 200), (3, 40), (0.02, 0.02)),
        ((500, 700, 900, 300, 400, 800, 100), (20, 18, 25, 21, 20, 14, 20), (0.01, 0, 0.02, 0, 0.01, 0.05, 0)),
        ((100, 10_000), (50, 20), (0.5, 0.005)),
        ((300, 400), (20, 20), (0.6, 0.8)),
    ],
)
def test_the_truth_lies_within_as_often_as_is_said(sizes, seen, shares) -> None:
    """Drawn without replacement from a finite night, as an audit is."""
    rng = np.random.default_rng(4)
    odd = [round(size * share) for size, share in zip(sizes, shares, strict=True)]
    rounds, within, below = 2000, 0, 0
    for _ in range(rounds):
        found = count_in(
            [
                Stratum(size, n, int(rng.hypergeometric(k, size - k, n)))
                for size, n, k in zip(sizes, seen, odd, strict=True)
            ]
        )
        within += found.low <= sum(odd) <= found.high
        below += sum(odd) <= found.at_most
    # 2000 rounds of exactly 0.95 stay above this with probability 0.999.
    assert min(within, below) / rounds >= 0.95 - 3.1 * (0.95 * 0.05 / rounds) ** 0.5


@pytest.mark.parametrize(("found", "seen"), [(1, 0), (0, 0), (-1, 3), (4, 3)])
def test_what_is_no_share_is_refused(found, seen) -> None:
    with pytest.raises(ValueError, match="is no share"):
        share_of(found, seen)
