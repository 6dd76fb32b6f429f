"""One file, read once, as the array that a model looks at."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from oddlot.errors import UnreadablePicture
from pictures.appearance import Appearance, appearance
from pictures.decoding import Decoded, decode, read_bytes
from pictures.preprocessing import OUTSIDE, Preprocessing, cut_out

# Triangle filter with its support widened to the reduction: antialiased, no overshoot. Part of every model.
FILTER = Image.Resampling.BILINEAR


@dataclass(frozen=True)
class Picture:
    """`pixels` is (height, width, channels) as the preprocessing says, uint8 or float32 in 0..255; `sha256` is of the
    file's bytes; `width` and `height` are those of the file's header; `note` says what a person should know, or is
    None; `appearance` is how it looks, whatever a detector makes of it."""

    pixels: np.ndarray
    sha256: str
    note: str | None
    width: int
    height: int
    appearance: Appearance


def read_picture(
    path: str, preprocessing: Preprocessing, *, root: str | None = None, expected: tuple[int, int] | None = None,
    etag: str | None = None, max_pixels: int, max_file_bytes: int,
) -> Picture:  # fmt: skip
    """Read, decode and preprocess one picture; see `read_bytes` for `root`, `expected` and `etag`.

    Raises UnreadablePicture with the reason, and with the hash where the bytes could be read.
    """
    data, sha256 = read_bytes(path, max_file_bytes=max_file_bytes, root=root, expected=expected, etag=etag)
    return picture_of(data, sha256, preprocessing, max_pixels=max_pixels)


def picture_of(data: bytes, sha256: str, preprocessing: Preprocessing, *, max_pixels: int) -> Picture:
    """Decode and preprocess the bytes of one file, whose hash is known. Raises UnreadablePicture with the reason and
    the hash."""
    try:
        decoded = decode(data, max_pixels=max_pixels, target=preprocessing.whole_side)
        pixels = preprocess(decoded, preprocessing)
    except UnreadablePicture as reason:
        raise UnreadablePicture(str(reason), sha256) from None
    looks = appearance(pixels, decoded, preprocessing.mask)
    return Picture(pixels, sha256, decoded.note, decoded.width, decoded.height, looks)


def preprocess(decoded: Decoded, preprocessing: Preprocessing) -> np.ndarray:
    """(height, width, channels), uint8 where the preprocessing's depth is 8, else float32 in 0..255.

    Raises UnreadablePicture where the region does not fit the picture.
    """
    pixels = _resized(decoded, preprocessing)
    mask = preprocessing.mask
    return pixels if mask is None else np.where(mask[:, :, np.newaxis], pixels, pixels.dtype.type(OUTSIDE))


def _resized(decoded: Decoded, preprocessing: Preprocessing) -> np.ndarray:
    height, width, _ = preprocessing.shape
    side = (width, height)
    cut = cut_out(decoded, preprocessing.region)
    plain = decoded.full_scale == 255.0 and preprocessing.window == (0.0, 1.0)
    if plain and preprocessing.depth == 8:
        picture = cut if isinstance(cut, Image.Image) else Image.fromarray(cut)
        if preprocessing.channels == 1 and picture.mode != "L":
            picture = picture.convert("L")  # ITU-R 601
        resized = np.asarray(picture.resize(side, FILTER))
        return _with_channels(resized, preprocessing.channels)
    values = np.asarray(cut).astype(np.float32)
    if preprocessing.channels == 1 and values.ndim == 3:
        values = values @ np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R 601
    planes = [values] if values.ndim == 2 else [values[:, :, c] for c in range(3)]
    low, high = (bound * decoded.full_scale for bound in preprocessing.window)
    small = [np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize(side, FILTER)) for plane in planes]
    stretched = np.clip((np.stack(small, axis=-1) - low) * (255.0 / (high - low)), 0.0, 255.0)
    if preprocessing.depth == 8:
        stretched = np.rint(stretched).astype(np.uint8)
    return _with_channels(
        stretched.astype(np.uint8 if preprocessing.depth == 8 else np.float32), preprocessing.channels
    )


def _with_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    if pixels.ndim == 2:
        pixels = pixels[:, :, np.newaxis]
    return np.repeat(pixels, channels, axis=2) if pixels.shape[2] != channels else pixels
