"""Large pictures in tiles: cut with an overlap, scored one by one, their maps joined.

The networks see a tile. A picture becomes a canvas that its tiles cover exactly; neighbours share at least an eighth
of their side, so that a defect on an edge is whole in one of them. Sides, overlap and stride are multiples of 16
pixels, the stride of the backbone, so that the maps of tiles lie on one grid.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ganomaly.config import SIZE_STEP, Config

if TYPE_CHECKING:
    from ganomaly.scoring import Scores

OVERLAP = 1 / 8
"""Share of a tile's side that it has in common with its neighbour, at least."""
PLACES = "region/places"
"""Name, among a detector's weights, of the places that count, where not all do."""


@dataclass(frozen=True)
class Layout:
    """Rows and columns of square tiles of `size` pixels a side. One tile is the picture itself."""

    rows: int
    columns: int
    size: int

    @property
    def whole(self) -> bool:
        """Whether the one tile is the picture itself."""
        return (self.rows, self.columns) == (1, 1)

    @property
    def stride(self) -> int:
        """Pixels from one tile to the next."""
        return self.size - math.ceil(self.size * OVERLAP / SIZE_STEP) * SIZE_STEP

    @property
    def canvas(self) -> tuple[int, int]:
        """Height and width in pixels of what is cut."""
        return self.size + (self.rows - 1) * self.stride, self.size + (self.columns - 1) * self.stride

    def corners(self) -> list[tuple[int, int]]:
        """Top and left of each tile, row by row."""
        return [(self.stride * row, self.stride * column) for row in range(self.rows) for column in range(self.columns)]

    def cut(self, canvases: np.ndarray, kept: Sequence[int]) -> np.ndarray:
        """The tiles with the numbers `kept` of canvases (n, height, width, ...), picture by picture:
        (n * len(kept), size, size, ...)."""
        corners = self.corners()
        tiles = [
            canvases[:, top : top + self.size, left : left + self.size]
            for top, left in (corners[number] for number in kept)
        ]
        return np.stack(tiles, axis=1).reshape(-1, self.size, self.size, *canvases.shape[3:])

    def join(self, maps: np.ndarray, kept: Sequence[int]) -> np.ndarray:
        """Maps (n * len(kept), side, side) of the tiles `kept` as maps of their canvases; float32 (n, height, width).

        Where tiles overlap, the largest value stands, so that the maximum of a joined map is that of its tiles; where
        no tile was kept, 0.
        """
        side = maps.shape[1]
        step = self.size // side
        height, width = (length // step for length in self.canvas)
        by_canvas = maps.reshape(-1, len(kept), side, side)
        joined = np.zeros((len(by_canvas), height, width), np.float32)
        corners = self.corners()
        for place, number in enumerate(kept):
            top, left = (edge // step for edge in corners[number])
            part = joined[:, top : top + side, left : left + side]
            np.maximum(part, by_canvas[:, place], out=part)
        return joined


class Watched:
    """Which tiles of a picture are scored, and which places of their maps count.

    `side` is that of a tile's map. `places` (rows, columns) bool, a map of the whole picture, says where something may
    be found; None: anywhere. A tile without such a place is left out.
    """

    def __init__(self, layout: Layout, side: int, places: np.ndarray | None = None) -> None:
        """Raises ValueError where `places` is not such a map, or nothing of it is true."""
        self.layout = layout
        self._step = layout.size // side
        rows, columns = (length // self._step for length in layout.canvas)
        if places is None:
            everywhere = np.ones((rows, columns), np.bool_)
        elif places.shape == (rows, columns) and places.dtype == np.bool_ and places.any():
            everywhere = places
        else:
            raise ValueError(f"{PLACES} is not a map of the places of a picture, some of them true")
        by_tile = [
            everywhere[top // self._step : top // self._step + side, left // self._step : left // self._step + side]
            for top, left in layout.corners()
        ]
        self.kept = [number for number, tile in enumerate(by_tile) if tile.any()]
        self.by_tile = np.stack([by_tile[number] for number in self.kept]).astype(np.float32)
        self._places = places

    def inside(self, mask: np.ndarray) -> "Watched":
        """The same, where only what is inside a mask (height, width) bool of the picture's pixels counts.

        A place counts where any of its pixels does, so that no pixel inside goes unwatched.
        """
        step = self._step
        height, width = mask.shape
        places = np.asarray(mask.reshape(height // step, step, width // step, step).any(axis=(1, 3)))
        return Watched(self.layout, self.layout.size // step, places)

    def arrays(self) -> dict[str, np.ndarray]:
        """What has to be kept of it beside the configuration."""
        return {} if self._places is None else {PLACES: self._places}

    def of_tiles(self, start: int, count: int) -> np.ndarray:
        """Float32 (count, side, side), 1 where a place counts, for the tiles from number `start` of a row of pictures
        that are cut one after the other."""
        return self.by_tile[np.arange(start, start + count) % len(self.kept)]

    def score(
        self, pictures: np.ndarray, score_tiles: "Callable[[np.ndarray], Scores]", together: int
    ) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
        """Parts and joined maps of pictures (n, height, width, channels), whose tiles `score_tiles` scores.

        A part of a picture is the largest one of its tiles, or their mean where it is a mean over places. About
        `together` tiles stand in memory at a time.
        """
        step = max(1, together // len(self.kept))
        found = [
            score_tiles(self.layout.cut(pictures[i : i + step], self.kept))
            for i in range(0, max(1, len(pictures)), step)
        ]
        parts = {}
        for name in found[0].parts:
            by_tile = np.concatenate([scores.parts[name] for scores in found]).reshape(-1, len(self.kept))
            parts[name] = by_tile.mean(axis=1) if name == "contextual" else by_tile.max(axis=1)
        maps = [self.layout.join(scores.maps, self.kept) for scores in found if scores.maps is not None]
        return parts, np.concatenate(maps) if maps else None


def layout_of(config: Config) -> Layout:
    return Layout(config.rows, config.columns, config.size)
