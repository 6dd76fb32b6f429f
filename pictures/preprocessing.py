"""How a picture becomes an array: chosen once at training, fixed from then on, part of the model."""

import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from oddlot.errors import BundleError, UnreadablePicture
from pictures.decoding import decode, read_bytes

SAMPLE = 64
"""Good pictures that are looked at to choose colour, depth and window."""
GRAY_TOLERANCE = 2.0
"""Mean difference between channels, in gray levels, up to which a colour file counts as gray."""
WINDOW_MARGIN = 0.25
"""Room above and below the range of the good pictures, as a share of it: defects may be brighter or darker."""


@dataclass(frozen=True)
class Preprocessing:
    """Every picture becomes (size, size, channels); uint8 where `depth` is 8, float32 in 0..255 where it is 16.

    `window` is a range, in shares of the full scale, that is stretched to 0..255; values outside are clipped. It goes
    beyond 1 only for files of 32-bit pixels, which know no full scale.
    """

    size: int
    channels: int
    depth: int = 8
    window: tuple[float, float] = (0.0, 1.0)

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "window": list(self.window)}

    @classmethod
    def from_dict(cls, values: Any) -> "Preprocessing":
        """Raises BundleError where a key is missing or unknown or a value out of range."""
        names = {f.name for f in fields(cls)}
        if not isinstance(values, dict) or set(values) != names:
            raise BundleError("preprocessing.json does not have the keys of a preprocessing")
        size, channels, depth, window = (values[n] for n in ("size", "channels", "depth", "window"))
        numbers = isinstance(window, list) and len(window) == 2 and all(type(v) in (int, float) for v in window)
        if (
            type(size) is not int or not 8 <= size <= 4096 or type(channels) is not int or channels not in (1, 3)
            or type(depth) is not int or depth not in (8, 16)
            or not numbers or not 0 <= window[0] < window[1] < math.inf
        ):  # fmt: skip
            raise BundleError("preprocessing.json holds a value out of its range")
        return cls(size, channels, depth, (float(window[0]), float(window[1])))


def choose_preprocessing(
    paths: Sequence[str], size: int, *, max_pixels: int = 200_000_000, max_file_bytes: int = 1_000_000_000
) -> Preprocessing:
    """Look at a sample of good pictures: gray where all are gray, 16 bit where any keeps more than 8.

    With 16 bit, the window spans the sample's values (all but one in ten thousand) and a margin.
    """
    sample = paths if len(paths) <= SAMPLE else random.Random(0).sample(list(paths), SAMPLE)
    gray, deep = True, False
    lows, highs = [], []
    for path in sample:
        try:
            decoded = decode(read_bytes(path, max_file_bytes=max_file_bytes)[0], max_pixels=max_pixels)
        except UnreadablePicture:
            continue
        pixels = decoded.pixels
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
    return Preprocessing(size, 1 if gray else 3, 16 if deep else 8, window)
