"""A heat map: how it is kept, which colour a heat has, and where in the picture its places are.

Heat lies between 0 and 1 and is 0.5 at the threshold of the model, whatever the picture. Its colour is a fixed
function of it: nothing here looks at the largest value of a map before it paints.
"""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pictures.region import Region

Heat = NDArray[np.float64]

LEVELS = 65536
MAX_PLACES = 4096 * 4096
COLD, THRESHOLD, HOTTEST = 0.25, 0.5, 0.9
"""Heat below which nothing is painted (the median good picture), the threshold, and from where on all is the same."""

# Heat, red, green, blue, alpha. The two sides do not meet at the threshold: there is the boundary that a person sees.
_BELOW = np.array([[COLD, 70, 110, 180, 0], [THRESHOLD, 70, 110, 180, 100]])
_ABOVE = np.array([[THRESHOLD, 255, 230, 40, 150], [0.7, 255, 135, 0, 180], [HOTTEST, 215, 0, 30, 205]])


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the upright picture, from the upper left corner; may end between two pixels."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def center(self) -> tuple[float, float]:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


def pack_heat(heat: Heat) -> bytes:
    """A map (height, width) as the bytes of a gray 16-bit PNG, one pixel a place; equal maps give equal bytes.

    A level means all heat above the one before it up to its own, so that what is above the threshold stays above.
    """
    levels = np.clip(np.ceil(np.asarray(heat, np.float64) * LEVELS) - 1, 0, LEVELS - 1).astype(np.uint16)
    stream = io.BytesIO()
    Image.fromarray(levels).save(stream, "PNG")
    return stream.getvalue()


def unpack_heat(data: bytes) -> Heat:
    """The map in the bytes of `pack_heat`, to 1 / 65536. Raises ValueError where it is none."""
    # Its size first: Pillow would warn of a large one, or refuse it in a way of its own.
    width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    if width * height > MAX_PLACES:
        raise ValueError("it is not a gray 16-bit PNG of a map's size")
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            if picture.mode != "I;16" or picture.width * picture.height > MAX_PLACES:
                raise ValueError("it is not a gray 16-bit PNG of a map's size")
            return (np.asarray(picture).astype(np.float64) + 1) / LEVELS
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError("it is not a readable PNG") from error


def colours(heat: Heat) -> NDArray[np.uint8]:
    """Red, green, blue and alpha (..., 4) of heat (...)."""
    heat = np.asarray(heat, np.float64)
    below, above = (
        np.stack([np.interp(heat, points[:, 0], points[:, channel]) for channel in range(1, 5)], axis=-1)
        for points in (_BELOW, _ABOVE)
    )
    return np.rint(np.where(heat[..., np.newaxis] > THRESHOLD, above, below)).astype(np.uint8)


def covered(width: int, height: int, region: Region | None = None) -> Box:
    """The part of the upright picture that a map covers: all of it, squeezed, or the model's region.

    The one place that knows this: overlay and peak both ask here.
    """
    left, top, right, bottom = (0, 0, width, height) if region is None else region.box(width, height)
    return Box(float(left), float(top), float(right), float(bottom))


def place_box(
    row: int, column: int, shape: tuple[int, ...], width: int, height: int, region: Region | None = None
) -> Box:
    """Where in the upright picture of that size the place (row, column) of a map of that shape is."""
    whole = covered(width, height, region)
    step_x, step_y = (whole.right - whole.left) / shape[1], (whole.bottom - whole.top) / shape[0]
    left, top = whole.left + column * step_x, whole.top + row * step_y
    return Box(left, top, left + step_x, top + step_y)


def peak(heat: Heat) -> tuple[int, int]:
    """Row and column of the hottest place, the first in reading order where there are more."""
    row, column = divmod(int(np.argmax(heat)), heat.shape[1])
    return row, column
