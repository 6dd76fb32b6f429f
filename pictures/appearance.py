"""How a picture looks, in a few numbers that no network has a part in: what tells a changed scene from a bad part.

Measured on the array that the model gets, so on its region, tiles and window alone, in about a millisecond.
"""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pictures.decoding import Decoded

SIDE = 32
"""Places along a side of the thumbnail."""
SHARPNESS_SIDE = 128
"""Pixels a side at least of the picture on which sharpness is measured."""
LEAST_CONTRAST = 0.5
"""Gray levels of contrast below which nothing can be said of sharpness or likeness."""
COLOUR_STEP = 64
"""So many rows and columns, about, are looked at to tell whether a file is coloured."""


@dataclass(frozen=True)
class Appearance:
    """One picture. Gray levels are of 255, after the model's window.

    `brightness` is the mean gray level; `contrast` the standard deviation of the thumbnail, in gray levels;
    `sharpness` 100 times the logarithm of the root mean square of the Laplacian over the standard deviation, NaN
    without contrast; `red` is red less green and `blue` blue less their mean, on average, of the file itself, also
    where the model looks at gray; `width` and `height` are those of the upright file. `thumbnail` is float32 (32, 32).
    """

    brightness: float
    contrast: float
    sharpness: float
    red: float
    blue: float
    width: int
    height: int
    thumbnail: np.ndarray


@np.errstate(all="ignore")  # pictures of floats may hold any number: what comes of it is left out by who reads it
def appearance(pixels: np.ndarray, decoded: Decoded, mask: np.ndarray | None) -> Appearance:
    """Measure a preprocessed picture `pixels` (height, width, channels) in 0..255; `mask` (height, width) bool says
    what counts."""
    gray = pixels[:, :, 0].astype(np.float32)
    if pixels.shape[2] == 3:  # several times as fast as a mean along the last axis
        gray = (gray + pixels[:, :, 1] + pixels[:, :, 2]) / np.float32(3)
    coarse = _coarser(gray)
    even = all(few % SIDE == 0 and many % few == 0 for few, many in zip(coarse.shape, gray.shape, strict=True))
    thumbnail = _thumbnail(coarse if even else gray)  # the same means, of fewer numbers
    red, blue = _colour(decoded)
    width, height = decoded.upright
    inside = gray if mask is None else gray[mask]
    return Appearance(
        float(inside.mean()), float(thumbnail.std()), _sharpness(coarse), red, blue, width, height, thumbnail
    )


def centred(thumbnails: np.ndarray) -> np.ndarray:
    """(..., 32, 32) as float32 (..., 1024), each less its mean: what `difference` compares."""
    flat = thumbnails.reshape(*thumbnails.shape[:-2], -1).astype(np.float32)
    return flat - flat.mean(axis=-1, keepdims=True)


def standardised(thumbnails: np.ndarray) -> np.ndarray:
    """(..., 32, 32) as float32 (..., 1024) of mean 0 and length 1, so that light and contrast have no part in it; all
    0 where there is no contrast."""
    flat = centred(thumbnails)
    length = np.sqrt((flat**2).sum(axis=-1, keepdims=True))
    return np.where(length > LEAST_CONTRAST * SIDE, flat / np.maximum(length, 1e-6), 0).astype(np.float32)


def difference(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Root mean square differences, in gray levels, of a centred thumbnail (1024,) and (k, 1024) others: (k,)."""
    apart = others - one
    return np.sqrt(np.einsum("kp,kp->k", apart, apart) / one.size)


def _thumbnail(gray: np.ndarray) -> np.ndarray:
    """Means over 32 x 32 places; of a smaller picture, places share pixels."""
    for axis in (0, 1):
        length = gray.shape[axis]
        starts = np.arange(SIDE) * length // SIDE
        if length < SIDE:
            gray = np.take(gray, starts, axis=axis)
        else:
            counts = np.diff([*starts, length]).astype(np.float32)
            sums = _summed_rows(gray) if axis == 0 and length % SIDE == 0 else np.add.reduceat(gray, starts, axis=axis)
            gray = sums / (counts[:, np.newaxis] if axis == 0 else counts)
    return gray


def _summed_rows(gray: np.ndarray) -> np.ndarray:
    """As `reduceat` for rows that can be shared out evenly, in a quarter of the time."""
    summed: np.ndarray = gray.reshape(SIDE, -1, gray.shape[1]).sum(axis=1)
    return summed


def _coarser(gray: np.ndarray) -> np.ndarray:
    """Means over k x k pixels that leave from 128 to 255 a side, in which the sensor's noise counts for less."""
    k = max(1, min(gray.shape) // SHARPNESS_SIDE)
    if k == 1:
        return gray
    height, width = (side - side % k for side in gray.shape)
    # Rows, then columns: several times as fast as one mean over both.
    rows = sum((gray[i:height:k, :width] for i in range(1, k)), start=gray[0:height:k, :width])
    means: np.ndarray = sum((rows[:, i::k] for i in range(1, k)), start=rows[:, 0::k]) / np.float32(k * k)
    return means


def _sharpness(gray: np.ndarray) -> float:
    spread = float(gray.std())
    if spread < LEAST_CONTRAST:
        return math.nan
    laplacian = 4 * gray[1:-1, 1:-1]
    for beside in (gray[:-2, 1:-1], gray[2:, 1:-1], gray[1:-1, :-2], gray[1:-1, 2:]):
        laplacian -= beside
    energy = float(np.vdot(laplacian, laplacian)) / laplacian.size
    return 100 * math.log(max(math.sqrt(energy), 1e-3) / spread)


def _colour(decoded: Decoded) -> tuple[float, float]:
    made = decoded.made
    width, height = decoded.size
    right, down = max(1, width // COLOUR_STEP), max(1, height // COLOUR_STEP)
    if isinstance(made, Image.Image):  # the same places, without an array of them all
        shift = (right, 0, (1 - right) / 2, 0, down, (1 - down) / 2)
        sample = np.asarray(made.transform((-(-width // right), -(-height // down)), Image.Transform.AFFINE, shift))
    else:
        sample = made[::down, ::right]
    if sample.ndim == 2:
        return 0.0, 0.0
    places = sample.reshape(-1, 3).astype(np.float64)
    # A product: several times as fast as a mean along the first axis.
    red, green, blue = (np.full(len(places), 255.0 / len(places) / decoded.full_scale) @ places).tolist()
    return red - green, blue - (red + green) / 2
