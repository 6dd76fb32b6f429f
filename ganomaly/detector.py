"""The trained detector: pictures in, raw scores and residual maps out.

Inference only: moving statistics, one traced function of one fixed batch shape. A short batch is padded. So the score
of a picture depends on the picture and the weights, never on what else is scored with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from ganomaly.config import Config
from ganomaly.gan import GANomaly
from ganomaly.networks import build_decoder, build_encoder, seen_shape
from ganomaly.tiling import PLACES, Watched, layout_of
from ganomaly.view import VIEWING_BATCH, FeatureView, PixelView, view_for

SCORING_BATCH = 32
"""Pictures in every call of the network. Larger gains little on a CPU, smaller costs much."""
TILE_BATCHES = 4
"""Batches of tiles that are cut at a time."""

_PARTS = ("encoder", "decoder", "second_encoder")


@dataclass(frozen=True)
class Scores:
    """Of n pictures: `raw` float64 (n,), the raw score; `parts` float64 (n,) each, what it may be: `latent`, the
    paper's score, and mean and maximum over places of the difference between picture and reconstruction, `contextual`
    and `residual`; `maps` float32 (n, height, width), that difference by place, or None: for every pixel in 0..2, or
    with `features` for every 16 x 16 pixels, 1 on average over good pictures; 0 at places outside of the region.

    Of a picture in tiles, `latent` is the largest of its tiles, `contextual` their mean, and the map theirs joined."""

    raw: np.ndarray
    parts: dict[str, np.ndarray]
    maps: np.ndarray | None


class Detector:
    """Encoder, decoder and second encoder with fixed weights."""

    def __init__(self, config: Config, view: PixelView | FeatureView | None = None) -> None:
        """With the numbers of `view`; without one, they are still to be assigned, as all weights are."""
        self.config = config
        self._networks = {
            "encoder": build_encoder(config, 0, "encoder"),
            "decoder": build_decoder(config, 0, "decoder"),
            "second_encoder": build_encoder(config, 0, "second_encoder"),
        }
        self.view = view or view_for(config)
        # Fewer at a time where every picture passes through large maps.
        self._batch = VIEWING_BATCH if config.architecture == "features" else SCORING_BATCH
        side = seen_shape(config)[0]
        layout = layout_of(config)
        self._watched = Watched(layout, side)
        self.picture_shape = (*layout.canvas, config.channels)
        shapes = (self._batch, config.size, config.size, config.channels), (self._batch, side, side)
        signature = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
        self._traced = tf.function(self._score_batch, input_signature=signature)

    @classmethod
    def from_model(cls, model: GANomaly, view: PixelView | FeatureView | None = None) -> "Detector":
        """A detector with the weights that the model has now, and with `view`."""
        detector = cls(model.config, view)
        for name in _PARTS:
            detector._networks[name].set_weights(getattr(model, name).get_weights())
        return detector

    @classmethod
    def from_weights(cls, config: Config, weights: Mapping[str, np.ndarray]) -> "Detector":
        """Raises ValueError where the arrays are not those of the network: names, shapes, finite float32."""
        detector = cls(config)
        weights = dict(weights)
        if PLACES in weights:
            detector._watched = Watched(detector._watched.layout, seen_shape(config)[0], weights.pop(PLACES))
        expected = dict(detector._variables())
        if set(weights) != set(expected):
            raise ValueError("the names of the arrays are not those of the network")
        for name, variable in expected.items():
            array = weights[name]
            if array.shape != tuple(variable.shape) or array.dtype != np.float32:
                raise ValueError(f"{name} has another shape or type than the network's")
            if not np.isfinite(array).all():
                raise ValueError(f"{name} holds numbers that are not finite")
            variable.assign(array)
        return detector

    def weights(self) -> dict[str, np.ndarray]:
        """All weights and moving statistics, float32, by a name that says where they belong; and, where not all places
        count, which do, bool."""
        weights = {name: np.asarray(variable.numpy(), np.float32) for name, variable in self._variables()}
        return weights | self._watched.arrays()

    def look_at(self, mask: np.ndarray) -> None:
        """From now on only what is inside `mask` counts: (height, width) bool, as large as the pictures."""
        self._watched = self._watched.inside(mask)

    def _variables(self) -> list[tuple[str, tf.Variable]]:
        networks = [
            (f"{part}/{number:02}", variable)
            for part, network in self._networks.items()
            for number, variable in enumerate(network.variables)
        ]
        return [*networks, *self.view.variables.items()]

    def score(self, pictures: np.ndarray, *, maps: bool = True) -> Scores:
        """Score (n, height, width, channels) pictures, uint8 or float32 in 0..255; any n, 0 included.

        Their shape is `picture_shape`: (size, size, channels), or larger where they are cut into tiles. Raises
        ValueError for another one.
        """
        if pictures.shape[1:] != self.picture_shape:
            raise ValueError(f"pictures are {pictures.shape[1:]}, the network takes {self.picture_shape}")
        if self._watched.layout.whole:
            return self._score_tiles(pictures, maps)
        parts, joined = self._watched.score(
            pictures, lambda tiles: self._score_tiles(tiles, maps), TILE_BATCHES * self._batch
        )
        return Scores(parts[self.config.score], parts, joined)

    def _score_tiles(self, pictures: np.ndarray, maps: bool) -> Scores:
        """Score (n, size, size, channels): whole pictures, or their tiles, one picture after the other."""
        shape = (self.config.size, self.config.size, self.config.channels)
        n = len(pictures)
        parts = {name: np.zeros(n) for name in ("latent", "contextual", "residual")}
        residual_maps = np.zeros((n, *seen_shape(self.config)[:2]), np.float32) if maps else None
        batch = np.zeros((self._batch, *shape), np.float32)
        for start in range(0, n, self._batch):
            count = min(self._batch, n - start)
            batch[:count] = pictures[start : start + count]
            batch[count:] = 0
            try:
                scored, by_place = self._traced(batch, self._watched.of_tiles(start, self._batch))
            except tf.errors.ResourceExhaustedError as error:
                raise MemoryError("no memory to score pictures") from error
            for name, part in parts.items():
                part[start : start + count] = scored[name][:count]
            if residual_maps is not None:
                residual_maps[start : start + count] = by_place[:count]
        return Scores(parts[self.config.score], parts, residual_maps)

    def _score_batch(self, pictures: tf.Tensor, places: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        real = self.view.see(pictures)
        latent = self._networks["encoder"](real, training=False)
        fake = self._networks["decoder"](latent, training=False)
        difference = latent - self._networks["second_encoder"](fake, training=False)
        if self.config.architecture == "features":  # a map: the place where it is farthest off
            distance = tf.reduce_max(tf.reduce_mean(tf.abs(difference), axis=3) * places, axis=(1, 2))
        elif self.config.score_norm == "squares":
            distance = tf.reduce_sum(tf.square(difference), axis=1)
        else:
            distance = tf.reduce_mean(tf.abs(difference), axis=1)
        by_place = self.view.distance(real, fake) * places  # 0 outside of the region
        parts = {
            "latent": distance,
            "contextual": tf.reduce_mean(by_place, axis=(1, 2)),
            "residual": tf.reduce_max(by_place, axis=(1, 2)),
        }
        return parts, by_place
