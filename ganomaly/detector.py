"""The trained detector: pictures in, raw scores and residual maps out.

Inference only: moving statistics, one traced function of one fixed batch shape. A short batch is padded. So the score
of a picture depends on the picture and the weights, never on what else is scored with it.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from ganomaly.config import Config
from ganomaly.gan import GANomaly
from ganomaly.member import Member
from ganomaly.networks import least_weights, seen_shape
from ganomaly.tiling import PLACES, Watched, layout_of
from ganomaly.view import VIEWING_BATCH, FeatureView, PixelView, view_for

SCORING_BATCH = 32
"""Pictures in every call of the network. Larger gains little on a CPU, smaller costs much."""
TILE_BATCHES = 4
"""Batches of tiles that are cut at a time."""


@dataclass(frozen=True)
class Scores:
    """Of n pictures: `raw` float64 (n,), the raw score; `parts` float64 (n,) each, what it may be: `latent`, the
    paper's score, and mean and maximum over places of the difference between picture and reconstruction, `contextual`
    and `residual`; `maps` float32 (n, height, width), that difference by place, or None: for every pixel in 0..2, or
    with `features` for every 16 x 16 pixels, about 1 on average over good pictures; 0 at places outside of the region.

    Of a picture in tiles, `latent` is the largest of its tiles, `contextual` their mean, and the map theirs joined."""

    raw: np.ndarray
    parts: dict[str, np.ndarray]
    maps: np.ndarray | None

    @classmethod
    def together(cls, scores: "Sequence[Scores]") -> "Scores":
        """Of one or more sets of pictures, in order, without their maps."""
        parts = {name: np.concatenate([one.parts[name] for one in scores]) for name in scores[0].parts}
        return cls(np.concatenate([one.raw for one in scores]), parts, None)


class Detector:
    """One trained generator, or k of them, each learnt without one fold of the good pictures.

    Of several, the one to which a place of a picture is least odd speaks for it: so no score of theirs is above any of
    the scores that each of them gives alone, which is what `cross-conformal` calibration needs.
    """

    def __init__(self, config: Config, members: Sequence[Member] | None = None) -> None:
        """With these members; without, their numbers are still to be assigned."""
        self.config = config
        self._members = list(members) if members else _empty_members(config)
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
    def from_models(cls, *models: GANomaly, view: PixelView | FeatureView | None = None) -> "Detector":
        """A detector with the weights that the models, one for each scale, have now, and with `view`."""
        return cls(models[0].config, [Member.from_models(models, view)])

    @classmethod
    def joined(cls, detectors: Sequence["Detector"]) -> "Detector":
        """One of several that differ in what they have learnt from, and in nothing else."""
        first = detectors[0]
        joined = cls(
            replace(first.config, folds=len(detectors)),
            [member for detector in detectors for member in detector._members],
        )
        joined._watched = first._watched
        return joined

    @classmethod
    def from_weights(cls, config: Config, weights: Mapping[str, np.ndarray]) -> "Detector":
        """Raises ValueError where the arrays are not those of the network: names, shapes, finite float32."""
        # Before any memory is taken for them.
        numbers = sum(array.size for name, array in weights.items() if name != PLACES)
        if numbers < config.folds * least_weights(config):
            raise ValueError("it holds fewer numbers than such a network has")
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

    @property
    def view(self) -> PixelView | FeatureView:
        """How the first member sees pictures."""
        return self._members[0].view

    def weights(self) -> dict[str, np.ndarray]:
        """All weights and moving statistics, float32, by a name that says where they belong; and, where not all places
        count, which do, bool."""
        weights = {name: np.asarray(variable.numpy(), np.float32) for name, variable in self._variables()}
        return weights | self._watched.arrays()

    def look_at(self, mask: np.ndarray) -> None:
        """From now on only what is inside `mask` counts: (height, width) bool, as large as the pictures."""
        self._watched = self._watched.inside(mask)

    def _variables(self) -> list[tuple[str, tf.Variable]]:
        if len(self._members) == 1:
            return self._members[0].variables()
        return [
            (f"fold-{number}/{name}", variable)
            for number, member in enumerate(self._members)
            for name, variable in member.variables()
        ]

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
        extracted = self.view.extract(pictures)  # the same for all members
        distances = [member.distances(extracted, places) for member in self._members]
        distance, by_place = (functools.reduce(tf.minimum, part) for part in zip(*distances, strict=True))
        if len(distance.shape) == 3:  # a map: the place where it is farthest off
            distance = tf.reduce_max(distance * places, axis=(1, 2))
        by_place *= places  # 0 outside of the region
        parts = {
            "latent": distance,
            "contextual": tf.reduce_mean(by_place, axis=(1, 2)),
            "residual": tf.reduce_max(by_place, axis=(1, 2)),
        }
        return parts, by_place


def _empty_members(config: Config) -> list[Member]:
    members: list[Member] = []
    for _ in range(config.folds):
        members.append(Member(config, view_for(config, members[0].view if members else None)))
    return members
