"""The whole scoring network as one OpenVINO graph of a fixed batch shape, and that graph made ready for this processor.

Nothing is converted: configuration and arrays of a bundle are all that it is built from.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as op

from ganomaly import openvino_features, openvino_pixels
from ganomaly.config import Config
from ganomaly.openvino_layers import Arrays, Convolutions, Part, constant, reshaped, transposed, whole
from ganomaly.precision import BFLOAT16, FLOAT32, INT8, RANGES
from ganomaly.shapes import seen_shape
from ganomaly.tiling import PLACES

LIBRARY = str(ov.__version__).partition("-")[0]
"""The version of OpenVINO, without where it was built."""

_HINTS = {FLOAT32: "f32", BFLOAT16: "bf16", INT8: "f32"}


def build_graph(
    config: Config, weights: Mapping[str, np.ndarray], batch: int, *, watch: bool = False
) -> tuple[ov.Model, list[str]]:
    """Pictures (batch, size, size, channels) in 0..255 and places (batch, side, side), both float32, to: distance by
    place (batch, side, side), and the parts latent, contextual and residual (batch,).

    With `watch`, more outputs follow: the lowest and highest value that enters each convolution, (convolutions, 2); the
    names of these arrays are returned, too. Raises ValueError where the arrays are not those of the network.
    """
    side = seen_shape(config)[0]
    shape = [batch, config.size, config.size, config.channels]
    pictures = op.parameter(shape, np.float32, "pictures")
    places = op.parameter([batch, side, side], np.float32, "places")
    counted = reshaped(places.output(0), batch, 1, side, side)
    pixels = transposed(pictures.output(0), 0, 3, 1, 2)
    arrays = Arrays({name: array for name, array in weights.items() if name != PLACES})
    makers: dict[str, Convolutions] = {}

    def maker(name: str) -> Convolutions:
        ranges = arrays.take_table(name) if config.precision == INT8 else None
        makers[name] = Convolutions(ranges, watch=watch)
        return makers[name]

    if config.architecture == "features":
        extracted = openvino_features.extracted(pixels, maker(RANGES))
    else:
        extracted = op.add(op.multiply(pixels, constant(1 / 127.5)), constant(-1)).output(0)
    found = []
    for prefix in prefixes(config):
        if config.architecture == "features":
            found.append(openvino_features.distances(extracted, counted, arrays, config, prefix))
        else:
            found.append(_pixel_distances(extracted, arrays, config, prefix, maker(f"{prefix}{RANGES}")))
    arrays.nothing_left()
    latent, by_place = found[0]
    for other in found[1:]:  # the one to which a place is least odd
        latent, by_place = op.minimum(latent, other[0]).output(0), op.minimum(by_place, other[1]).output(0)
    if config.architecture == "features":  # a map: the place where it is farthest off
        latent = op.reduce_max(op.multiply(latent, counted), whole(1, 2, 3), False).output(0)
    by_place = op.multiply(by_place, counted).output(0)  # 0 outside of the region
    outputs = [
        reshaped(by_place, batch, side, side), reshaped(latent, batch),
        op.reduce_mean(by_place, whole(1, 2, 3), False).output(0),
        op.reduce_max(by_place, whole(1, 2, 3), False).output(0),
    ]  # fmt: skip
    watched = [name for name, made in makers.items() if made.entering]
    outputs += [_ends(makers[name].entering) for name in watched]
    return ov.Model(outputs, [pictures, places], "ganomaly"), watched


def prefixes(config: Config) -> list[str]:
    """Of the names of each member's arrays."""
    return [""] if config.folds == 1 else [f"fold-{number}/" for number in range(config.folds)]


def made_ready(graph: ov.Model, precision: str, threads: int) -> Any:
    """A request of the compiled graph: its `infer` may be called by one thread at a time."""
    options = {
        "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": _HINTS[precision],
        # Each process would pin its threads to the same first cores.
        "ENABLE_CPU_PINNING": False,
    }  # fmt: skip
    return ov.Core().compile_model(graph, "CPU", options).create_infer_request()


def _pixel_distances(
    seen: ov.Output, arrays: Arrays, config: Config, prefix: str, make: Convolutions
) -> tuple[ov.Output, ov.Output]:
    """Distance of the latents (n,), and of picture and reconstruction by place, (n, 1, size, size)."""
    encoder, decoder, second = (Part(arrays, f"{prefix}{name}") for name in ("encoder", "decoder", "second_encoder"))
    latent = openvino_pixels.encoded(seen, encoder, config, make)
    fake = openvino_pixels.decoded(latent, decoder, config, make)
    difference = op.subtract(latent, openvino_pixels.encoded(fake, second, config, make))
    if config.score_norm == "squares":
        distance = op.reduce_sum(op.multiply(difference, difference), whole(1, 2, 3), False)
    else:
        distance = op.reduce_mean(op.absolute(difference), whole(1, 2, 3), False)
    return distance.output(0), op.reduce_mean(op.absolute(op.subtract(seen, fake)), whole(1), True).output(0)


def _ends(entering: list[ov.Output]) -> ov.Output:
    """(convolutions, 2): the lowest and the highest value of each."""
    ends = []
    for x in entering:
        low, high = (reduce(x, whole(0, 1, 2, 3), False) for reduce in (op.reduce_min, op.reduce_max))
        ends.append(op.concat([reshaped(end.output(0), 1, 1) for end in (low, high)], 1).output(0))
    return op.concat(ends, 0).output(0)
