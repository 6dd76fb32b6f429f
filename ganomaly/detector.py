"""The trained detector in TensorFlow: what a training leaves, and what scores where no lighter runtime does.

Moving statistics, one traced function of one fixed batch shape.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import tensorflow as tf

from ganomaly.config import Config
from ganomaly.gan import GANomaly
from ganomaly.member import Member
from ganomaly.scoring import GRAPHICS_CARD, Scorer
from ganomaly.shapes import check_enough, seen_shape
from ganomaly.tiling import PLACES, Watched
from ganomaly.view import FeatureView, PixelView, view_for
from oddlot.devices import processor
from oddlot.errors import BundleError


def _device() -> str:
    cards = tf.config.get_visible_devices("GPU")
    if not cards:
        return processor()
    return GRAPHICS_CARD + str(tf.config.experimental.get_device_details(cards[0]).get("device_name", cards[0].name))


class Detector(Scorer):
    """One trained generator, or k of them, each learnt without one fold of the good pictures.

    Of several, the one to which a place of a picture is least odd speaks for it: so no score of theirs is above any of
    the scores that each of them gives alone, which is what `cross-conformal` calibration needs.
    """

    def __init__(self, config: Config, members: Sequence[Member] | None = None, *, times: int = 1) -> None:
        """With these members; without, their numbers are still to be assigned. `times` as `Scorer` has it."""
        super().__init__(config, times)
        self._times = times
        self._members = list(members) if members else _empty_members(config)
        side = seen_shape(config)[0]
        shapes = (self._batch, config.size, config.size, config.channels), (self._batch, side, side)
        signature = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
        self._traced = tf.function(self._score_batch, input_signature=signature)
        self.runs_on = f"TensorFlow {tf.__version__}, {config.precision}, {_device()}"

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
            times=first._times,
        )
        joined._watched = first._watched
        return joined

    @classmethod
    def from_weights(cls, config: Config, weights: Mapping[str, np.ndarray], *, times: int = 1) -> "Detector":
        """In the precision of the configuration, float32 or bfloat16; `times` as `Scorer` has it.

        Raises ValueError where the arrays are not those of the network: names, shapes, finite float32."""
        check_enough(config, weights)
        detector = cls(config, times=times)
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
        weights = {name: np.asarray(variable.numpy(), np.float32) for name, variable in self._variables()}
        return weights | self._watched.arrays()

    def _variables(self) -> list[tuple[str, tf.Variable]]:
        if len(self._members) == 1:
            return self._members[0].variables()
        return [
            (f"fold-{number}/{name}", variable)
            for number, member in enumerate(self._members)
            for name, variable in member.variables()
        ]

    def _run(self, pictures: np.ndarray, places: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
        try:
            parts, by_place = self._traced(np.asarray(pictures, np.float32), places)
        except tf.errors.OpError as error:
            if tf.config.get_visible_devices("GPU"):  # no picture is at fault, and fewer of them would change nothing
                reason = " ".join(error.message.split())[:200]
                raise BundleError(f"the graphics card failed: {reason}. Restart the worker") from error
            if isinstance(error, tf.errors.ResourceExhaustedError):
                raise MemoryError("no memory to score pictures") from error
            raise
        return {name: part.numpy() for name, part in parts.items()}, by_place.numpy()

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
