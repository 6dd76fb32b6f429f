"""The rules by which a night is held: numbers in, findings out. No SQL, no pictures, no network.

Each figure of a night is compared with that of the model's good pictures twice, with the same two questions: is it far
enough off to matter, and could chance have done it? The second is answered exactly. Of m new pictures that are
exchangeable with n known ones, K lie beyond the j-th most extreme known one, and K is beta-binomial with m, j and
n + 1 - j, whatever the distribution (Wilks 1942 on the sampling of tolerance limits). So a small night, or a small
reference, is not held by chance; and a large night is not held for nothing, because of the first question.
docs/decisions/0017-held-nights.md has what the limits were chosen by.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from db.findings import FIGURES, Figure, Findings, blank, many_flagged, moved, repeated, scores_moved, unreadable
from oddlot.appearance import NEAREST, Reference

BY_CHANCE = 1e-3
"""How probable it may be, for one rule, that a night of good pictures looks like that by chance."""
NOTED_BY_CHANCE = 1e-2
"""The same for what is said and holds nothing."""
FEWEST = 10
"""Scored pictures below which figures and scores are not compared: a handful of parts is whatever it is."""
HALF = 0.5, 0.05
"""A shift: half of the night is beyond where one in twenty of the good pictures lies, and by a margin."""
PART = 0.25, 0.01
"""A quarter of the night is beyond nearly all good pictures: more than the defects of a bad lot."""
MARGIN = 0.1
"""The margin, as a share of the range of the middle nine tenths of the good pictures; each figure has a least one."""
LOWEST_QUARTER, LEAST_USUAL = 0.25, 0.25
"""The scene has changed where fewer than a quarter as many pictures as usual score like the lowest quarter of good
ones. In a bad lot the good parts still do (Storey's estimate of the share of true nulls, at 0.75)."""
FEWEST_CALIBRATED = 3
REPEATED, BLANK, UNREADABLE = 0.1, 0.1, 0.25
"""Shares of the night beyond the usual one, from which on it is held."""
NOTED = 0.05
"""A share of unreadable files beyond the usual one that is said, but no reason."""
FEWEST_REPEATED, FEWEST_BLANK, FEWEST_UNREADABLE = 8, 3, 5
MANY_FLAGGED = 3.0
"""A lot is said to be bad from so many times the flags of good pictures on."""
FEWEST_FLAGGED = 5
MOST_COMPARED = 2000
"""Of more pictures the same share of so many is taken: chance has little part in either."""
BINS, P_BINS = 20, 10


@dataclass(frozen=True)
class Night:
    """What a job came to. `repeated` counts scored files whose bytes are those of another; `p_values` are distinct ones
    with how many have each; `looks` has the figures (m,) float of each scored picture that was measured, NaN where it
    could not be; `calibration` is how many pictures the model was calibrated with, 0 where that is not known."""

    listed: int
    scored: int
    flagged: int
    unreadable: int
    repeated: int = 0
    p_values: Sequence[tuple[float, int]] = ()
    looks: dict[str, np.ndarray] = field(default_factory=dict)
    calibration: int = 0
    false_alarms: float = 0.01


def judge_night(night: Night, reference: Reference | None) -> Findings:
    """Compare a night with what its model knows. Without a reference, only what needs none is looked at."""
    found = Findings()
    _check_files(night, reference, found)
    _check_blank(night, reference, found)
    _check_repeated(night, reference, found)
    if night.scored and reference is None:
        found.note(
            "model", "how the pictures look was not compared: the model was fitted by an earlier version of Oddlot"
        )
    elif reference is not None:
        _check_figures(night, reference, found)
    _check_scores(night, found)
    if 0 < night.scored < FEWEST:
        found.note("few", f"only {night.scored} pictures were scored: too few to be compared with what the model knows")
    _check_flagged(night, found)
    return found


def chance_of_more(k: int, m: int, j: int, n: int) -> float:
    """The probability that at least k of m new pictures lie beyond the j-th most extreme of n exchangeable ones.

    For 0 <= k <= m and 1 <= j <= n; the upper tail of the beta-binomial distribution.
    """
    if m > MOST_COMPARED:
        k, m = k * MOST_COMPARED // m, MOST_COMPARED
    a, b = j, n + 1 - j
    total = 0.0
    for i in range(k, m + 1):
        ways = math.lgamma(m + 1) - math.lgamma(i + 1) - math.lgamma(m - i + 1)
        total += math.exp(ways + _log_beta(i + a, m - i + b) - _log_beta(a, b))
    return min(1.0, total)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _check_files(night: Night, reference: Reference | None, found: Findings) -> None:
    usual = 0.0 if reference is None else reference.unreadable
    if night.unreadable >= max(FEWEST_UNREADABLE, (usual + UNREADABLE) * night.listed):
        found.hold("unreadable", unreadable(night.unreadable, night.listed, usual))
    elif night.unreadable >= max(FEWEST_UNREADABLE, (usual + NOTED) * night.listed):
        found.note("unreadable", unreadable(night.unreadable, night.listed, usual))


def _check_blank(night: Night, reference: Reference | None, found: Findings) -> None:
    contrast = night.looks.get("contrast", np.empty(0))
    usual, limit = (0.0, 0.5) if reference is None else (reference.blank, reference.blank_limit)
    count = int((contrast < limit).sum())
    if count >= max(FEWEST_BLANK, (usual + BLANK) * len(contrast)):
        found.hold("blank", blank(count, len(contrast)))


def _check_repeated(night: Night, reference: Reference | None, found: Findings) -> None:
    nearest = night.looks.get(NEAREST, np.empty(0))
    usual, limit = (0.0, 0.0) if reference is None else (reference.repeated, reference.nearest_limit)
    count = max(night.repeated, int((nearest <= limit).sum()))
    if count < max(FEWEST_REPEATED, usual * night.scored):
        return
    if count >= (usual + REPEATED) * night.scored:
        found.hold("repeated", repeated(count, night.scored, usual, ask=True))
    elif count >= max(2 * usual, 0.01) * night.scored:
        found.note("repeated", repeated(count, night.scored, usual, ask=False))


def _check_figures(night: Night, reference: Reference, found: Findings) -> None:
    for name, figure in FIGURES.items():
        values, known = night.looks.get(name), reference.sketches.get(name)
        if values is None or known is None:
            continue
        values = values[np.isfinite(values)]
        if not len(values):
            continue
        found.evidence[name] = _histogram(figure, np.array(known), values)
        if len(values) < FEWEST:
            continue
        usual = quantile(known, 0.05), quantile(known, 0.95)
        margin = max(figure.floor, figure.relative * quantile(known, 0.5), MARGIN * (usual[1] - usual[0]))
        for side in figure.sides:
            for least, beyond in (HALF, PART):
                rank = max(1, int(beyond * (reference.pictures + 1)))
                share = (rank - 1) / max(1, reference.pictures - 1)
                bound = quantile(known, share) - margin if side < 0 else quantile(known, 1 - share) + margin
                count = int((side * values > side * bound).sum())
                if count < least * len(values):
                    continue
                if chance_of_more(count, len(values), rank, max(rank, reference.pictures)) < BY_CHANCE:
                    middle = float(np.median(values)) if least == HALF[0] else bound
                    found.hold(name, moved(figure, side, count, len(values), middle, usual, half=least == HALF[0]))
                    break


def _check_scores(night: Night, found: Findings) -> None:
    n, m = night.calibration, sum(count for _, count in night.p_values)
    if n < 1 or not m:
        return
    found.evidence["p_value"] = _p_histogram(night.p_values, n, m)
    rank = int(LOWEST_QUARTER * (n + 1))
    if m < FEWEST or rank < FEWEST_CALIBRATED:
        return
    limit = (n + 1.5 - rank) / (n + 1)  # between two values that a p-value can have
    low = sum(count for p_value, count in night.p_values if p_value > limit)
    usual = rank / (n + 1)
    if low < LEAST_USUAL * usual * m and chance_of_more(m - low, m, n + 1 - rank, n) < BY_CHANCE:
        found.hold("scores", scores_moved(low, m, usual))


def _check_flagged(night: Night, found: Findings) -> None:
    n, rate = night.calibration, night.false_alarms
    rank = max(1, int(rate * (n + 1)))
    if n < 1 or night.flagged < max(FEWEST_FLAGGED, MANY_FLAGGED * rate * night.scored):
        return
    if chance_of_more(night.flagged, night.scored, rank, n) < NOTED_BY_CHANCE:
        found.note("flagged", many_flagged(night.flagged, night.scored, rate, as_usual=not found.reasons))


def quantile(sketch: Sequence[float], share: float) -> float:
    """Of evenly spaced order statistics, the value below which that share lies; between two of them in proportion."""
    place = min(max(share, 0.0), 1.0) * (len(sketch) - 1)
    low = int(place)
    high = min(low + 1, len(sketch) - 1)
    return sketch[low] + (place - low) * (sketch[high] - sketch[low])


def _histogram(figure: Figure, known: np.ndarray, values: np.ndarray) -> dict[str, Any]:
    """Shares of both in equal bins; what lies beyond the outermost, a hundredth at most, is counted with those."""
    if figure.logarithmic:
        known, values = (100 * np.exp(np.minimum(each, 1000.0) / 100) for each in (known, values))
    low = min(float(known[0]), float(np.quantile(values, 0.005)))
    high = max(float(known[-1]), float(np.quantile(values, 0.995)))
    if high - low < 1e-6 * max(1.0, abs(high)):
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BINS + 1)
    model, tonight = (np.histogram(np.clip(each, low, high), edges)[0] / len(each) for each in (known, values))
    return {
        "title": figure.title, "edges": [round(edge, 4) for edge in edges.tolist()], "model": _shares(model),
        "tonight": _shares(tonight), "unit": figure.unit,
    }  # fmt: skip


def _p_histogram(p_values: Sequence[tuple[float, int]], n: int, m: int) -> dict[str, Any]:
    edges = np.linspace(0, 1, P_BINS + 1)
    values, counts = np.array([p for p, _ in p_values]), np.array([count for _, count in p_values])
    tonight = np.histogram(values, edges, weights=counts)[0] / m
    model = np.histogram(np.arange(1, min(n, 10**5) + 2) / (min(n, 10**5) + 1), edges)[0] / (min(n, 10**5) + 1)
    return {
        "title": "share of good pictures that score as high (p-value)", "edges": [round(e, 4) for e in edges.tolist()],
        "model": _shares(model), "tonight": _shares(tonight), "unit": "",
    }  # fmt: skip


def _shares(values: np.ndarray) -> list[float]:
    return [round(value, 5) for value in values.tolist()]
