"""Which tiles are learnt from."""

import numpy as np
import pytest

from ganomaly.tiling import Layout
from trainer.tiles import choose_tiles

LAYOUT = Layout(2, 3, 32)  # of 48 x 64


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (7, *LAYOUT.canvas, 3), dtype=np.uint8)


def test_all_tiles_where_they_are_few_and_the_pictures_themselves_without_tiles(pixels, tmp_path):
    pictures = np.array([1, 4, 6])
    tiles = choose_tiles(pixels, pictures, LAYOUT, None, most=100, seed=0, store=tmp_path / "t.npy")
    assert np.array_equal(tiles, LAYOUT.cut(pixels[pictures], range(6)))
    whole = choose_tiles(pixels[:, :32, :32], pictures, Layout(1, 1, 32), None, most=1, seed=0, store=tmp_path / "w")
    assert np.array_equal(whole, pixels[pictures, :32, :32])


def test_a_part_of_many_follows_from_the_seed(pixels, tmp_path):
    def chosen(seed):
        return np.array(
            choose_tiles(pixels, np.arange(7), LAYOUT, None, most=10, seed=seed, store=tmp_path / "t.npy")
        )  # fmt: skip

    first = chosen(1)
    assert np.array_equal(first, chosen(1))
    assert not np.array_equal(first, chosen(2))
    every = {tile.tobytes() for tile in LAYOUT.cut(pixels, range(6))}
    assert len({tile.tobytes() for tile in first} & every) == 10


def test_tiles_that_a_mask_leaves_nothing_of_are_not_learnt_from(pixels, tmp_path):
    mask = np.zeros(LAYOUT.canvas, bool)
    mask[40:, 50:] = True  # in the last tile alone
    tiles = choose_tiles(pixels, np.arange(7), LAYOUT, mask, most=100, seed=0, store=tmp_path / "t.npy")
    assert np.array_equal(tiles, pixels[:, 16:, 32:])
