"""The memory of the generator: what it holds, what comes out of it, and what a training may keep in it."""

from dataclasses import replace

import numpy as np
import pytest

from ganomaly import training
from ganomaly.config import config_for
from ganomaly.gan import GANomaly
from ganomaly.memory import begin, nearest_squares, principal_directions, spread_out
from ganomaly.training import train

CONFIG = replace(config_for("features", 128, 1), memory=(40,))


@pytest.fixture
def maps() -> np.ndarray:
    """Of 20 good pictures: nearly all places are alike, a few are of a rare kind."""
    maps = np.random.default_rng(0).normal(0, 0.1, (20, 8, 8, 112)).astype(np.float32)
    maps[[3, 11], 2, 5] += 10
    return maps


def test_rare_places_are_remembered(maps) -> None:
    chosen = spread_out(maps.reshape(-1, 112), 10, seed=0)
    assert len({*chosen}) == 10
    assert {*chosen} & {(3 * 8 + 2) * 8 + 5, (11 * 8 + 2) * 8 + 5}


def test_every_place_is_near_one_that_is_remembered(maps) -> None:
    places = maps.reshape(-1, 112)
    far = [nearest_squares(places, places[spread_out(places, count, seed=0)]).max() for count in (2, 20, 200)]
    assert far[0] > far[1] > far[2]
    assert nearest_squares(places, places[spread_out(places, len(places), seed=0)]).max() < 0.05


def test_directions_are_those_of_the_largest_variance() -> None:
    rng = np.random.default_rng(0)
    places = rng.normal(size=(500, 112)) * np.where(np.arange(112) < 3, 10, 1)
    directions = principal_directions(places, 3)
    np.testing.assert_allclose(np.square(directions[:3]).sum(), 3, atol=0.1)


def test_a_remembered_place_comes_back_and_one_that_is_like_no_good_place_does_not(maps) -> None:
    model = GANomaly(CONFIG, 0)
    begin(model, maps[:15], maps[15:], seed=0)
    rare, strange = maps[3, 2, 5], np.where(np.arange(112) % 2, 10, -10).astype(np.float32)
    asked = np.broadcast_to(np.stack([rare, strange])[:, np.newaxis, np.newaxis], (2, 8, 8, 112))
    _, given, _ = model(asked)
    distance = np.square(asked - np.asarray(given)).mean(axis=(1, 2, 3))
    assert distance[0] < 0.05
    assert distance[1] > 50


def test_a_memory_is_at_most_half_of_what_there_is_to_learn_from() -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (8, 128, 128, 1), dtype=np.uint8)
    detector = train(pictures[:6], pictures[6:], config_for("features", 128, 1), seed=0, epochs=1).detector
    assert detector.config.memory == (6 * 64 // 2, 6 * 16 // 2, 6 * 4 // 2)
    for scale, places in enumerate(detector.config.memory):
        assert detector.weights()[f"scale-{scale}/decoder/01"].shape == (places, 112)


def test_places_that_are_given_back_badly_are_shown_more_often() -> None:
    maps = np.zeros((10, 8, 8, 112), np.float32)
    maps[:, 0, 0] = 1  # one place of 64 in each map is given back badly
    shown = training._hard_places(lambda seen: np.asarray(seen)[..., 0], maps, 3, 4, 0, 1, np.empty(640))
    places = np.concatenate([np.asarray(batch).reshape(-1, 112) for batch in shown])
    assert len(places) == 3 * 4 * 64
    assert places[:, 0].mean() > 0.9


def test_a_background_that_is_always_the_same_does_not_decide_how_sharp_the_memory_is(maps) -> None:
    """With it or without, a good place that was not learnt from is a mixture of those that are near."""
    sharpness = []
    for background in (0, 5):
        shown = maps.copy()
        shown[:, :background] = 1
        model = GANomaly(CONFIG, 0)
        begin(model, shown[:15], shown[15:], seed=0)
        sharpness.append(float(np.exp(model.decoder.get_weights()[2])))
    assert sharpness[1] < 30 * sharpness[0]


def test_a_memory_holds_nothing_of_places_that_do_not_count() -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (28, 128, 128, 1), dtype=np.uint8)
    mask = np.zeros((128, 128), bool)
    mask[:32, :64] = True
    pictures[:, ~mask] = 128
    inside = np.broadcast_to(mask.reshape(8, 16, 8, 16).any(axis=(1, 3)), (28, 8, 8))
    config = replace(config_for("features", 128, 1), memory=(6000,))
    trained = train(
        pictures[:20], pictures[20:], config, seed=0, epochs=1, inside=inside[:20], inside_validation=inside[20:]
    )  # fmt: skip
    detector = trained.detector
    assert detector.config.memory == (20 * 8 // 2,)
    detector.look_at(mask)
    by_place = detector.score(pictures[20:]).maps[inside[20:]]
    assert by_place.mean() == pytest.approx(1, rel=1e-3)  # what is usual is that of places that count
    (seen,) = [one.maps for one in detector.view.see_all(pictures[:20])]
    remembered = detector.weights()["scale-0/decoder/01"]
    far_in = nearest_squares(remembered, seen[inside[:20]])
    far_out = nearest_squares(remembered, seen[~inside[:20]])
    assert (far_in < far_out).all()
