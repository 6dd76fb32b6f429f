"""Heat means the same for every picture of a model: 0.5 is the threshold."""

from dataclasses import replace

import numpy as np
import pytest

from ganomaly.bundle import Bundle
from ganomaly.calibration import Calibration
from ganomaly.heat import MAP_SCALE, heat, map_scale


def bundle_of(detector, calibration, card):
    return Bundle(detector, calibration, {}, card, "")


@pytest.fixture(scope="module")
def residual(detector):
    """The same network, whose score is the largest value of its map."""
    from ganomaly.detector import Detector

    return Detector.from_weights(replace(detector.config, score="residual"), detector.weights())


def test_the_hottest_place_is_as_hot_as_the_score_where_the_score_is_taken_from_the_map(residual, pictures):
    calibration = Calibration.fit(residual.score(pictures[:20]).raw, 0.1)
    scores = residual.score(pictures)
    heats = heat(bundle_of(residual, calibration, {}), scores.maps)
    assert heats.shape == scores.maps.shape
    assert np.array_equal(heats.max(axis=(1, 2)), calibration.normalise(scores.raw))
    assert np.array_equal((heats > 0.5).any(axis=(1, 2)), calibration.flagged(scores.raw))


def test_a_picture_is_as_hot_alone_as_beside_a_hotter_one(residual, pictures):
    calibration = Calibration.fit(residual.score(pictures).raw, 0.1)
    bundle = bundle_of(residual, calibration, {})
    maps = residual.score(pictures[:2]).maps
    alone = heat(bundle, maps[:1])[0]
    assert np.array_equal(heat(bundle, np.stack([maps[0], maps[1] * 100]))[0], alone)


def test_the_scale_of_a_score_without_places_is_that_of_good_pictures_maps(detector, calibration, pictures):
    scores = detector.score(pictures)
    largest = scores.parts["residual"]
    scale = map_scale(largest, 0.1)
    assert 0 < (largest > scale["threshold"]).mean() <= 0.1
    heats = heat(bundle_of(detector, calibration, {MAP_SCALE: scale}), scores.maps)
    hottest = heats.max(axis=(1, 2))
    assert np.array_equal(hottest > 0.5, largest > scale["threshold"])
    assert (hottest < 0.25).mean() == 0.5  # the median of the good pictures


@pytest.mark.parametrize(
    "card",
    [
        {},
        {MAP_SCALE: None},
        {MAP_SCALE: 0.5},
        {MAP_SCALE: {"threshold": 1.0}},
        {MAP_SCALE: {"threshold": 1.0, "unit": 0.0}},
        {MAP_SCALE: {"threshold": 1.0, "unit": 1e-320}},
        {MAP_SCALE: {"threshold": float("nan"), "unit": 1.0}},
        {MAP_SCALE: {"threshold": "1", "unit": 1.0}},
    ],
)
def test_without_a_scale_none_is_made_up(detector, calibration, pictures, card):
    assert heat(bundle_of(detector, calibration, card), detector.score(pictures[:1]).maps) is None


@pytest.mark.parametrize(("threshold", "unit"), [(1.7e308, 1e-30), (-1.7e308, 1.0), (0.1, 1e300), (0.0, 1e-30)])
def test_a_scale_that_nobody_fitted_gives_a_useless_map_and_no_error(detector, calibration, pictures, threshold, unit):
    card = {MAP_SCALE: {"threshold": threshold, "unit": unit}}
    heats = heat(bundle_of(detector, calibration, card), detector.score(pictures[:1]).maps)
    assert ((heats > 0) & (heats < 1)).all()
