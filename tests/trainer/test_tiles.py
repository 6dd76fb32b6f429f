"""Which tiles are learnt from."""

import numpy as np
import pytest

from ganomaly.room import Room
from ganomaly.tiling import Layout
from trainer.tiles import choose_tiles, places_inside

LAYOUT = Layout(2, 3, 32)  # of 48 x 64


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (7, *LAYOUT.canvas, 3), dtype=np.uint8)


def test_all_tiles_where_they_are_few_and_the_pictures_themselves_without_tiles(pixels):
    pictures = np.array([1, 4, 6])
    tiles = choose_tiles(pixels, pictures, LAYOUT, None, most=100, seed=0, room=Room())
    assert np.array_equal(tiles, LAYOUT.cut(pixels[pictures], range(6)))
    whole = choose_tiles(pixels[:, :32, :32], pictures, Layout(1, 1, 32), None, most=1, seed=0, room=Room())
    assert np.array_equal(whole, pixels[pictures, :32, :32])


def test_a_part_of_many_follows_from_the_seed(pixels):
    def chosen(seed):
        return np.array(
            choose_tiles(pixels, np.arange(7), LAYOUT, None, most=10, seed=seed, room=Room())
        )  # fmt: skip

    first = chosen(1)
    assert np.array_equal(first, chosen(1))
    assert not np.array_equal(first, chosen(2))
    every = {tile.tobytes() for tile in LAYOUT.cut(pixels, range(6))}
    assert len({tile.tobytes() for tile in first} & every) == 10


def test_tiles_that_a_mask_leaves_nothing_of_are_not_learnt_from(pixels):
    mask = np.zeros(LAYOUT.canvas, bool)
    mask[40:, 50:] = True  # in the last tile alone
    tiles = choose_tiles(pixels, np.arange(7), LAYOUT, mask, most=100, seed=0, room=Room())
    assert np.array_equal(tiles, pixels[:, 16:, 32:])


def test_the_places_that_count_are_those_of_the_chosen_tiles_that_show_something_of_the_mask():
    mask = np.random.default_rng(0).random(LAYOUT.canvas) < 0.05
    shown = np.broadcast_to(mask[np.newaxis, ..., np.newaxis], (7, *mask.shape, 1)).astype(np.uint8)
    tiles = choose_tiles(shown, np.arange(7), LAYOUT, mask, most=10, seed=3, room=Room())
    places = places_inside(7, LAYOUT, mask, 4, most=10, seed=3)
    assert np.array_equal(places, np.asarray(tiles).reshape(10, 4, 8, 4, 8).any(axis=(2, 4)))
    whole = Layout(1, 1, 32)
    assert np.array_equal(
        places_inside(7, whole, mask[:32, :32], 4, most=10, seed=3),
        [mask[:32, :32].reshape(4, 8, 4, 8).any(axis=(1, 3))] * 7,
    )
