"""How well scores rank odd pictures above good ones, and whether one score does so better than another."""

from dataclasses import dataclass

import numpy as np

MARGIN = 0.02
"""A smaller lead in AUROC is not worth a network."""
CONFIDENCE = 0.95
ROUNDS = 1000


def auroc(good: np.ndarray, odd: np.ndarray) -> float:
    """The chance that an odd picture has a higher score than a good one, ties counting half; (n,) and (k,), not empty.

    That is the area under the ROC curve (Hanley, McNeil 1982).
    """
    return float(_wins(good, odd).mean())


@dataclass(frozen=True)
class Lead:
    """By how much the AUROC of one score is above that of another: as measured, and at least (one-sided bound)."""

    measured: float
    at_least: float

    @property
    def clear(self) -> bool:
        """At least MARGIN, and not by the luck of which pictures were held out."""
        return self.measured >= MARGIN and self.at_least > 0


def lead(
    model: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray] | None, made_of: np.ndarray, seed: int
) -> Lead:
    """The lead of `model` over `other`, each the scores of the same n good and k odd pictures; None is chance, 0.5.

    `made_of` int (k,) says of which good picture each odd one was made. The bound is the lower end of a bootstrap
    interval (Efron 1979) over good pictures, each drawn together with all odd ones that were made of it, because those
    are not independent of it.
    """
    n = len(model[0])
    difference = _wins(*model) - (0.5 if other is None else _wins(*other))
    if n < 2:  # drawn again and again, one picture is always the same: of luck it says nothing
        return Lead(float(difference.mean()), -1.0)
    drawn = np.random.default_rng([seed, 5]).multinomial(n, np.full(n, 1 / n), ROUNDS).astype(np.float64)
    odd = drawn[:, made_of]
    pairs = odd.sum(axis=1) * n
    sums = np.einsum("rk,kn,rn->r", odd, difference, drawn, optimize=True)
    possible = pairs > 0  # a round may leave out every picture of which an odd one was made
    bound = float(np.quantile(sums[possible] / pairs[possible], 1 - CONFIDENCE)) if possible.any() else -1.0
    return Lead(float(difference.mean()), bound)


def _wins(good: np.ndarray, odd: np.ndarray) -> np.ndarray:
    """(k, n): 1 where the odd picture scores above the good one, 0.5 where both score the same, else 0."""
    return (odd[:, np.newaxis] > good) + 0.5 * (odd[:, np.newaxis] == good)
