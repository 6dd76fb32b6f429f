"""Intervals for shares and counts that are estimated from a sample. Nothing is imported before one is asked for."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate, and what it may be: between `low` and `high` with 95 % confidence; or, another statement with 95 %
    confidence of its own, at most `at_most`."""

    value: float
    low: float
    high: float
    at_most: float

    def times(self, factor: float) -> "Interval":
        """The same of `factor` times as much; factor above 0."""
        return Interval(self.value * factor, self.low * factor, self.high * factor, self.at_most * factor)


@dataclass(frozen=True)
class Stratum:
    """Things of one kind: how many there are in all, how many of them were looked at (1 or more, chosen by chance), and
    how many of those were found to be what is counted."""

    size: float
    seen: int
    found: int


def share_of(found: int, seen: int) -> Interval:
    """The share of which `found` of `seen` are a sample; 0 <= found <= seen, 1 <= seen.

    Exact (Clopper, Pearson: The use of confidence or fiducial limits illustrated in the case of the binomial,
    Biometrika 26, 1934): never too narrow, also not where the sample is a part of a finite whole.
    """
    if not 0 <= found <= seen or seen < 1:
        raise ValueError(f"{found} of {seen} is no share")
    tail = (1 - CONFIDENCE) / 2
    return Interval(
        found / seen, 1 - _upper_share(seen - found, seen, tail), _upper_share(found, seen, tail),
        _upper_share(found, seen, 2 * tail),
    )  # fmt: skip


def count_in(strata: Sequence[Stratum]) -> Interval:
    """How many there are in all strata together, of which those seen are a sample. Raises ValueError for no strata.

    Where something that was seen stands for equally many in every stratum, the exact interval of `share_of`. Else that
    of Fay and Feuer (Confidence intervals for directly standardized rates, Statistics in Medicine 16, 1997) for a
    weighted sum of Poisson counts, which vary more than the binomial ones here: it keeps its confidence in all
    simulations, theirs and those of the tests, but there is no proof. It is as wide as the thinnest stratum makes it.
    What was seen is known: the interval never contradicts it.
    """
    if not strata:
        raise ValueError("no strata")
    weights = [stratum.size / stratum.seen for stratum in strata]
    found = sum(stratum.found for stratum in strata)
    heaviest = max(weights)
    if heaviest - min(weights) <= 1e-9 * heaviest:
        size = sum(stratum.size for stratum in strata)
        counted = share_of(found, sum(stratum.seen for stratum in strata)).times(size)
    else:
        counted = _weighted(strata, weights, heaviest)
    most = sum(max(stratum.size - stratum.seen, 0) + stratum.found for stratum in strata)
    return Interval(*(min(max(bound, found), most) for bound in _bounds(counted)))


def _bounds(interval: Interval) -> tuple[float, float, float, float]:
    return interval.value, interval.low, interval.high, interval.at_most


def _weighted(strata: Sequence[Stratum], weights: Sequence[float], heaviest: float) -> Interval:
    from scipy.special import gammaincinv

    tail = (1 - CONFIDENCE) / 2
    total = sum(weight * stratum.found for weight, stratum in zip(weights, strata, strict=True))
    variance = sum(weight**2 * stratum.found for weight, stratum in zip(weights, strata, strict=True))
    above, spread = total + heaviest, variance + heaviest**2

    def upper(outside: float) -> float:
        return float(gammaincinv(above**2 / spread, 1 - outside)) * spread / above

    low = float(gammaincinv(total**2 / variance, tail)) * variance / total if total else 0.0
    return Interval(total, low, upper(tail), upper(2 * tail))


def _upper_share(found: int, seen: int, outside: float) -> float:
    """The largest share of which `found` or fewer of `seen` still have the probability `outside`."""
    if found == seen:
        return 1.0
    from scipy.special import betaincinv

    bound = float(betaincinv(found + 1, seen - found, 1 - outside))
    return bound if math.isfinite(bound) else 1.0
