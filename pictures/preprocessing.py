"""How a picture becomes an array: chosen once at training, fixed from then on, part of the model."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from oddlot.errors import BundleError, UnreadablePicture
from pictures.decoding import Decoded, decode, read_bytes
from pictures.region import Region, unpack_mask

SAMPLE = 64
"""Good pictures that are looked at to choose colour, depth and window."""
GRAY_TOLERANCE = 2.0
"""Mean difference between channels, in gray levels, up to which a colour file counts as gray."""
WINDOW_MARGIN = 0.25
"""Room above and below the range of the good pictures, as a share of it: defects may be brighter or darker."""
PIXELS_AT_ONCE = 2**24
"""Pixels of pictures that wait in memory together: 32 of 724 x 724, fewer of larger ones."""
OUTSIDE = 128
"""What every pixel outside of a mask becomes, at training and inspection alike: middle gray."""

_KEYS = {"size", "channels", "depth", "window", "canvas", "region"}


@dataclass(frozen=True)
class Preprocessing:
    """Every picture becomes (height, width, channels); uint8 where `depth` is 8, float32 in 0..255 where it is 16.

    Height and width are those of `canvas`, which is to be cut into tiles of `size` pixels a side, or `size` where that
    is None. Only what is inside `region` is looked at. `window` is a range, in shares of the full scale, that is
    stretched to 0..255; values outside are clipped. It goes beyond 1 only for files of 32-bit pixels, which know no
    full scale.
    """

    size: int
    channels: int
    depth: int = 8
    window: tuple[float, float] = (0.0, 1.0)
    canvas: tuple[int, int] | None = None
    region: Region | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the array that a picture becomes."""
        return (*(self.canvas or (self.size, self.size)), self.channels)

    @property
    def mask(self) -> np.ndarray | None:
        """(height, width) bool, read-only: the pixels of the array that are inside the region; None: all are."""
        if self.region is None or self.region.mask is None:
            return None
        return unpack_mask(self.region.mask, *self.shape[:2])

    @property
    def whole_side(self) -> int:
        """Pixels a side of a whole picture that show the region no smaller than the array does."""
        wide, tall = (1.0, 1.0) if self.region is None else self.region.shares()
        height, width, _ = self.shape
        return math.ceil(max(width / wide, height / tall))

    def at_once(self, most: int) -> int:
        """How many pictures to hold in memory at a time: `most`, or fewer, at least 1, where they are large."""
        return at_once(most, self.shape)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "size": self.size, "channels": self.channels, "depth": self.depth, "window": list(self.window),
            "canvas": None if self.canvas is None else list(self.canvas),
            "region": None if self.region is None else self.region.to_dict(),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, values: Any) -> "Preprocessing":
        """Raises BundleError where a key is missing or unknown or a value out of range."""
        if not isinstance(values, dict) or set(values) != _KEYS:
            raise BundleError("preprocessing.json does not have the keys of a preprocessing")
        size, channels, depth, window = (values[n] for n in ("size", "channels", "depth", "window"))
        canvas = values["canvas"]
        numbers = isinstance(window, list) and len(window) == 2 and all(type(v) in (int, float) for v in window)
        if (
            type(size) is not int or not 8 <= size <= 4096 or type(channels) is not int or channels not in (1, 3)
            or type(depth) is not int or depth not in (8, 16)
            or not numbers or not 0 <= window[0] < window[1] < math.inf
            or not (canvas is None or _is_canvas(canvas, size))
        ):  # fmt: skip
            raise BundleError("preprocessing.json holds a value out of its range")
        region = None if values["region"] is None else Region.from_dict(values["region"])
        made = cls(
            size, channels, depth, (float(window[0]), float(window[1])), canvas and (canvas[0], canvas[1]), region
        )
        _ = made.mask  # looked at now, and not in the middle of a night
        return made


def at_once(most: int, shape: tuple[int, ...]) -> int:
    """How many pictures of that shape (height, width, ...) to hold in memory at a time: up to `most`, at least 1."""
    return max(1, min(most, PIXELS_AT_ONCE // (shape[0] * shape[1])))


def _is_canvas(canvas: Any, size: int) -> bool:
    return isinstance(canvas, list) and len(canvas) == 2 and all(type(v) is int and size <= v <= 4096 for v in canvas)


@dataclass(frozen=True)
class Sample:
    """What a sample of good pictures has in common, as far as the region goes.

    `sizes` holds width and height of each upright picture that could be read, whether the region fits it or not.
    """

    sizes: list[tuple[int, int]]
    channels: int
    depth: int
    window: tuple[float, float]

    def preprocessing(
        self, size: int, canvas: tuple[int, int] | None = None, region: Region | None = None
    ) -> Preprocessing:
        return Preprocessing(size, self.channels, self.depth, self.window, canvas, region)


def choose_preprocessing(
    paths: Sequence[str], size: int, *, max_pixels: int = 200_000_000, max_file_bytes: int = 1_000_000_000
) -> Preprocessing:
    """Look at a sample of good pictures; see `look_at`."""
    return look_at(paths, max_pixels=max_pixels, max_file_bytes=max_file_bytes).preprocessing(size)


def look_at(paths: Sequence[str], region: Region | None = None, *, max_pixels: int, max_file_bytes: int) -> Sample:
    """Look at a sample of good pictures: gray where all are gray, 16 bit where any keeps more than 8.

    With 16 bit, the window spans the sample's values (all but one in ten thousand) and a margin.
    """
    sample = paths if len(paths) <= SAMPLE else random.Random(0).sample(list(paths), SAMPLE)
    gray, deep = True, False
    lows, highs, sizes = [], [], []
    for path in sample:
        try:
            decoded = decode(read_bytes(path, max_file_bytes=max_file_bytes)[0], max_pixels=max_pixels)
            sizes.append(decoded.upright)
            pixels = np.asarray(cut_out(decoded, region))
        except UnreadablePicture:
            continue
        if pixels.ndim == 3 and gray:
            signed = pixels.astype(np.float32)
            spread = np.abs(signed - signed.mean(axis=2, keepdims=True)).mean() / decoded.full_scale * 255
            gray = bool(spread <= GRAY_TOLERANCE)
        deep = deep or pixels.dtype != np.uint8
        low, high = np.quantile(pixels[::2, ::2], [0.0001, 0.9999]) / decoded.full_scale
        lows.append(float(low))
        highs.append(float(high))
    window = (0.0, 1.0)
    if deep and max(highs) > min(lows):
        margin = WINDOW_MARGIN * (max(highs) - min(lows))
        ceiling = 1.0 if max(highs) <= 1.0 else math.inf
        window = (max(0.0, min(lows) - margin), min(ceiling, max(highs) + margin))
    return Sample(sizes, 1 if gray else 3, 16 if deep else 8, window)


def cut_out(decoded: Decoded, region: Region | None) -> np.ndarray | Image.Image:
    """What of a picture is inside the rectangle of a region, as the decoder made it. Raises UnreadablePicture where the
    region does not fit."""
    made = decoded.made
    if region is None:
        return made
    region.check(*decoded.upright)
    left, top, right, bottom = box = region.box(*decoded.size)
    if isinstance(made, Image.Image):
        return made.crop(box)
    return np.ascontiguousarray(made[top:bottom, left:right])
