"""The outlines of the hot places of a map, as polygons."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pictures.heatmap import THRESHOLD, Heat, covered
from pictures.region import Region

DECIMALS = 2
"""Of the coordinates: a hundredth of a pixel."""


@dataclass(frozen=True)
class Outline:
    """One spot above the threshold. `corners` (n, 2) are x and y in pixels of the upright picture, going round it once,
    clockwise on the screen; `heat` is that of its hottest place, above 0.5 and below 1."""

    corners: NDArray[np.float64]
    heat: float

    @property
    def area(self) -> float:
        """In square pixels, by the shoelace formula."""
        x, y = self.corners.T
        return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, width, height."""
        (left, top), (right, bottom) = self.corners.min(axis=0), self.corners.max(axis=0)
        return float(left), float(top), float(right - left), float(bottom - top)


def outlines(heat: Heat, width: int, height: int, region: Region | None = None) -> list[Outline]:
    """The spots of a map (rows, columns) on an upright picture of that size, the hottest first.

    Places that share an edge are one spot; a hole in a spot belongs to it. The map covers `region`, None for all of
    the picture, and a place is as large as the map is coarse.
    """
    from scipy import ndimage

    labels, _ = ndimage.label(heat > THRESHOLD)
    whole = covered(width, height, region)
    step = np.array([(whole.right - whole.left) / heat.shape[1], (whole.bottom - whole.top) / heat.shape[0]])
    found = []
    for number, window in enumerate(ndimage.find_objects(labels), start=1):
        spot = labels[window] == number
        places = _around(ndimage.binary_fill_holes(spot)) + np.array([window[1].start, window[0].start])
        corners = np.round(places * step + np.array([whole.left, whole.top]), DECIMALS)
        found.append(Outline(corners, float(heat[window][spot].max())))
    return sorted(found, key=lambda one: -one.heat)


def _around(spot: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The corners (n, 2) of the one outline of places that hang together by their edges and have no hole.

    Each place that ends at an edge gives a side of length 1, with the place on its right. Two sides never begin at the
    same corner: two places that touch at a corner alone would have to enclose a hole to hang together.
    """
    padded = np.pad(spot, 1)
    inside = padded[1:-1, 1:-1]
    sides: dict[tuple[int, int], tuple[int, int]] = {}
    for shifted, begin, end in (
        (padded[:-2, 1:-1], (0, 0), (1, 0)), (padded[1:-1, 2:], (1, 0), (1, 1)),
        (padded[2:, 1:-1], (1, 1), (0, 1)), (padded[1:-1, :-2], (0, 1), (0, 0)),
    ):  # fmt: skip
        for row, column in np.argwhere(inside & ~shifted).tolist():
            sides[column + begin[0], row + begin[1]] = column + end[0], row + end[1]
    first = min(sides)
    corners, before, at = [], first, sides[first]
    while True:
        following = sides[at]
        if (at[0] - before[0], at[1] - before[1]) != (following[0] - at[0], following[1] - at[1]):
            corners.append(at)
        before, at = at, following
        if before == first:
            return np.array(corners, np.float64)
