"""Where a model looks in a picture: a rectangle, or a rectangle with a mask in it. Part of the model."""

import base64
import binascii
import math
import re
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from oddlot.errors import BundleError, TrainingError, UnreadablePicture
from pictures.decoding import decode, read_bytes

SMALLEST = 8
"""Fewest pixels a side of a region: less cannot be learnt."""
WHITE = 0.5
"""Share of white from which a pixel of a mask is inside."""
MASK_LIMIT = 700_000
"""Most characters of a packed mask: preprocessing.json holds it beside little else."""

_NUMBER = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(%?)\s*")
_KEYS = {"left", "top", "width", "height", "picture", "mask"}


@dataclass(frozen=True)
class Region:
    """A rectangle of an upright picture, and which of its pixels count.

    Left, top, width and height are whole pixels of pictures that are `picture` (width, height), or, where that is
    None, shares 0..1 of a picture of any size. `mask` says for each pixel of the model's array whether it is inside,
    packed by `pack_mask`, or is None: all are.
    """

    left: float
    top: float
    width: float
    height: float
    picture: tuple[int, int] | None = None
    mask: str | None = None

    def check(self, width: int, height: int) -> None:
        """Raises UnreadablePicture where the region says nothing about an upright picture of that size."""
        if self.picture is not None and (width, height) != self.picture:
            raise UnreadablePicture(
                f"{width}x{height}, but the model's region is defined on "
                f"{self.picture[0]}x{self.picture[1]} pictures: use such pictures, or fit again with --roi in percent"
            )

    def box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Left, top, right, bottom in whole pixels of an upright picture that was decoded as width x height."""
        wide, tall = self.picture or (1, 1)
        left, right = _edges(self.left / wide, self.width / wide, width)
        top, bottom = _edges(self.top / tall, self.height / tall, height)
        return left, top, right, bottom

    def shares(self) -> tuple[float, float]:
        """Its width and height as shares of the picture's."""
        wide, tall = self.picture or (1, 1)
        return self.width / wide, self.height / tall

    def to_dict(self) -> dict[str, Any]:
        return {
            "left": self.left, "top": self.top, "width": self.width, "height": self.height,
            "picture": None if self.picture is None else list(self.picture), "mask": self.mask,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, values: Any) -> "Region":
        """Raises BundleError where it is no region inside a picture. Its mask is checked by `unpack_mask`."""
        if not isinstance(values, dict) or set(values) != _KEYS:
            raise BundleError("preprocessing.json does not have the keys of a region")
        numbers = [values[name] for name in ("left", "top", "width", "height")]
        picture, mask = values["picture"], values["mask"]
        if (
            any(type(v) not in (int, float) or not math.isfinite(v) for v in numbers)
            or not (picture is None or _is_size(picture)) or not (mask is None or isinstance(mask, str))
        ):  # fmt: skip
            raise BundleError("preprocessing.json holds a region with a value of the wrong kind")
        left, top, width, height = numbers
        wide, tall = picture or (1, 1)
        if (
            not (left >= 0 and top >= 0 and width > 0 and height > 0 and left + width <= wide and top + height <= tall)
            or (picture is not None and any(v != int(v) for v in numbers))
        ):  # fmt: skip
            raise BundleError("preprocessing.json holds a region that is not inside the picture")
        return cls(left, top, width, height, picture and (wide, tall), mask)

    def __str__(self) -> str:
        """In words, for the screen."""
        if self.picture is None:
            left, top, width, height = (f"{100 * v:.4g}%" for v in (self.left, self.top, self.width, self.height))
            return f"{width} x {height} at {left}, {top}"
        where = f"{self.width:g}x{self.height:g} at {self.left:g},{self.top:g} of {self.picture[0]}x{self.picture[1]}"
        return where if self.mask is None else f"a mask within {where}"


def _edges(start: float, length: float, side: int) -> tuple[int, int]:
    first = min(round(start * side), side - 1)
    return first, min(side, max(first + 1, round((start + length) * side)))


def _is_size(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(v) is int and 0 < v < 2**20 for v in value)


def parse_rectangle(text: str) -> tuple[tuple[float, float, float, float], bool] | None:
    """X, Y, WIDTH, HEIGHT of a text, and whether they are shares; None where it is not four numbers with commas.

    Whole numbers are pixels; percent, or numbers of which one has a decimal point, are shares. Raises TrainingError
    for a mixture, an empty rectangle and shares beyond the picture.
    """
    found = [_NUMBER.fullmatch(part) for part in text.split(",")]
    if len(found) != 4 or not all(found):
        return None
    values = [float(match[1]) for match in found if match]
    percent = [bool(match[2]) for match in found if match]
    if any(percent) and not all(percent):
        raise TrainingError(f"--roi {text} mixes percent with other numbers: write all four in percent, or none")
    shares = any(percent) or "." in text
    if any(percent):
        values = [value / 100 for value in values]
    left, top, width, height = values
    if not width or not height:
        raise TrainingError(f"--roi {text} is empty: give X,Y,WIDTH,HEIGHT")
    if shares and (left + width > 1 + 1e-9 or top + height > 1 + 1e-9):
        raise TrainingError(
            f"--roi {text} is read as shares of the picture and reaches beyond it: "
            "give shares from 0.0 to 1.0, percent, or whole pixels"
        )
    if shares:
        width, height = min(width, 1 - left), min(height, 1 - top)
    return (left, top, width, height), shares


def rectangle_in(text: str, picture: tuple[int, int]) -> Region | None:
    """The region that a rectangle means on pictures of width and height `picture`; None where the text is none.

    Raises TrainingError where it is not inside such pictures, or too small.
    """
    parsed = parse_rectangle(text)
    if parsed is None:
        return None
    values, shares = parsed
    region = Region(*values, picture=None if shares else picture)
    size = f"{picture[0]}x{picture[1]}"
    if not shares and (region.left + region.width > picture[0] or region.top + region.height > picture[1]):
        raise TrainingError(f"--roi {text} reaches beyond the pictures, which are {size}: give X,Y,WIDTH,HEIGHT inside")
    left, top, right, bottom = region.box(*picture)
    _check_extent(text, right - left, bottom - top)
    return region


def read_mask(path: str, picture: tuple[int, int]) -> tuple[Region, np.ndarray]:
    """The bounding rectangle of what is white in a mask file, and the mask in it: (height, width) bool.

    Raises TrainingError where it cannot be read, is not of the size `picture` (width, height), or is black.
    """
    try:
        decoded = decode(read_bytes(path, max_file_bytes=10**9)[0], max_pixels=10**9)
    except UnreadablePicture as reason:
        raise TrainingError(
            f"--roi {path}: {reason}; give X,Y,WIDTH,HEIGHT or a picture file that is white where to look"
        ) from None
    if decoded.upright != picture:
        width, height = decoded.upright
        raise TrainingError(
            f"--roi {path} is {width}x{height}, but the pictures are {picture[0]}x{picture[1]}: a mask has their size"
        )
    pixels = decoded.pixels.astype(np.float32)
    white = (pixels if pixels.ndim == 2 else pixels.mean(axis=2)) >= WHITE * decoded.full_scale
    if not white.any():
        raise TrainingError(f"--roi {path} is black everywhere: paint white where to look")
    rows, columns = np.flatnonzero(white.any(axis=1)), np.flatnonzero(white.any(axis=0))
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    _check_extent(path, right - left, bottom - top)
    return Region(left, top, right - left, bottom - top, picture), white[top:bottom, left:right]


def _check_extent(what: str, width: int, height: int) -> None:
    if min(width, height) < SMALLEST:
        raise TrainingError(
            f"--roi {what} is {width}x{height} pixels: a region has at least {SMALLEST} a side "
            "(shares of the picture are written 0.25 or 25%)"
        )


def check_wish(text: str) -> None:
    """Raises TrainingError where a text is neither four numbers nor the path of a file."""
    if parse_rectangle(text) is None and not Path(text).is_file():
        raise TrainingError(f"--roi {text} is neither X,Y,WIDTH,HEIGHT nor a file: see oddlot fit --help")


def reduce_mask(mask: np.ndarray, height: int, width: int, resample: Image.Resampling) -> np.ndarray:
    """A mask (h, w) bool as (height, width) bool: inside is what the filter makes of pixels inside alone.

    So nothing outside of the mask can move a pixel that counts. Raises TrainingError where nothing is left.
    """
    outside = Image.fromarray((~mask).astype(np.float32)).resize((width, height), resample)
    inside = np.asarray(outside) == 0
    if not inside.any():
        raise TrainingError(
            f"--roi: nothing is left of the mask at {width}x{height} pixels: paint wider, or take a larger --size"
        )
    return inside


def pack_mask(mask: np.ndarray) -> str:
    """A mask (height, width) bool as text. Raises TrainingError for one too ragged to be kept in a model."""
    packed = base64.b64encode(zlib.compress(np.packbits(mask).tobytes(), 9)).decode("ascii")
    if len(packed) > MASK_LIMIT:
        raise TrainingError("--roi: the mask is too ragged to be kept in a model: paint plain shapes")
    return packed


@lru_cache(maxsize=8)
def unpack_mask(packed: str, height: int, width: int) -> np.ndarray:
    """What `pack_mask` packed: (height, width) bool, read-only. Raises BundleError where it is something else."""
    size = (height * width + 7) // 8
    try:
        stream = zlib.decompressobj()
        bits = stream.decompress(base64.b64decode(packed, validate=True), size + 1)  # no more, whatever it claims
    except (binascii.Error, ValueError, zlib.error):
        raise BundleError("preprocessing.json holds a mask that cannot be unpacked") from None
    if len(bits) != size or not stream.eof:
        raise BundleError("preprocessing.json holds a mask of another size than the model's pictures")
    mask = np.unpackbits(np.frombuffer(bits, np.uint8), count=height * width).reshape(height, width).astype(bool)
    if not mask.any():
        raise BundleError("preprocessing.json holds a mask with nothing inside")
    mask.setflags(write=False)
    return mask
