"""Tiles to learn from: of many large pictures a part is enough, and all of them would not fit into memory."""

import numpy as np

from ganomaly.room import Picked, Room
from ganomaly.tiling import Layout, Watched

MOST_TO_LEARN, MOST_TO_JUDGE = 4000, 1000
"""Tiles that are learnt from, and that validate. With `features` their maps are kept: 153 KB each at 256 pixels, all
scales together."""


def count_tiles(pictures: int, layout: Layout, mask: np.ndarray | None, most: int) -> int:
    """How many tiles `choose_tiles` takes of so many pictures."""
    return pictures if layout.whole else min(most, pictures * len(Watched(layout, layout.size, mask).kept))


def choose_tiles(
    pixels: np.ndarray, pictures: np.ndarray, layout: Layout, mask: np.ndarray | None, *, most: int, seed: int,
    room: Room,
) -> np.ndarray | Picked:  # fmt: skip
    """Tiles (n, size, size, channels) of the pictures with these numbers: all, or `most` of them, which follow from
    the seed; in `room`.

    `pixels` is (all pictures, height, width, channels); tiles without a pixel inside of `mask` (height, width) bool
    are left out. A layout of one tile gives the pictures themselves.
    """
    if layout.whole:
        return Picked(pixels, pictures)
    kept = Watched(layout, layout.size, mask).kept
    corners = layout.corners()
    count = len(pictures) * len(kept)
    chosen = _chosen(count, most, seed)
    size = layout.size
    tiles = room.array("tiles of the pictures", (len(chosen), size, size, pixels.shape[3]), pixels.dtype)
    for place, number in enumerate(chosen):
        top, left = corners[kept[number % len(kept)]]
        tiles[place] = pixels[pictures[number // len(kept)], top : top + size, left : left + size]
    return tiles


def places_inside(
    count: int, layout: Layout, mask: np.ndarray | None, side: int, *, most: int, seed: int
) -> np.ndarray | None:
    """Which places of their maps of `side` places a side are inside of the mask, for the tiles that `choose_tiles`
    chooses of `count` pictures: bool (n, side, side), or None where there is no mask."""
    if mask is None:
        return None
    watched = Watched(layout, side).inside(mask)
    by_tile = watched.by_tile.astype(np.bool_)
    if layout.whole:
        return np.broadcast_to(by_tile, (count, side, side))
    return by_tile[_chosen(count * len(watched.kept), most, seed) % len(watched.kept)]


def _chosen(count: int, most: int, seed: int) -> np.ndarray:
    return np.sort(np.random.default_rng([seed, 3]).permutation(count)[:most])
