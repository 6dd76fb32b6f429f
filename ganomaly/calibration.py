"""From raw scores to decisions: conformal calibration on good pictures that the fit did not learn from.

With n calibration scores and a new good picture that is exchangeable with them, P(p-value <= rate) <= rate
(Vovk, Gammerman, Shafer: Algorithmic Learning in a Random World, 2005). `flagged`, score above 0.5 and
p-value <= rate are the same decision to the last bit, and on every machine: for these, only arithmetic is used
whose rounding IEEE 754 fixes, no logarithms or the like.

Two methods differ in where the scores come from and in what may be said of them:

- `split-conformal`: one model, and scores of pictures that it never saw. The threshold is the (n + 1 - j)-th smallest
  score; the share of all good pictures that lies above it differs from one calibration to another, and over
  calibrations it is Beta(j, n + 1 - j) distributed, with ties stochastically smaller (Vovk: Conditional validity of
  inductive conformal predictors, ACML 2012). So a bound can be given that holds with a stated confidence.
- `cross-conformal`: k models, each learnt without one fold, and scores of every fold by the model that did not see
  it; a new picture gets the smallest of its k scores (the minmax of Barber, Candes, Ramdas, Tibshirani: Predictive
  inference with the jackknife+, Annals of Statistics 49, 2021). The average promise is proven where each fold is one
  picture (theirs), and for folds of many pictures: a smallest score is above the threshold no more often than any one
  fold model's, so no more often than the fold models' on average, and that average is the rate. The Beta distribution
  is not proven, as the scores of the folds depend on one another.
"""

import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context
from fractions import Fraction
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oddlot.errors import BundleError, CalibrationError

DEFAULT_FALSE_ALARMS = 0.01

Method = Literal["split-conformal", "cross-conformal"]
SPLIT: Method = "split-conformal"
CROSS: Method = "cross-conformal"

CONFIDENCE = 0.95
"""Confidence of the bound in the certificate."""

Floats = NDArray[np.float64]

_BELOW_HALF, _ABOVE_HALF = float(np.nextafter(0.5, 0.0)), float(np.nextafter(0.5, 1.0))
_BELOW_ONE, _ABOVE_ZERO = float(np.nextafter(1.0, 0.0)), float(np.nextafter(0.0, 1.0))
# A detector computes in float32; differences below this share of the threshold are rounding, not a spread.
_FINEST_SPREAD = 1e-6


def smallest_rate(n: int) -> float:
    """The smallest false-alarm rate that n calibration pictures support: 1 / (n + 1)."""
    return 1 / (n + 1)


def pictures_needed(rate: float) -> int:
    """How many calibration pictures a false-alarm rate needs. Raises CalibrationError unless 0 < rate < 1."""
    _check_rate(rate)
    n = math.ceil(1 / Fraction(rate)) - 1
    # A rate that is the float nearest to 1/3 may lie below the fraction; it means 1/3.
    return n - 1 if n > 1 and smallest_rate(n - 1) <= rate else n


@dataclass(frozen=True, eq=False)
class Calibration:
    """What the raw scores of n held-out good pictures say about a new one.

    `scores` float64 (n,), sorted, read-only; `threshold` is one of them; `false_alarms` the rate in (0, 1)
    that it keeps; `requested` whether a person asked for that rate; `minimum`, `maximum` of the scores;
    `note` says how the rate came about where nobody asked for it, else it is empty; `method` says where the
    scores come from.
    """

    scores: Floats
    threshold: float
    false_alarms: float
    requested: bool
    minimum: float
    maximum: float
    note: str = ""
    method: Method = SPLIT

    @classmethod
    def fit(cls, raw_scores: ArrayLike, false_alarms: float | None = None, *, method: Method = SPLIT) -> "Calibration":
        """Calibrate on `raw_scores` (n,) of good pictures, in any order.

        For `cross-conformal` these are the scores of each picture by the model that did not see its fold.
        `false_alarms` None takes 1 %, or the smallest rate that n supports. Raises CalibrationError where
        there is no score, one is not finite, or n is too small for the rate that was asked for; ValueError for
        a method that is not known.
        """
        _check_method(method)
        scores = np.sort(np.asarray(raw_scores, dtype=np.float64).ravel())
        n = len(scores)
        if n == 0:
            raise CalibrationError("there are no good pictures to calibrate on: give more pictures")
        if not np.isfinite(scores).all():
            raise CalibrationError(
                "the detector gave a score that is not a finite number: the training went wrong, "
                "fit again with another seed"
            )
        if false_alarms is not None:
            needed = pictures_needed(false_alarms)
            if n < needed:
                raise CalibrationError(
                    f"a false-alarm rate of {false_alarms:g} needs {needed} good pictures for calibration "
                    f"and there are {n}: give more or ask for {_rounded_up(smallest_rate(n))} or more"
                )
            return cls._of(scores, false_alarms, requested=True, note="", method=method)
        rate = max(DEFAULT_FALSE_ALARMS, smallest_rate(n))
        note = f"no false-alarm rate was asked for: {_percent(rate)} is used"
        if rate > DEFAULT_FALSE_ALARMS:
            note += (
                f", the smallest that {n} calibration pictures support; {_percent(DEFAULT_FALSE_ALARMS)} "
                f"needs {pictures_needed(DEFAULT_FALSE_ALARMS)}"
            )
        return cls._of(scores, rate, requested=False, note=note, method=method)

    @classmethod
    def _of(cls, scores: Floats, rate: float, *, requested: bool, note: str, method: Method) -> "Calibration":
        scores = scores + 0.0  # a copy, in which -0.0 is 0.0
        scores.setflags(write=False)
        threshold = float(scores[len(scores) - _flags_allowed(len(scores), rate)])
        return cls(scores, threshold, float(rate), requested, float(scores[0]), float(scores[-1]), note, method)

    @property
    def n(self) -> int:
        return len(self.scores)

    @cached_property
    def scale(self) -> float:
        """Unit of `normalise`: from the median calibration score to the threshold, or the next best."""
        middle = float(self.scores[(self.n - 1) // 2] / 2 + self.scores[self.n // 2] / 2)
        lengths = (self.threshold - middle, abs(self.threshold), self.maximum - self.minimum, 1.0)
        length = next(length for length in lengths if 0 < length < math.inf)
        return max(length, _FINEST_SPREAD * abs(self.threshold))

    def flagged(self, raw: ArrayLike) -> NDArray[np.bool_]:
        """Whether each raw score lies above the threshold; same shape as `raw`."""
        return np.asarray(_finite(raw) > self.threshold)

    def p_values(self, raw: ArrayLike) -> Floats:
        """Conformal p-values (1 + calibration scores >= raw) / (n + 1), in [1 / (n + 1), 1]; same shape."""
        at_least = self.n - np.searchsorted(self.scores, _finite(raw), side="left")
        return np.asarray((1 + at_least) / (self.n + 1), dtype=np.float64)

    def normalise(self, raw: ArrayLike) -> Floats:
        """Scores strictly between 0 and 1, increasing in `raw`, 0.5 exactly at the threshold; same shape.

        A softsign, whose tails are algebraic: the median calibration score gets 0.25, and scores that differ
        by a float32 rounding (6e-8 of the larger of them and the threshold) differ after it, until they lie
        10^8 times as far from the threshold as that median.
        """
        raw = _finite(raw)
        with np.errstate(over="ignore", under="ignore"):
            distance = (raw - self.threshold) / self.scale
            tail = 0.5 / (1.0 + np.abs(distance))
        above = np.clip(1.0 - tail, _ABOVE_HALF, _BELOW_ONE)
        below = np.clip(tail, _ABOVE_ZERO, _BELOW_HALF)
        return np.where(raw > self.threshold, above, np.where(raw < self.threshold, below, 0.5))

    def min_max(self, raw: ArrayLike) -> Floats:
        """The article's scaling: (raw - minimum) / (maximum - minimum) of calibration, not clipped.

        Where all calibration scores are equal, the divisor is 1.
        """
        with np.errstate(over="ignore", under="ignore"):
            spread = self.maximum - self.minimum
            return np.asarray((_finite(raw) - self.minimum) / (spread if spread > 0 else 1.0))

    def rate_with_confidence(self, confidence: float = CONFIDENCE) -> float:
        """The false-alarm rate that this very calibration does not exceed with probability `confidence` in (0, 1).

        Over calibrations of n independent good pictures; the quantile of Beta(j, n + 1 - j), exact for scores
        without ties and never too small with them (Vovk 2012, see above). Raises ValueError for a confidence
        outside (0, 1) and for `cross-conformal`, for which no such bound is proven.
        """
        if not 0 < confidence < 1:
            raise ValueError(f"a confidence must lie between 0 and 1, not {confidence:g}")
        if self.method != SPLIT:
            raise ValueError(f"no bound with a confidence is proven for {self.method}")
        # Imported here, as commands that only ask the database do not need it. The quantile of scipy.stats.beta, at
        # half the start.
        from scipy.special import betaincinv

        flags = _flags_allowed(self.n, self.false_alarms)
        return float(betaincinv(flags, self.n + 1 - flags, confidence))

    def certificate(self) -> str:
        """What is promised, in plain words."""
        pictures = "1 good picture" if self.n == 1 else f"{self.n} good pictures"
        average = f"on average over calibrations of this size at most {_percent(self.false_alarms)}"
        if self.method == SPLIT:
            bound = _rounded_up(100 * self.rate_with_confidence())
            text = (
                f"Calibrated on {pictures} that the training did not see. With {_percent(CONFIDENCE)} confidence at "
                f"most {bound} % of good parts like these are flagged ({average})."
            )
        else:
            text = (
                f"Calibrated on {pictures}, each scored by a model that did not learn from it. Of good parts like "
                f"these, {average} are flagged (proven for folds of many pictures). No confidence is stated for this "
                "one calibration: the models learnt from each other's pictures, so their scores depend on one another."
            )
        text += (
            " Nothing is promised for pictures from another camera, light or product, nor about how many defects "
            "are found."
        )
        return f"{text} ({self.note[0].upper()}{self.note[1:]}.)" if self.note else text

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` gives back an equal calibration."""
        return {
            "method": self.method,
            "false_alarms": self.false_alarms,
            "requested": self.requested,
            "note": self.note,
            "threshold": self.threshold,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "scores": self.scores.tolist(),
        }

    @classmethod
    def from_dict(cls, values: Any) -> "Calibration":
        """Raises BundleError where a key is missing or unknown, or the values contradict each other."""
        try:
            return cls._from_dict(values)
        except (TypeError, ValueError, OverflowError, CalibrationError) as error:
            raise BundleError(f"calibration.json is not a calibration of this program: {error}") from error

    @classmethod
    def _from_dict(cls, values: Any) -> "Calibration":
        types: dict[str, Any] = {
            "method": str, "false_alarms": float, "requested": bool, "note": str, "threshold": float,
            "minimum": float, "maximum": float, "scores": list,
        }  # fmt: skip
        if not isinstance(values, dict):
            raise TypeError("it is not a table of values")
        for name in sorted(set(values) ^ set(types), key=str):
            raise ValueError(f"{name} is missing" if name in types else f"{name[:40]!r} is not known")
        for name, kind in types.items():
            if type(values[name]) is not kind:
                raise TypeError(f"{name} is not of its type")
        _check_method(values["method"])
        if not all(type(score) is float for score in values["scores"]):
            raise TypeError("scores are not all numbers")
        scores = np.array(values["scores"], dtype=np.float64)
        if not len(scores) or not np.isfinite(scores).all() or (np.diff(scores) < 0).any():
            raise ValueError("scores are not finite and sorted")
        _check_rate(values["false_alarms"])
        if _flags_allowed(len(scores), values["false_alarms"]) < 1:
            raise ValueError("there are too few scores for its false-alarm rate")
        built = cls._of(
            scores, values["false_alarms"], requested=values["requested"], note=values["note"], method=values["method"]
        )
        for name in ("threshold", "minimum", "maximum"):
            if getattr(built, name) != values[name]:
                raise ValueError(f"{name} does not follow from the scores")
        return built

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Calibration) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.n, self.threshold, self.false_alarms))


def _flags_allowed(n: int, rate: float) -> int:
    """The most calibration ranks j with j / (n + 1) <= rate, in the very arithmetic of the p-values."""
    flags = math.floor((n + 1) * rate)
    while (flags + 1) / (n + 1) <= rate:
        flags += 1
    while flags / (n + 1) > rate:
        flags -= 1
    return flags


def _check_rate(rate: float) -> None:
    if not 0 < rate < 1:
        raise CalibrationError(f"a false-alarm rate must lie between 0 and 1, not {rate:g}")


def _check_method(method: str) -> None:
    if method not in get_args(Method):
        raise ValueError(f"method {method[:40]!r} is not known")


def _finite(raw: ArrayLike) -> Floats:
    """As float64. NaN lies above no threshold, so it would pass as good; it is refused instead."""
    values = np.asarray(raw, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("a raw score is not a finite number")
    return values


def _percent(rate: float) -> str:
    return f"{100 * rate:.3g} %"


def _rounded_up(rate: float) -> str:
    """The rate with three digits, upwards: what may be typed to get at least it."""
    return f"{float(Context(prec=3, rounding=ROUND_CEILING).create_decimal_from_float(rate)):g}"
