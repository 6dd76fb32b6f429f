"""Many pictures at once: which p-values to believe so that few of the flags are false.

Benjamini, Hochberg: Controlling the false discovery rate, Journal of the Royal Statistical Society B, 1995. Conformal
p-values of one calibration are not independent, but positively dependent in the sense that the procedure needs; so the
expected share of good pictures among the flagged stays below the rate, on average over calibrations (Bates, Candès,
Lei, Romano, Sesia: Testing for outliers with conformal p-values, Annals of Statistics, 2023).
"""

import math
from collections.abc import Iterable


def cutoff(counted: Iterable[tuple[float, int]], rate: float) -> float | None:
    """The largest p-value that is flagged; None where nothing is.

    `counted` are the distinct p-values of all pictures, each with how many have it, in any order: conformal p-values
    are few, however many pictures there are. `rate` in (0, 1). All p-values up to the cutoff are flagged, and no other.
    """
    ordered = sorted(counted)
    tests = sum(count for _, count in ordered)
    found, so_far = None, 0
    for p_value, count in ordered:
        so_far += count
        if p_value * (tests / so_far) <= rate:
            found = p_value
    return found


def fewest_flags(tests: int, calibration: int, rate: float) -> int:
    """How many of `tests` pictures must be odder than all of the calibration before any of them can be flagged.

    No p-value is below 1 / (calibration + 1). May be more than there are.
    """
    smallest = 1 / (calibration + 1)
    flags = max(1, math.floor(tests * smallest / rate) - 1)
    while smallest * (tests / flags) > rate:  # in the very arithmetic of the cutoff
        flags += 1
    return flags
