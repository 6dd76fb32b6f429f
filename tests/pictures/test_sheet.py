"""The sheet for a person: the picture untouched, the same under its heat, at a size for a screen."""

import numpy as np
import pytest

from pictures.decoding import Decoded
from pictures.region import Region
from pictures.sheet import MARGIN, PANEL, as_seen, draw_sheet


def hot_at(row, column, shape=(8, 8), heat=0.95):
    places = np.full(shape, 0.1)
    places[row, column] = heat
    return places


@pytest.mark.parametrize(("height", "width"), [(28, 28), (1, 1), (4000, 6000), (300, 6000), (2000, 100)])
def test_any_picture_becomes_a_sheet_for_a_screen(height, width):
    picture = np.full((height, width, 3), 90, np.uint8)
    sheet = np.asarray(draw_sheet(picture, hot_at(2, 5), "item 1"))
    assert sheet.shape[1] <= 2 * PANEL + 3 * MARGIN
    assert sheet.shape[0] <= 2 * PANEL + 4 * MARGIN + 100
    assert (sheet[MARGIN, MARGIN] == 90).all()


def test_only_the_second_picture_is_painted_and_only_where_it_is_hot():
    picture = np.random.default_rng(0).integers(0, 256, (PANEL, PANEL, 3), dtype=np.uint8)
    sheet = np.asarray(draw_sheet(picture, hot_at(1, 6), "item 1"))
    left = sheet[MARGIN : MARGIN + PANEL, MARGIN : MARGIN + PANEL]
    right = sheet[MARGIN : MARGIN + PANEL, 2 * MARGIN + PANEL : 2 * MARGIN + 2 * PANEL]
    assert np.array_equal(left, picture)
    changed = (right != picture).any(axis=2)
    rows, columns = np.nonzero(changed)
    step = PANEL // 8
    assert changed[int(1.5 * step), int(6.5 * step)]
    assert rows.max() < 3 * step
    assert columns.min() > 5 * step


def test_a_good_picture_stays_as_it_is_but_for_the_ring():
    picture = np.full((PANEL, PANEL, 3), 90, np.uint8)
    sheet = np.asarray(draw_sheet(picture, hot_at(4, 4, heat=0.24), "item 1"))
    right = sheet[MARGIN : MARGIN + PANEL, 2 * MARGIN + PANEL : 2 * MARGIN + 2 * PANEL]
    assert set(np.unique(right)) == {0, 90, 255}


def test_a_map_can_be_shown_without_its_picture():
    sheet = np.asarray(draw_sheet(None, hot_at(2, 5), "item 1"))
    assert sheet.shape[1] == PANEL + 2 * MARGIN
    step = PANEL / 8
    red, green, _ = sheet[MARGIN + int(2.5 * step), MARGIN + int(5.5 * step)].astype(int)
    assert red > green + 100


def test_deep_pictures_are_shown_as_the_model_sees_them():
    pixels = np.array([[0, 1000], [2000, 4000]], np.uint16)
    seen = as_seen(Decoded(pixels, 65535.0, 2, 2, None), (0.0, 2000 / 65535))
    assert seen.shape == (2, 2, 3)
    assert seen[:, :, 0].tolist() == [[0, 127], [255, 255]]


def test_the_heat_of_a_region_is_painted_there_and_nowhere_else():
    picture = np.full((PANEL, PANEL, 3), 90, np.uint8)
    region = Region(left=0.5, top=0.0, width=0.5, height=1.0)
    sheet = np.asarray(draw_sheet(picture, np.full((8, 8), 0.8), "item 1", region))
    painted = sheet[MARGIN : MARGIN + PANEL, 2 * MARGIN + PANEL : 2 * MARGIN + 2 * PANEL]
    coloured = np.ptp(painted.astype(int), axis=2) > 40
    assert coloured[:, 3 * PANEL // 4].mean() > 0.9
    assert not coloured[PANEL // 2 :, : PANEL // 2 - 60].any()
