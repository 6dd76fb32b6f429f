"""What the networks see of a picture, and how far from the expected a place is.

`paper` and `article` see its pixels. `features` sees the map behind block 10 of the frozen backbone, standardised by
channel with mean and deviation of the good training pictures.
"""

import math
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from ganomaly.backbone import BACKBONE_BLOCK, BACKBONE_CHANNELS, build_backbone
from ganomaly.config import Config
from ganomaly.gan import to_network

VIEWING_BATCH = 8
"""Pictures in every call of the backbone: its first maps are large."""
_LEAST_DEVIATION = 1e-3
_LEAST_USUAL = 1e-6


class PixelView:
    """The pixels themselves, and the mean absolute difference of their channels."""

    def __init__(self) -> None:
        self.variables: dict[str, tf.Variable] = {}

    def extract(self, pictures: tf.Tensor) -> tf.Tensor:
        """What does not depend on the pictures that were learnt from; views of one network share it."""
        return to_network(pictures)

    def standardise(self, extracted: tf.Tensor) -> tf.Tensor:
        return extracted

    def distance(self, seen: tf.Tensor, expected: tf.Tensor) -> tf.Tensor:
        """(n, height, width): how far each place is from what was expected there."""
        return tf.reduce_mean(tf.abs(seen - expected), axis=3)


class FeatureView:
    """Standardised features, and how far they are from the expected ones beside what is usual for good pictures."""

    def __init__(self, config: Config, beside: "FeatureView | None" = None) -> None:
        """`beside` is another one whose backbone it shares: it is large, frozen, and the same for all."""
        self._gray = config.channels == 1
        self._backbone: keras.Model = beside._backbone if beside else build_backbone(config.size, (BACKBONE_BLOCK,))
        zeros = np.zeros(BACKBONE_CHANNELS, np.float32)
        self.variables = {
            "features/mean": tf.Variable(zeros, trainable=False),
            "features/deviation": tf.Variable(zeros + 1, trainable=False),
            "residual/usual": tf.Variable(np.float32(1), trainable=False),
        }
        self._extract = tf.function(self.extract, reduce_retracing=True)
        self._see = tf.function(self.see, reduce_retracing=True)

    def extract(self, pictures: tf.Tensor) -> tf.Tensor:
        """What does not depend on the pictures that were learnt from; views of one network share it."""
        pictures = tf.cast(pictures, tf.float32)
        return self._backbone(tf.repeat(pictures, 3, axis=3) if self._gray else pictures, training=False)

    def standardise(self, extracted: tf.Tensor) -> tf.Tensor:
        return (extracted - self.variables["features/mean"]) / self.variables["features/deviation"]

    def see(self, pictures: tf.Tensor) -> tf.Tensor:
        return self.standardise(self.extract(pictures))

    def distance(self, seen: tf.Tensor, expected: tf.Tensor) -> tf.Tensor:
        """(n, height, width): mean squared residual, 1 on average over places of good pictures."""
        return tf.reduce_mean(tf.square(seen - expected), axis=3) / self.variables["residual/usual"]

    def fit_standard(self, pictures: np.ndarray, inside: np.ndarray | None = None) -> np.ndarray:
        """Take mean and deviation from training pictures (n, size, size, channels); returns what is seen of them: all
        of it, or the places that `inside` (n, side, side) bool says, put together as maps."""
        raw = only(_in_batches(self._extract, pictures), inside)
        deviation = np.maximum(raw.std(axis=(0, 1, 2)), _LEAST_DEVIATION)
        mean = raw.mean(axis=(0, 1, 2))
        self.variables["features/mean"].assign(mean)
        self.variables["features/deviation"].assign(deviation)
        raw -= mean  # in place: of thousands of pictures one such array is enough
        raw /= deviation
        return raw

    def see_all(self, pictures: np.ndarray, inside: np.ndarray | None = None) -> np.ndarray:
        """What is seen of pictures (n, size, size, channels): float32 (n, side, side, 112); see `fit_standard`."""
        return only(_in_batches(self._see, pictures), inside)

    def fit_residual(self, residual: np.ndarray) -> None:
        """Take what is usual from residuals (n, side, side, 112) of good pictures that were not trained on."""
        usual = np.square(residual, dtype=np.float64).mean()
        self.variables["residual/usual"].assign(max(usual, _LEAST_USUAL))


def _in_batches(see: Callable[[tf.Tensor], tf.Tensor], pictures: np.ndarray) -> np.ndarray:
    parts = [
        see(tf.convert_to_tensor(np.asarray(pictures[i : i + VIEWING_BATCH], np.float32))).numpy()
        for i in range(0, len(pictures), VIEWING_BATCH)
    ]
    return np.concatenate(parts)


def only(maps: np.ndarray, inside: np.ndarray | None) -> np.ndarray:
    """The places of maps (n, side, side, channels) that `inside` (n, side, side) bool says, one after the other, as
    maps of that size; None: the maps themselves. The last one is filled up with the first places.

    Networks and losses of `features` take every place by itself: they need not know where it was.
    """
    if inside is None:
        return maps
    chosen = np.flatnonzero(inside)
    _, side, _, channels = maps.shape
    chosen = np.resize(chosen, math.ceil(len(chosen) / side**2) * side**2)
    return maps.reshape(-1, channels)[chosen].reshape(-1, side, side, channels)


def view_for(config: Config, beside: PixelView | FeatureView | None = None) -> PixelView | FeatureView:
    """A view whose numbers are still to be fitted; `beside` is another one of the same configuration."""
    if config.architecture != "features":
        return PixelView()
    return FeatureView(config, beside if isinstance(beside, FeatureView) else None)
