"""The detector's scoring network in OpenVINO: the same bundle, faster and in less memory than TensorFlow's, and in less
precise arithmetic where the model was calibrated in it (docs/decisions/0026-runtime.md)."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ganomaly.config import Config
from ganomaly.openvino_graph import LIBRARY, build_graph, made_ready
from ganomaly.precision import FLOAT32, INT8, RANGES
from ganomaly.scoring import Scorer
from ganomaly.shapes import check_enough, seen_shape
from ganomaly.tiling import PLACES, Watched
from oddlot.devices import processor


class OpenVinoScorer(Scorer):
    """One member, or k of them, of which the one to which a place is least odd speaks for it; see `Detector`."""

    def __init__(self, config: Config, weights: Mapping[str, np.ndarray], *, threads: int = 1) -> None:
        """In a precision that this processor has. Raises ValueError where the arrays are not those of the network:
        names, shapes, finite float32."""
        super().__init__(config)
        check_enough(config, weights)
        self._weights = dict(weights)
        if PLACES in weights:
            self._watched = Watched(self._watched.layout, seen_shape(config)[0], weights[PLACES])
        self._one_at_a_time = threading.Lock()
        graph, _ = build_graph(config, self._weights, self._batch)
        self._request = made_ready(graph, config.precision, threads)
        self.runs_on = f"OpenVINO {LIBRARY}, {config.precision}, {processor()}"

    def weights(self) -> dict[str, np.ndarray]:
        return {name: array for name, array in self._weights.items() if name != PLACES} | self._watched.arrays()

    def _run(self, pictures: np.ndarray, places: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
        with self._one_at_a_time:
            found = infer(self._request, pictures, places)
        return dict(zip(("latent", "contextual", "residual"), found[1:], strict=True)), found[0]


def infer(request: Any, pictures: np.ndarray, places: np.ndarray) -> list[np.ndarray]:
    """Copies of all outputs. Raises MemoryError."""
    try:
        # One kind of input for bytes and floats: two graphs would round differently.
        found = request.infer({0: np.ascontiguousarray(pictures, np.float32), 1: places}, share_inputs=True)
    except RuntimeError as error:
        if "alloc" in str(error):
            raise MemoryError("no memory to score pictures") from None
        raise
    return [np.array(found[number]) for number in range(len(found))]


def in_precision(
    detector: Scorer, precision: str, pictures: np.ndarray, *, threads: int, like: Scorer | None = None
) -> OpenVinoScorer:
    """A detector's network in that precision; `pictures` (n, height, width, channels), uint8 or float32 in 0..255, are
    good ones, from which 8-bit arithmetic learns how large its values are. What networks of one backbone share is taken
    from `like`, where that is given: else the backbone would be another one for each of them.
    """
    weights = detector.weights()
    if precision == INT8:
        if like is not None and detector.config.architecture == "features":
            weights[RANGES] = like.weights()[RANGES]
        else:
            weights |= _learnt_ranges(detector, pictures, threads)
    return OpenVinoScorer(replace(detector.config, precision=precision), weights, threads=threads)


def _learnt_ranges(detector: Scorer, pictures: np.ndarray, threads: int) -> dict[str, np.ndarray]:
    watching = _Watching(detector.config, detector.weights(), threads)
    # A whole number of batches: the padding of a short one is no good picture.
    count = -(-len(pictures) // watching._batch) * watching._batch
    watching.score(pictures[np.resize(np.arange(len(pictures)), count)], maps=False)
    return watching.ranges


class _Watching(Scorer):
    """Notes the lowest and the highest value that enters each convolution, over all that it scores, in `ranges`."""

    def __init__(self, config: Config, weights: dict[str, np.ndarray], threads: int) -> None:
        super().__init__(config)
        self._weights = weights
        graph, self._names = build_graph(config, weights, self._batch, watch=True)
        self._request = made_ready(graph, FLOAT32, threads)
        self.ranges: dict[str, np.ndarray] = {}

    def weights(self) -> dict[str, np.ndarray]:
        return self._weights

    def _run(self, pictures: np.ndarray, places: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
        by_place, *parts = infer(self._request, pictures, places)
        for name, seen in zip(self._names, parts[3:], strict=True):
            before = self.ranges.get(name, seen)
            ends = np.minimum(before[:, 0], seen[:, 0]), np.maximum(before[:, 1], seen[:, 1])
            self.ranges[name] = np.stack(ends, axis=1)
        return dict(zip(("latent", "contextual", "residual"), parts[:3], strict=True)), by_place
