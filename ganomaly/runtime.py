"""Which library runs the scoring network, and on what. The bundle is the same for all.

OpenVINO where it is installed, else TensorFlow; TensorFlow on a graphics card where that is asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec

import numpy as np

from ganomaly.config import Config
from ganomaly.precision import BFLOAT16, FLOAT32, INT8, RANGES, missing_for
from ganomaly.scoring import ON_A_CARD, Scorer
from ganomaly.tiling import PLACES
from oddlot.errors import BundleError
from oddlot.words import Runtime

_PRECISIONS = {
    Runtime.OPENVINO: (FLOAT32, BFLOAT16, INT8), Runtime.GPU: (FLOAT32, BFLOAT16), Runtime.TENSORFLOW: (FLOAT32,),
}  # fmt: skip


def chosen(runtime: Runtime) -> Runtime:
    """`auto` as what it is on this machine. Raises BundleError where OpenVINO was asked for and is not there."""
    there = find_spec("openvino") is not None
    if runtime == Runtime.OPENVINO and not there:
        raise BundleError("ODDLOT_RUNTIME is openvino, which is not installed: install oddlot[openvino], or set auto")
    if runtime == Runtime.AUTO:
        return Runtime.OPENVINO if there else Runtime.TENSORFLOW
    return runtime


def scorer_for(config: Config, weights: Mapping[str, np.ndarray], runtime: Runtime, threads: int | None) -> Scorer:
    """The network of a bundle, ready to score with so many threads; None: as many as TensorFlow was given, or one.

    Raises BundleError where it cannot be run in its precision here, ValueError where the arrays are not those of the
    network.
    """
    runtime = chosen(runtime)
    check_precision(config.precision, runtime)
    if runtime == Runtime.OPENVINO:
        from ganomaly.openvino_scorer import OpenVinoScorer

        return OpenVinoScorer(config, weights, threads=threads or 1)
    on_card = runtime == Runtime.GPU
    if threads is not None or on_card:
        from ganomaly.starting import start_tensorflow

        start_tensorflow(threads or 1, gpu=on_card)
    from ganomaly.detector import Detector

    times = ON_A_CARD if config.architecture == "features" else ON_A_CARD // 2
    return Detector.from_weights(config, weights, times=times if on_card else 1)


def check_precision(precision: str, runtime: Runtime) -> None:
    """Raises BundleError where this machine cannot compute in that precision."""
    runtime = chosen(runtime)
    if precision not in _PRECISIONS[runtime]:
        instead = f", or fit the model in {BFLOAT16}" if runtime == Runtime.GPU else ""
        raise BundleError(
            f"the network computes in {precision}, which needs OpenVINO: install oddlot[openvino], and leave "
            f"ODDLOT_RUNTIME at auto{instead}"
        )
    if runtime == Runtime.OPENVINO and (missing := missing_for(precision)):
        raise BundleError(f"the network computes in {precision}, and {missing}")


def ready_to_score(
    trained: Scorer, precision: str, pictures: np.ndarray, runtime: Runtime, threads: int, like: Scorer | None = None
) -> Scorer:
    """A trained network as it will score: in that precision, by the library that scores here.

    `pictures` (n, height, width, channels), uint8 or float32 in 0..255, are good ones, from which 8-bit arithmetic
    learns how large its values are; what members share is taken from `like`, one that is ready. Raises BundleError as
    `check_precision`.
    """
    check_precision(precision, runtime)
    if chosen(runtime) == Runtime.OPENVINO:
        from ganomaly.openvino_scorer import in_precision

        return in_precision(trained, precision, pictures, threads=threads, like=like)
    if chosen(runtime) == Runtime.GPU:
        return scorer_for(replace(trained.config, precision=precision), trained.weights(), Runtime.GPU, threads)
    return trained


def joined(scorers: Sequence[Scorer], threads: int) -> Scorer:
    """One scorer of several that differ in what they have learnt from, and in nothing else."""
    first = scorers[0]
    if len(scorers) == 1:
        return first
    from ganomaly.detector import Detector

    detectors = [scorer for scorer in scorers if isinstance(scorer, Detector)]
    if detectors:
        return Detector.joined(detectors)
    # What no member has learnt: what counts, and how large the values in the backbone are.
    shared = {PLACES, RANGES} if first.config.architecture == "features" else {PLACES}
    weights = {name: array for name, array in first.weights().items() if name in shared}
    for number, scorer in enumerate(scorers):
        weights |= {f"fold-{number}/{name}": a for name, a in scorer.weights().items() if name not in shared}
    return scorer_for(replace(first.config, folds=len(scorers)), weights, Runtime.OPENVINO, threads)
