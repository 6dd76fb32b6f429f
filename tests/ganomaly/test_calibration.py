"""Calibration: what a score, a p-value and a flag promise."""

import json
import math

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from scipy.stats import beta, betabinom

from ganomaly.calibration import Calibration, pictures_needed, smallest_rate
from oddlot.errors import BundleError, CalibrationError

floats32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
floats64 = st.floats(min_value=-1e300, max_value=1e300, allow_nan=False)
samples = st.one_of(
    st.lists(floats32, min_size=1, max_size=60),
    st.lists(floats64, min_size=1, max_size=60),
    st.lists(st.sampled_from([0.0, 1.0, 1.5, 2.0]), min_size=1, max_size=200),  # ties
)
rates = st.one_of(
    st.floats(min_value=0.005, max_value=0.995), st.sampled_from([0.01, 0.02, 0.05, 0.07, 0.1, 1 / 3, 0.29])
)


def calibrated(scores: list[float], rate: float | None) -> Calibration:
    if rate is not None:
        assume(len(scores) >= pictures_needed(rate))
    return Calibration.fit(np.array(scores), rate)


def around(calibration: Calibration, more: list[float]) -> np.ndarray:
    """Scores where a decision could go wrong: each calibration score, its neighbours, and `more`."""
    near = calibration.scores
    return np.concatenate([near, np.nextafter(near, -np.inf), np.nextafter(near, np.inf), np.array(more)])


@given(samples, st.none() | rates, st.lists(floats64, max_size=20))
@example([5e-324], None, [0.0, 1e-323])
@example([1e300, -1e300], None, [])
def test_flag_score_and_p_value_are_one_decision(scores, rate, more) -> None:
    calibration = calibrated(scores, rate)
    raw = around(calibration, more)
    flagged = calibration.flagged(raw)
    assert np.array_equal(flagged, raw > calibration.threshold)
    assert np.array_equal(flagged, calibration.normalise(raw) > 0.5)
    assert np.array_equal(flagged, calibration.p_values(raw) <= calibration.false_alarms)


@given(samples, st.none() | rates, st.lists(floats64, max_size=20))
def test_scores_stay_inside_and_in_order(scores, rate, more) -> None:
    calibration = calibrated(scores, rate)
    raw = np.sort(around(calibration, more))
    normalised = calibration.normalise(raw)
    assert normalised.dtype == np.float64
    assert normalised.min() > 0
    assert normalised.max() < 1
    assert (np.diff(normalised) >= 0).all()
    assert calibration.normalise(calibration.threshold) == 0.5


@given(st.lists(st.floats(0, 1e6, width=32), min_size=1, max_size=60), st.lists(st.floats(0, 1e9), max_size=60))
def test_scores_that_float32_tells_apart_stay_apart(scores, more) -> None:
    calibration = calibrated(scores, None)
    raw = np.unique(np.float32(around(calibration, more)).astype(np.float64))
    raw = raw[np.abs(raw - calibration.threshold) <= 1e8 * calibration.scale]
    told_apart = np.diff(raw) >= 2**-24 * np.maximum(raw[1:], calibration.threshold)
    assert (np.diff(calibration.normalise(raw))[told_apart] > 0).all()


@pytest.mark.parametrize("magnitude", [1e-300, 1e-30, 1e-3, 1.0, 1e6, 1e30, 1e300])
def test_normalised_scores_do_not_depend_on_the_unit(magnitude) -> None:
    scores, raw = np.linspace(1, 2, 50), np.linspace(0, 10, 101)
    expected = Calibration.fit(scores).normalise(raw)
    assert Calibration.fit(scores * magnitude).normalise(raw * magnitude) == pytest.approx(expected, rel=1e-9)


def test_a_score_is_the_same_alone_in_a_batch_and_in_any_order() -> None:
    rng = np.random.default_rng(0)
    calibration = Calibration.fit(rng.gamma(2, size=200))
    raw = rng.gamma(2, size=1001)
    for method in (calibration.normalise, calibration.p_values, calibration.flagged):
        together = method(raw)
        assert [method(one).item() for one in raw] == together.tolist()
        assert np.array_equal(method(raw[::-1]), together[::-1])


@given(samples, st.lists(floats64, max_size=20))
def test_p_values_are_the_textbook_ones(scores, more) -> None:
    calibration = calibrated(scores, None)
    raw = around(calibration, more)
    expected = [(1 + sum(score >= one for score in scores)) / (len(scores) + 1) for one in raw.tolist()]
    assert calibration.p_values(raw).tolist() == expected


@given(samples, rates)
def test_threshold_is_the_smallest_score_that_keeps_the_rate(scores, rate) -> None:
    calibration = calibrated(scores, rate)
    n, ordered = len(scores), sorted(scores)
    assert calibration.threshold in ordered
    lower = [score for score in ordered if score < calibration.threshold]
    assert sum(score > calibration.threshold for score in scores) + 1 <= rate * (n + 1) * (1 + 1e-12)
    if lower:
        assert sum(score > lower[-1] for score in scores) + 1 > rate * (n + 1) * (1 - 1e-12)


def test_threshold_of_the_worked_example() -> None:
    # n = 99 and 1 %: k = 100 - 1 = 99, so the largest; 5 %: k = 95
    scores = np.random.default_rng(0).permutation(np.arange(1.0, 100.0))
    assert Calibration.fit(scores, 0.01).threshold == 99
    assert Calibration.fit(scores, 0.05).threshold == 95
    assert Calibration.fit(scores, 0.05).p_values([94, 95, 96, 200]).tolist() == [0.07, 0.06, 0.05, 0.01]


@pytest.mark.parametrize(("n", "rate"), [(99, 0.01), (199, 0.05), (500, 0.1)])
def test_realised_false_alarms_follow_the_exact_distribution(n, rate) -> None:
    """Over random splits of one pool of scores, flags among m fresh ones are beta-binomial (Vovk 2012)."""
    rng = np.random.default_rng(n)
    fresh, splits = 200, 2000
    k = math.floor((n + 1) * rate + 1e-9)
    flags = []
    for _ in range(splits):
        pool = rng.normal(size=n + fresh) ** 2
        flags.append(Calibration.fit(pool[:n], rate).flagged(pool[n:]).sum())
    law = betabinom(fresh, k, n + 1 - k)
    assert np.mean(flags) == pytest.approx(fresh * rate, abs=4 * law.std() / splits**0.5)
    for quantile in (0.5, 0.9, 0.99):
        bound = law.ppf(quantile)
        expected = law.cdf(bound)
        spread = 4 * (expected * (1 - expected) / splits) ** 0.5
        assert np.mean(np.array(flags) <= bound) == pytest.approx(expected, abs=spread)


def test_ties_never_raise_the_false_alarm_rate() -> None:
    rng = np.random.default_rng(3)
    rates_seen = [
        Calibration.fit(rng.integers(0, 8, 60), 0.1).flagged(rng.integers(0, 8, 200)).mean() for _ in range(500)
    ]
    assert np.mean(rates_seen) <= 0.1


@pytest.mark.parametrize(("n", "rate"), [(99, 0.01), (199, 0.05), (500, 0.1)])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95])
def test_the_bound_is_exceeded_as_often_as_its_confidence_says(n, rate, confidence) -> None:
    """Uniform scores: the false-alarm rate of a threshold is known exactly, 1 - threshold."""
    rng, repeats = np.random.default_rng(n), 2000
    calibrations = [Calibration.fit(rng.uniform(size=n), rate) for _ in range(repeats)]
    realised = np.array([1 - calibration.threshold for calibration in calibrations])
    bound = calibrations[0].rate_with_confidence(confidence)
    assert bound == pytest.approx(
        beta.ppf(confidence, math.floor(n * rate + rate), n + 1 - math.floor(n * rate + rate))
    )
    spread = 4 * (confidence * (1 - confidence) / repeats) ** 0.5
    assert np.mean(realised > bound) == pytest.approx(1 - confidence, abs=spread)
    assert realised.mean() <= rate + 4 * realised.std() / repeats**0.5


def test_with_ties_the_bound_is_exceeded_less_often() -> None:
    rng, faces = np.random.default_rng(5), 40
    calibrations = [Calibration.fit(rng.integers(0, faces, 199), 0.05) for _ in range(2000)]
    realised = np.array([(faces - 1 - calibration.threshold) / faces for calibration in calibrations])
    assert np.mean(realised > calibrations[0].rate_with_confidence(0.95)) <= 0.05
    assert realised.mean() <= 0.05


def test_more_pictures_bring_the_bound_nearer_to_the_rate() -> None:
    bounds = [Calibration.fit(np.arange(n), 0.05).rate_with_confidence() for n in (19, 99, 999, 9999)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[0] > 0.14
    assert 0.05 < bounds[-1] < 0.054


@pytest.mark.parametrize("confidence", [0, 1, -1, math.nan])
def test_a_confidence_that_is_none_is_refused(confidence) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Calibration.fit(np.arange(50)).rate_with_confidence(confidence)


def cross_conformal_rate(rng: np.random.Generator, n: int, folds: int, rate: float) -> float:
    """Share of 2,000 new numbers flagged; a model is the mean of what it learnt, a score the distance to it."""
    pool = rng.standard_t(3, size=n)  # heavy tails: the folds' models differ
    fold = rng.permutation(n) % folds
    means = np.array([pool[fold != k].mean() for k in range(folds)])
    calibration = Calibration.fit(np.abs(pool - means[fold]), rate, method="cross-conformal")
    new = rng.standard_t(3, size=2000)
    return calibration.flagged(np.abs(new[:, np.newaxis] - means).min(axis=1)).mean()


@pytest.mark.parametrize(("n", "folds"), [(40, 40), (40, 5), (200, 5)])
def test_the_smallest_of_the_folds_scores_keeps_the_rate_on_average(n, folds) -> None:
    rng = np.random.default_rng(7)
    realised = np.array([cross_conformal_rate(rng, n, folds, 0.1) for _ in range(600)])
    assert realised.mean() <= 0.1 + 3 * realised.std() / len(realised) ** 0.5
    assert realised.mean() > 0.05


def test_no_confidence_is_stated_for_folds() -> None:
    calibration = Calibration.fit(np.arange(120), 0.02, method="cross-conformal")
    with pytest.raises(ValueError, match="cross-conformal"):
        calibration.rate_with_confidence()
    text = calibration.certificate()
    assert "on average over calibrations of this size at most 2 % are flagged" in text
    assert "No confidence is stated" in text
    assert "95 %" not in text


def test_the_method_changes_no_decision_and_is_kept() -> None:
    scores = np.random.default_rng(1).gamma(2, size=150)
    split, cross = (Calibration.fit(scores, method=method) for method in ("split-conformal", "cross-conformal"))
    assert split.threshold == cross.threshold
    assert split != cross
    assert Calibration.from_dict(cross.to_dict()).method == "cross-conformal"
    with pytest.raises(ValueError, match="by eye"):
        Calibration.fit(scores, method="by eye")  # type: ignore[arg-type]


def test_equal_scores_flag_nothing_like_them() -> None:
    calibration = Calibration.fit(np.full(120, 3.0), 0.01)
    assert calibration.flagged([3.0, np.nextafter(3.0, 4.0)]).tolist() == [False, True]
    assert calibration.min_max([3.0, 4.0]).tolist() == [0.0, 1.0]


def test_one_picture_supports_one_in_two() -> None:
    calibration = Calibration.fit([0.25])
    assert calibration.false_alarms == 0.5
    assert calibration.p_values([0.1, 0.25, 0.3]).tolist() == [1.0, 1.0, 0.5]
    assert calibration.normalise([0.25]).tolist() == [0.5]
    assert "1 good picture that" in calibration.certificate()


def test_float32_and_float64_raw_scores_get_one_answer() -> None:
    raw = np.random.default_rng(0).gamma(2, size=300).astype(np.float32)
    assert Calibration.fit(raw) == Calibration.fit(raw.astype(np.float64))
    calibration = Calibration.fit(raw)
    assert np.array_equal(calibration.normalise(raw), calibration.normalise(raw.astype(np.float64)))
    assert calibration.scores.dtype == np.float64


def test_min_max_keeps_the_extremes_of_calibration() -> None:
    calibration = Calibration.fit([2.0, 6.0, 4.0])
    assert calibration.min_max([2.0, 4.0, 6.0, 10.0, 0.0]).tolist() == [0.0, 0.5, 1.0, 2.0, -0.5]
    assert calibration.min_max(4.0) == 0.5


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.1, 0.2, 1 / 3, 0.5, 0.9, 0.003, 1e-6])
def test_pictures_needed_is_the_first_number_that_supports_a_rate(rate) -> None:
    needed = pictures_needed(rate)
    assert smallest_rate(needed) <= rate
    assert needed == 1 or smallest_rate(needed - 1) > rate


@pytest.mark.parametrize(("rate", "n", "enough"), [(0.01, 98, 99), (0.05, 18, 19), (0.001, 98, 999)])
def test_refusal_names_the_pictures_that_are_needed(rate, n, enough) -> None:
    with pytest.raises(CalibrationError, match=f"{rate:g} needs {enough} good pictures .* there are {n}:") as refusal:
        Calibration.fit(np.arange(n), rate)
    assert "\n" not in str(refusal.value)
    offered = float(str(refusal.value).split("ask for ")[1].split()[0])
    assert Calibration.fit(np.arange(n), offered).false_alarms == offered
    assert len(Calibration.fit(np.arange(enough), rate).scores) == enough


def test_without_a_request_the_note_says_which_rate_and_why() -> None:
    few, many = Calibration.fit(np.arange(30)), Calibration.fit(np.arange(99))
    assert (few.requested, few.false_alarms) == (False, 1 / 31)
    assert "3.23 %" in few.note
    assert "smallest that 30" in few.note
    assert "99" in few.note
    assert (many.false_alarms, many.note) == (0.01, "no false-alarm rate was asked for: 1 % is used")
    assert Calibration.fit(np.arange(99), 0.01).note == ""


@pytest.mark.parametrize("rate", [0, 1, -0.1, 1.5, math.nan, math.inf])
def test_rates_that_are_none_are_refused(rate) -> None:
    with pytest.raises(CalibrationError, match="between 0 and 1"):
        Calibration.fit(np.arange(500), rate)


@pytest.mark.parametrize("scores", [[], [1.0, math.nan], [1.0, math.inf]])
def test_scores_that_cannot_calibrate_are_refused(scores) -> None:
    with pytest.raises(CalibrationError):
        Calibration.fit(scores)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_never_passes_as_good(bad) -> None:
    calibration = Calibration.fit(np.arange(50.0))
    for method in (calibration.flagged, calibration.normalise, calibration.p_values):
        with pytest.raises(ValueError, match="not a finite number"):
            method([1.0, bad])


def test_certificate_says_rate_and_number_of_pictures() -> None:
    text = Calibration.fit(np.arange(120), 0.02).certificate()
    assert "120 good pictures" in text
    # j = 2 flags allowed: the 95 % quantile of Beta(2, 119) is 0.03892
    assert "With 95 % confidence at most 3.9 % of good parts like these are flagged" in text
    assert "(on average over calibrations of this size at most 2 %)" in text


@given(samples, st.none() | rates)
def test_calibration_survives_json(scores, rate) -> None:
    calibration = calibrated(scores, rate)
    again = Calibration.from_dict(json.loads(json.dumps(calibration.to_dict())))
    assert again == calibration
    assert again.normalise(scores).tobytes() == calibration.normalise(scores).tobytes()


def test_calibration_cannot_be_changed() -> None:
    calibration = Calibration.fit(np.arange(50.0))
    with pytest.raises(ValueError, match="read-only"):
        calibration.scores[0] = 7
    with pytest.raises(AttributeError):
        calibration.threshold = 0.0  # type: ignore[misc]


@pytest.mark.parametrize(
    "change",
    [
        {"threshold": 7.5},
        {"threshold": 47.0},
        {"minimum": -1.0},
        {"maximum": 48.0},
        {"false_alarms": 0.5},
        {"false_alarms": 0.001},
        {"false_alarms": 2.0},
        {"false_alarms": math.nan},
        {"scores": []},
        {"scores": [1.0, 0.0]},
        {"scores": ["1"]},
        {"scores": [0.0, math.inf]},
        {"scores": 3},
        {"requested": 1},
        {"note": None},
        {"method": "by eye"},
        {"comment": "hello"},
    ],
    ids=repr,
)
def test_changed_calibration_is_refused(change) -> None:
    values = Calibration.fit(np.arange(50.0), 0.05).to_dict() | change
    with pytest.raises(BundleError, match=r"calibration\.json"):
        Calibration.from_dict(values)


@pytest.mark.parametrize("key", list(Calibration.fit([1.0]).to_dict()))
def test_calibration_with_a_missing_key_is_refused(key) -> None:
    values = Calibration.fit(np.arange(50.0)).to_dict()
    del values[key]
    with pytest.raises(BundleError, match=f"{key} is missing"):
        Calibration.from_dict(values)


@pytest.mark.parametrize("values", [None, [], "text", 3])
def test_what_is_no_table_is_no_calibration(values) -> None:
    with pytest.raises(BundleError):
        Calibration.from_dict(values)
