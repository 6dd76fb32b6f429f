"""Polygons around the hot places of a map enclose these places and no others."""

import numpy as np
import pytest
from scipy import ndimage

from pictures.outline import outlines
from pictures.region import Region


def drawn(corners: np.ndarray, height: int, width: int) -> np.ndarray:
    """Which pixels have their middle inside the polygon, by the even-odd rule."""
    y, x = np.mgrid[0:height, 0:width] + 0.5
    inside = np.zeros((height, width), bool)
    for (x1, y1), (_, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y1 != y2:
            inside ^= ((y1 > y) != (y2 > y)) & (x < x1)
    return inside


@pytest.mark.parametrize("share", [0.1, 0.4, 0.6, 0.9])
def test_the_polygons_cover_the_hot_places_and_their_holes(share):
    rng = np.random.default_rng(int(share * 10))
    for _ in range(40):
        heat = np.where(rng.random((9, 13)) < share, 0.75, 0.25)
        hot = heat > 0.5
        found = outlines(heat, 13, 9)
        assert len(found) == ndimage.label(hot)[1]
        together = np.zeros(heat.shape, bool)
        for one in found:
            spot = drawn(one.corners, 9, 13)
            assert one.area == pytest.approx(spot.sum())
            assert np.array_equal(spot, ndimage.binary_fill_holes(spot))
            left, top, width, height = one.box
            rows, columns = np.nonzero(spot)
            assert (left, top) == (columns.min(), rows.min())
            assert (left + width, top + height) == (columns.max() + 1, rows.max() + 1)
            assert (one.corners != np.roll(one.corners, 1, axis=0)).any(axis=1).all()
            together |= spot
        assert (together >= hot).all()
        assert not (together & ~ndimage.binary_fill_holes(hot)).any()


def test_the_hottest_spot_comes_first_and_nothing_hot_gives_none():
    heat = np.full((4, 4), 0.2)
    assert outlines(heat, 40, 40) == []
    heat[0, 0], heat[2, 3], heat[3, 3] = 0.6, 0.7, 0.9
    first, second = outlines(heat, 40, 20)
    assert (first.heat, first.box, first.area) == (0.9, (30.0, 10.0, 10.0, 10.0), 100.0)
    assert (second.heat, second.box) == (0.6, (0.0, 0.0, 10.0, 5.0))
    assert sorted(first.corners.tolist()) == [[30.0, 10.0], [30.0, 20.0], [40.0, 10.0], [40.0, 20.0]]


def test_a_map_of_a_region_lies_there_and_stays_inside_the_picture():
    heat = np.full((3, 3), 0.8)
    (one,) = outlines(heat, 101, 67, Region(0.5, 0.5, 0.5, 0.5))
    left, top, right, bottom = Region(0.5, 0.5, 0.5, 0.5).box(101, 67)
    assert one.box == (left, top, right - left, bottom - top)
    heat[1, 1] = 0.1
    (ring,) = outlines(heat, 101, 67)
    assert ring.area == pytest.approx(101 * 67)
