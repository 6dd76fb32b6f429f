"""What the networks see of a picture, and how far from the expected a place is.

`paper` and `article` see its pixels. `features` sees the map behind block 10 of the frozen backbone, standardised by
channel with mean and deviation of the good training pictures, at one or more scales.
"""

import math
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from ganomaly.backbone import BACKBONE_BLOCK, BACKBONE_CHANNELS, build_backbone
from ganomaly.config import Config
from ganomaly.gan import to_network
from ganomaly.scales import coarser, side_at, spread

VIEWING_BATCH = 8
"""Pictures in every call of the backbone: its first maps are large."""
_MAPS_TOGETHER = 64
_LEAST_DEVIATION = 1e-3
_LEAST_USUAL = 1e-6


class PixelView:
    """The pixels themselves, and the mean absolute difference of their channels."""

    def __init__(self) -> None:
        self.variables: dict[str, tf.Variable] = {}

    def extract(self, pictures: tf.Tensor) -> tf.Tensor:
        """What does not depend on the pictures that were learnt from; views of one network share it."""
        return to_network(pictures)

    def scales(self, extracted: tf.Tensor, places: tf.Tensor) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """What the networks see at each scale, there is one, and the places that count."""
        return [(extracted, places)]

    def distance(self, seen: tf.Tensor, expected: tf.Tensor) -> tf.Tensor:
        """(n, height, width): how far each place is from what was expected there."""
        return tf.reduce_mean(tf.abs(seen - expected), axis=3)

    def at_all_places(
        self, scale: int, inside: tf.Tensor, latent: tf.Tensor, residual: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Distances at the scale as those of the map."""
        return latent, residual


class FeatureView:
    """Standardised features, and how far they are from the expected ones beside what is usual for good pictures."""

    def __init__(self, config: Config, beside: "FeatureView | None" = None) -> None:
        """`beside` is another one whose backbone it shares: it is large, frozen, and the same for all."""
        self._gray = config.channels == 1
        self._backbone: keras.Model = beside._backbone if beside else build_backbone(config.size, (BACKBONE_BLOCK,))
        zeros, ones = np.zeros(BACKBONE_CHANNELS, np.float32), np.ones(config.scales, np.float32)
        self.variables = {
            "features/mean": tf.Variable(zeros, trainable=False),
            "features/deviation": tf.Variable(zeros + 1, trainable=False),
            "scales/deviation": tf.Variable(ones, trainable=False),
            "scales/usual_latent": tf.Variable(ones, trainable=False),
            "scales/usual_residual": tf.Variable(ones, trainable=False),
        }
        self._scales = config.scales
        self._extract = tf.function(self.extract, reduce_retracing=True)

    def extract(self, pictures: tf.Tensor) -> tf.Tensor:
        """What does not depend on the pictures that were learnt from; views of one network share it."""
        pictures = tf.cast(pictures, tf.float32)
        return self._backbone(tf.repeat(pictures, 3, axis=3) if self._gray else pictures, training=False)

    def scales(self, extracted: tf.Tensor, places: tf.Tensor) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """What the networks see at each scale, and the places that count there, 1 or 0."""
        seen = (extracted - self.variables["features/mean"]) / self.variables["features/deviation"]
        by_scale = [coarser(seen, places, scale) for scale in range(self._scales)]
        deviation = self.variables["scales/deviation"]
        return [(maps / deviation[scale], inside) for scale, (maps, inside) in enumerate(by_scale)]

    def distance(self, seen: tf.Tensor, expected: tf.Tensor) -> tf.Tensor:
        """(n, height, width): mean squared residual."""
        return tf.reduce_mean(tf.square(seen - expected), axis=3)

    def at_all_places(
        self, scale: int, inside: tf.Tensor, latent: tf.Tensor, residual: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Distances at the scale as those of the map, (n, side, side), 1 on average over places of good pictures."""
        side = self._backbone.output_shape[1]
        usual = (self.variables[f"scales/usual_{part}"][scale] for part in ("latent", "residual"))
        latent, residual = (
            spread(distance, inside, side, scale) / one for distance, one in zip((latent, residual), usual, strict=True)
        )
        return latent, residual

    def fit_standard(self, pictures: np.ndarray, inside: np.ndarray | None = None) -> list[np.ndarray]:
        """Take mean and deviation from training pictures (n, size, size, channels); returns what is seen of them, as
        `see_all` does."""
        raw = _in_batches(self._extract, pictures)
        of_good = only(raw, inside)
        self.variables["features/mean"].assign(of_good.mean(axis=(0, 1, 2)))
        self.variables["features/deviation"].assign(np.maximum(of_good.std(axis=(0, 1, 2)), _LEAST_DEVIATION))
        seen = self._at_scales(raw, inside)
        deviations = [max(float(maps.std()), _LEAST_DEVIATION) for maps in seen]
        for maps, deviation in zip(seen, deviations, strict=True):
            maps /= deviation  # in place: of thousands of pictures one such array is enough
        self.variables["scales/deviation"].assign(deviations)
        return seen

    def see_all(self, pictures: np.ndarray, inside: np.ndarray | None = None) -> list[np.ndarray]:
        """What is seen of pictures (n, size, size, channels) at each scale: float32 (n, side, side, 112), or of these
        maps the places that `inside` (n, side, side) bool says, put together as maps; see `only`."""
        return self._at_scales(_in_batches(self._extract, pictures), inside)

    def fit_usual(self, latents: Sequence[np.ndarray], residuals: Sequence[np.ndarray]) -> None:
        """Take what is usual from the distances at each scale of good pictures that were not trained on."""
        for part, distances in (("latent", latents), ("residual", residuals)):
            usual = [max(float(one.mean(dtype=np.float64)), _LEAST_USUAL) for one in distances]
            self.variables[f"scales/usual_{part}"].assign(usual)

    def _at_scales(self, raw: np.ndarray, inside: np.ndarray | None) -> list[np.ndarray]:
        everywhere = np.ones(raw.shape[:3], np.bool_) if inside is None else inside
        sides = [side_at(raw.shape[1], scale) for scale in range(self._scales)]
        seen = [np.empty((len(raw), side, side, raw.shape[3]), np.float32) for side in sides]
        counted = [np.empty((len(raw), side, side), np.bool_) for side in sides]
        for start in range(0, len(raw), _MAPS_TOGETHER):
            part = slice(start, start + _MAPS_TOGETHER)
            by_scale = self.scales(tf.convert_to_tensor(raw[part]), tf.cast(everywhere[part], tf.float32))
            for scale, (maps, places) in enumerate(by_scale):
                seen[scale][part], counted[scale][part] = maps, places
        return [only(*both) for both in zip(seen, [None] * self._scales if inside is None else counted, strict=True)]


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
