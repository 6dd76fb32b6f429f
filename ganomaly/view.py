"""What the networks see of a picture, and how far from the expected a place is.

`paper` and `article` see its pixels. `features` sees the map behind block 10 of the frozen backbone, standardised by
channel with mean and deviation of the good training pictures, at one or more scales.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from ganomaly.backbone import build_backbone
from ganomaly.backbone_weights import BACKBONE_BLOCK, BACKBONE_CHANNELS
from ganomaly.config import Config
from ganomaly.gan import to_network
from ganomaly.mixed import built_for
from ganomaly.room import Picked, Room
from ganomaly.scales import coarser, evened, spread
from ganomaly.scoring import VIEWING_BATCH
from ganomaly.shapes import side_at

_MAPS_TOGETHER = 64
WHAT = "features of the pictures"
"""What these arrays hold, for `ganomaly.room`."""
_LEAST_DEVIATION = 1e-3
_LEAST_USUAL = 0.1
"""What is usual at a scale is at least this share of what is usual at the scale where that is most: a scale at which
some held-out pictures happen to be remembered must not outweigh all others."""


@dataclass(frozen=True)
class Seen:
    """What is seen at a scale of pictures, or of their windows that count: `maps` float32 (n, side, side, 112), and
    `share` float32 (n, side, side), of how much of each window it is the mean."""

    maps: np.ndarray
    share: np.ndarray


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
        self, scale: int, share: tf.Tensor, latent: tf.Tensor, residual: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Distances at the scale as those of the map."""
        return latent, residual


class FeatureView:
    """Standardised features, and how far they are from the expected ones beside what is usual for good pictures."""

    def __init__(self, config: Config, beside: "FeatureView | None" = None) -> None:
        """`beside` is another one whose backbone it shares: it is large, frozen, and the same for all."""
        self._gray = config.channels == 1
        with built_for(config.precision):
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
        self._latent_is_squared = config.score_norm == "squares"
        self._extract = tf.function(self.extract, reduce_retracing=True)

    def extract(self, pictures: tf.Tensor) -> tf.Tensor:
        """What does not depend on the pictures that were learnt from; views of one network share it."""
        pictures = tf.cast(pictures, tf.float32)
        maps = self._backbone(tf.repeat(pictures, 3, axis=3) if self._gray else pictures, training=False)
        return tf.cast(maps, tf.float32)

    def scales(self, extracted: tf.Tensor, places: tf.Tensor) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """What the networks see at each scale, and of what share of each window (`ganomaly.scales`)."""
        seen = (extracted - self.variables["features/mean"]) / self.variables["features/deviation"]
        by_scale = [coarser(seen, places, scale) for scale in range(self._scales)]
        deviation = self.variables["scales/deviation"]
        return [(maps / deviation[scale], share) for scale, (maps, share) in enumerate(by_scale)]

    def distance(self, seen: tf.Tensor, expected: tf.Tensor) -> tf.Tensor:
        """(n, height, width): mean squared residual."""
        return tf.reduce_mean(tf.square(seen - expected), axis=3)

    def at_all_places(
        self, scale: int, share: tf.Tensor, latent: tf.Tensor, residual: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Distances at the scale as those of the map, (n, side, side), about 1 on average over good pictures."""
        side = self._backbone.output_shape[1]
        latent, residual = (
            spread(distance, share, side, scale) / self.variables[f"scales/usual_{part}"][scale]
            for part, distance in self._evened(latent, residual, share).items()
        )
        return latent, residual

    def _evened(self, latent: tf.Tensor, residual: tf.Tensor, share: tf.Tensor) -> dict[str, tf.Tensor]:
        squares = latent if self._latent_is_squared else tf.square(latent)
        even = evened(squares, share)
        return {"latent": even if self._latent_is_squared else tf.sqrt(even), "residual": evened(residual, share)}

    def fit_standard(
        self, pictures: np.ndarray | Picked, inside: np.ndarray | None = None, room: Room | None = None
    ) -> list[Seen]:
        """Take mean and deviation from training pictures (n, size, size, channels); returns what is seen of them, as
        `see_all` does."""
        room = room or Room()
        raw = self._extracted(pictures, room)
        mean, deviation = _mean_and_deviation(only(raw, inside, room))
        self.variables["features/mean"].assign(mean)
        self.variables["features/deviation"].assign(np.maximum(deviation, _LEAST_DEVIATION))
        seen = self._at_scales(raw, inside, room)
        # One number for all channels: how they compare at the finest scale is kept.
        by_scale = [np.sqrt(np.square(_mean_and_deviation(one.maps)[1]).mean()) for one in seen]
        self.variables["scales/deviation"].assign(np.maximum(by_scale, _LEAST_DEVIATION))
        for one, of_scale in zip(seen, self.variables["scales/deviation"].numpy(), strict=True):
            np.divide(one.maps, of_scale, out=one.maps)
        return seen

    def see_all(
        self, pictures: np.ndarray | Picked, inside: np.ndarray | None = None, room: Room | None = None
    ) -> list[Seen]:
        """What is seen of pictures (n, size, size, channels) at each scale, or of their places that `inside`
        (n, side, side) bool says; see `only`. The maps stand in `room`."""
        room = room or Room()
        return self._at_scales(self._extracted(pictures, room), inside, room)

    def fit_usual(
        self, held_out: Sequence[Seen], latents: Sequence[np.ndarray], residuals: Sequence[np.ndarray]
    ) -> None:
        """Take what is usual from the distances (n, side, side) at each scale of good pictures that were not trained
        on."""
        evened_out = [
            self._evened(latent, residual, one.share)
            for one, latent, residual in zip(held_out, latents, residuals, strict=True)
        ]
        for part in ("latent", "residual"):
            usual = [
                float(np.average(even[part], weights=one.share)) for even, one in zip(evened_out, held_out, strict=True)
            ]
            self.variables[f"scales/usual_{part}"].assign(
                np.maximum(usual, max(_LEAST_USUAL * max(usual), _LEAST_DEVIATION**2))
            )

    def _extracted(self, pictures: np.ndarray | Picked, room: Room) -> np.ndarray:
        """The maps (n, side, side, 112) float32 of the backbone: each picture passes through it once for all epochs."""
        maps = room.array(WHAT, (len(pictures), *self._backbone.output_shape[1:]), np.float32)
        for start in range(0, len(pictures), VIEWING_BATCH):
            part = slice(start, start + VIEWING_BATCH)
            maps[part] = self._extract(tf.convert_to_tensor(np.asarray(pictures[part], np.float32)))
        return maps

    def _at_scales(self, raw: np.ndarray, inside: np.ndarray | None, room: Room) -> list[Seen]:
        """Writes over `raw`: of thousands of pictures one such array is enough."""
        everywhere = np.broadcast_to(True, raw.shape[:3]) if inside is None else inside
        count, sides = len(raw), [side_at(raw.shape[1], scale) for scale in range(self._scales)]
        all_maps = [raw, *(room.array(WHAT, (count, side, side, raw.shape[3]), np.float32) for side in sides[1:])]
        shares = [room.array(WHAT, (count, side, side), np.float32) for side in sides]
        for start in range(0, count, _MAPS_TOGETHER):
            part = slice(start, start + _MAPS_TOGETHER)
            by_scale = self.scales(tf.convert_to_tensor(raw[part]), tf.cast(everywhere[part], tf.float32))
            for scale, (maps, share) in enumerate(by_scale):
                all_maps[scale][part], shares[scale][part] = maps, share
        if inside is None:
            return [Seen(*both) for both in zip(all_maps, shares, strict=True)]
        return [Seen(only(all_maps.pop(0), share > 0, room), only(share, share > 0, room)) for share in shares]


def _mean_and_deviation(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By channel, float64. In parts: numpy alone would hold a second array as large as the maps."""
    parts = [maps[i : i + _MAPS_TOGETHER] for i in range(0, len(maps), _MAPS_TOGETHER)]
    weights = [len(part) / len(maps) for part in parts]
    mean = sum(w * part.mean(axis=(0, 1, 2), dtype=np.float64) for w, part in zip(weights, parts, strict=True))
    square = sum(
        w * np.square(part - mean).mean(axis=(0, 1, 2), dtype=np.float64)
        for w, part in zip(weights, parts, strict=True)
    )
    return np.asarray(mean), np.sqrt(square)


def only(maps: np.ndarray, inside: np.ndarray | None, room: Room) -> np.ndarray:
    """The places of maps (n, side, side, ...) that `inside` (n, side, side) bool says, one after the other, as maps of
    that size; None: the maps themselves. The last one is filled up with the first places.

    Networks and losses of `features` take every place by itself: they need not know where it was.
    """
    if inside is None:
        return maps
    chosen = np.flatnonzero(inside)
    side, channels = maps.shape[1], maps.shape[3:]
    chosen = np.resize(chosen, math.ceil(len(chosen) / side**2) * side**2)
    places, step = maps.reshape(-1, *channels), _MAPS_TOGETHER * side**2
    found = room.array(WHAT, (len(chosen), *channels), maps.dtype)
    for start in range(0, len(chosen), step):
        found[start : start + step] = places[chosen[start : start + step]]
    return found.reshape(-1, side, side, *channels)


def view_for(config: Config, beside: PixelView | FeatureView | None = None) -> PixelView | FeatureView:
    """A view whose numbers are still to be fitted; `beside` is another one of the same configuration."""
    if config.architecture != "features":
        return PixelView()
    return FeatureView(config, beside if isinstance(beside, FeatureView) else None)
