"""Two scores that need no network: what a model does not beat, it need not be kept for."""

from dataclasses import dataclass

import numpy as np

from pictures.preprocessing import at_once

CHUNK = 64
"""Pictures that are held in memory at a time, at most; the training set is mapped from disk."""


@dataclass(frozen=True)
class Trivial:
    """What the good training pictures are on average: `picture` float64 (h, w, c), `brightness` its mean, 0..255.

    `inside` (h, w) bool are the pixels that are looked at, None for all.
    """

    picture: np.ndarray
    brightness: float
    inside: np.ndarray | None = None

    @classmethod
    def fit(cls, pixels: np.ndarray, chosen: np.ndarray, inside: np.ndarray | None = None) -> "Trivial":
        """Of the pictures `chosen` (indices, one or more) of `pixels` (n, h, w, c), uint8 or float32 in 0..255."""
        total = np.zeros(pixels.shape[1:])
        step = at_once(CHUNK, pixels.shape[1:])
        for start in range(0, len(chosen), step):
            total += pixels[chosen[start : start + step]].sum(axis=0, dtype=np.float64)
        picture = total / len(chosen)
        return cls(picture, float((picture if inside is None else picture[inside]).mean()), inside)

    def scores(self, pictures: np.ndarray) -> dict[str, np.ndarray]:
        """Of pictures (k, h, w, c), float64 (k,) each: `brightness`, the difference of a picture's mean brightness from
        the training's; `pixels`, the mean squared difference of its pixels from the mean picture."""
        brightness, distance = np.zeros(len(pictures)), np.zeros(len(pictures))
        watched = ... if self.inside is None else self.inside
        usual = self.picture[watched]
        for i, picture in enumerate(pictures):
            exact = picture[watched].astype(np.float64)
            brightness[i] = abs(exact.mean() - self.brightness)
            distance[i] = np.square(exact - usual).mean()
        return {"brightness": brightness, "pixels": distance}
