"""Heat means the same for every picture of a model: 0.5 is the threshold."""

from dataclasses import replace

import numpy as np
import pytest

from ganomaly.bundle import Bundle
from ganomaly.calibration import Calibration
from ganomaly.heat import ANCHOR, heat, map_anchor


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
    anchor = map_anchor(largest, 0.1)
    assert 0 < (largest > anchor).mean() <= 0.1
    heats = heat(bundle_of(detector, calibration, {ANCHOR: anchor}), scores.maps)
    assert np.array_equal((heats > 0.5).any(axis=(1, 2)), largest > anchor)


@pytest.mark.parametrize("card", [{}, {ANCHOR: 0.0}, {ANCHOR: float("inf")}, {ANCHOR: "0.5"}, {ANCHOR: None}])
def test_without_an_anchor_there_is_no_scale_and_none_is_made_up(detector, calibration, pictures, card):
    assert heat(bundle_of(detector, calibration, card), detector.score(pictures[:1]).maps) is None
