"""What the networks see of a picture, and how far from the expected a place is.

`paper` and `article` see its pixels. `features` sees the map behind block 10 of the frozen backbone, standardised by
channel with mean and deviation of the good training pictures.
"""

import numpy as np
import tensorflow as tf

from ganomaly.backbone import BACKBONE_BLOCK, BACKBONE_CHANNELS, build_backbone
from ganomaly.config import Config
from ganomaly.gan import to_network

VIEWING_BATCH = 8
"""Pictures in every call of the backbone: its first maps are large."""
SHRINKAGE = 0.1
"""Part of the residuals' covariance that is replaced by the same variance in all directions."""
_LEAST_DEVIATION = 1e-3


class PixelView:
    """The pixels themselves, and the mean absolute difference of their channels."""

    def __init__(self) -> None:
        self.variables: dict[str, tf.Variable] = {}

    def see(self, pictures: tf.Tensor) -> tf.Tensor:
        return to_network(pictures)

    def distance(self, seen: tf.Tensor, expected: tf.Tensor) -> tf.Tensor:
        """(n, height, width): how far each place is from what was expected there."""
        return tf.reduce_mean(tf.abs(seen - expected), axis=3)


class FeatureView:
    """Standardised features, and the distance of Mahalanobis between them and the expected ones.

    Its numbers are the residuals' own: mean and covariance over all places of good pictures that were not trained on.
    """

    def __init__(self, config: Config) -> None:
        self._gray = config.channels == 1
        self._backbone = build_backbone(config.size, (BACKBONE_BLOCK,))
        zeros = np.zeros(BACKBONE_CHANNELS, np.float32)
        self.variables = {
            "features/mean": tf.Variable(zeros, trainable=False),
            "features/deviation": tf.Variable(zeros + 1, trainable=False),
            "residual/mean": tf.Variable(zeros, trainable=False),
            "residual/whitening": tf.Variable(np.eye(BACKBONE_CHANNELS, dtype=np.float32), trainable=False),
        }

    def see(self, pictures: tf.Tensor) -> tf.Tensor:
        return (self._features(pictures) - self.variables["features/mean"]) / self.variables["features/deviation"]

    def distance(self, seen: tf.Tensor, expected: tf.Tensor) -> tf.Tensor:
        """(n, height, width): mean squared whitened residual, 1 on average over places of good pictures."""
        # A convolution, because it gives a place the same numbers anywhere; a matrix product of all places may not.
        kernel = self.variables["residual/whitening"][tf.newaxis, tf.newaxis]
        whitened = tf.nn.conv2d(seen - expected - self.variables["residual/mean"], kernel, 1, "VALID")
        return tf.reduce_mean(tf.square(whitened), axis=3)

    def fit_standard(self, pictures: np.ndarray) -> np.ndarray:
        """Take mean and deviation from training pictures (n, size, size, channels); returns what is seen of them."""
        raw = self._all(self._features, pictures)
        deviation = np.maximum(raw.std(axis=(0, 1, 2)), _LEAST_DEVIATION)
        mean = raw.mean(axis=(0, 1, 2))
        self.variables["features/mean"].assign(mean)
        self.variables["features/deviation"].assign(deviation)
        return (raw - mean) / deviation

    def see_all(self, pictures: np.ndarray) -> np.ndarray:
        """What is seen of pictures (n, size, size, channels): float32 (n, side, side, 112)."""
        return self._all(self.see, pictures)

    def fit_residual(self, residual: np.ndarray) -> None:
        """Take mean and shrunk covariance of residuals (n, side, side, 112) of good pictures (after Ledoit, Wolf 2004,
        with a fixed shrinkage)."""
        places = residual.reshape(-1, BACKBONE_CHANNELS).astype(np.float64)
        covariance = np.cov(places, rowvar=False)
        spherical = np.trace(covariance) / BACKBONE_CHANNELS * np.eye(BACKBONE_CHANNELS)
        values, vectors = np.linalg.eigh((1 - SHRINKAGE) * covariance + SHRINKAGE * spherical)
        self.variables["residual/mean"].assign(places.mean(axis=0))
        self.variables["residual/whitening"].assign(vectors / np.sqrt(np.maximum(values, 1e-12)))

    def _features(self, pictures: tf.Tensor) -> tf.Tensor:
        pictures = tf.cast(pictures, tf.float32)
        return self._backbone(tf.repeat(pictures, 3, axis=3) if self._gray else pictures, training=False)

    @staticmethod
    def _all(see: object, pictures: np.ndarray) -> np.ndarray:
        traced = tf.function(see, reduce_retracing=True)
        parts = [
            traced(tf.convert_to_tensor(np.asarray(pictures[i : i + VIEWING_BATCH], np.float32))).numpy()
            for i in range(0, len(pictures), VIEWING_BATCH)
        ]
        return np.concatenate(parts)


def view_for(config: Config) -> PixelView | FeatureView:
    return FeatureView(config) if config.architecture == "features" else PixelView()
