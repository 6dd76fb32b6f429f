"""Coarser scales of a map: means of what counts in windows, back to the places, and what they are good for."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ganomaly.config import config_for
from ganomaly.detector import Detector
from ganomaly.scales import coarser, evened, spread
from ganomaly.shapes import side_at
from ganomaly.training import train


@pytest.fixture
def maps() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(3, 9, 9, 5)).astype(np.float32)


@pytest.fixture
def inside() -> np.ndarray:
    return np.random.default_rng(1).random((3, 9, 9)) < 0.4


def window(number: int, scale: int) -> slice:
    """The places, of 9, in the window with that number: what is missing at both edges is shared between them."""
    before = (side_at(9, scale) * 2**scale - 9) // 2
    return slice(max(0, number * 2**scale - before), max(0, (number + 1) * 2**scale - before))


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_a_window_holds_the_mean_of_its_places_that_count(maps, inside, scale) -> None:
    means, share = (np.asarray(part) for part in coarser(maps, inside.astype(np.float32), scale))
    side = side_at(9, scale)
    assert means.shape == (3, side, side, 5)
    for picture, row, column in np.ndindex(3, side, side):
        places = picture, window(row, scale), window(column, scale)
        good = inside[places]
        assert share[picture, row, column] == pytest.approx(good.sum() / 4**scale)
        if good.any():
            expected = maps[places][good].mean(axis=0)
            np.testing.assert_allclose(means[picture, row, column], expected, rtol=1e-4, atol=1e-5)


def test_at_the_finest_scale_nothing_is_changed(maps, inside) -> None:
    places = inside.astype(np.float32)
    assert np.array_equal(coarser(maps, places, 0)[0], maps)
    assert np.array_equal(spread(maps[..., 0], places, 9, 0), maps[..., 0])


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_what_does_not_count_changes_no_bit(maps, inside, scale) -> None:
    places = inside.astype(np.float32)
    other = np.where(inside[..., np.newaxis], maps, maps[::-1])
    means, share = coarser(maps, places, scale)
    assert np.array_equal(coarser(other, places, scale)[0], means)
    values = np.asarray(means)[..., 0]
    disturbed = np.where(np.asarray(share) > 0, values, 99).astype(np.float32)
    assert np.array_equal(spread(disturbed, share, 9, scale), spread(values, share, 9, scale))


@pytest.mark.parametrize(("side", "scale"), [(8, 1), (8, 3), (9, 1), (16, 2)])
def test_spread_values_are_constant_where_the_windows_are_and_rise_where_they_rise(side, scale) -> None:
    coarse = side_at(side, scale)
    everywhere = np.ones((1, coarse, coarse), np.float32)
    np.testing.assert_allclose(spread(everywhere * 3, everywhere, side, scale), np.full((1, side, side), 3), rtol=1e-6)
    ramp = everywhere * np.arange(coarse, dtype=np.float32)
    by_place = np.asarray(spread(ramp, everywhere, side, scale))
    assert by_place.shape == (1, side, side)
    assert (np.diff(by_place, axis=2) >= 0).all()
    assert 0 <= by_place.min() < 0.5
    assert coarse - 1.5 < by_place.max() <= coarse - 1


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_windows_with_few_places_that_count_are_as_far_off_as_whole_ones_where_places_vary_by_themselves(scale) -> None:
    """Else the rim of a region, or of a picture whose side is no multiple of a window, would be where it is oddest."""
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(200, 11, 11, 30)).astype(np.float32)
    thin = rng.random((200, 11, 11)) < 0.3
    remembered = coarser(rng.normal(size=(200, 8, 8, 30)).astype(np.float32), np.ones((200, 8, 8), np.float32), scale)[
        0
    ]
    for places in (np.ones((200, 11, 11), np.float32), thin.astype(np.float32)):
        means, share = coarser(maps, places, scale)
        other = np.asarray(remembered)[:, :1, :1]
        distance = np.asarray(evened(np.square(means - other).mean(axis=3), share))
        whole = 2 / 4**scale
        by_window = distance[np.asarray(share) > 0]
        assert by_window.mean() == pytest.approx(whole, rel=0.05)
        corner = distance[:, 0, 0][np.asarray(share)[:, 0, 0] > 0]
        assert corner.mean() == pytest.approx(whole, rel=0.15)


@pytest.fixture(scope="module")
def grain() -> tuple[np.ndarray, np.ndarray]:
    """Pictures of an even grain, and the same with half of each a little coarser: no place by itself is odd."""
    rng = np.random.default_rng(0)
    fine = rng.normal(128, 25, (64, 128, 128))
    blurred = (fine + np.roll(fine, 1, axis=1) + np.roll(fine, 1, axis=2)) / 3
    odd = fine[52:].copy()
    odd[:, :, 64:] = 128 + 0.5 * (fine[52:, :, 64:] - 128) + 0.5 * (blurred[52:, :, 64:] - 128)
    return tuple(np.clip(pixels, 0, 255).astype(np.uint8)[..., np.newaxis] for pixels in (fine, odd))


def test_what_is_a_little_odd_over_half_of_a_picture_is_seen_at_coarser_scales(grain) -> None:
    good, odd = grain
    found = []
    for scales in (1, 4):
        config = replace(config_for("features", 128, 1), memory=(300,) * scales)
        detector: Detector = train(good[:32], good[32:40], config, seed=0, epochs=1).detector
        here, there = detector.score(good[40:52]), detector.score(odd)
        found.append(roc_auc_score([0] * 12 + [1] * 12, np.concatenate([here.raw, there.raw])))
        left, right = there.maps[:, :, :3].mean(), there.maps[:, :, 5:].mean()
    assert found[0] < 0.9 < found[1]
    assert right > left
