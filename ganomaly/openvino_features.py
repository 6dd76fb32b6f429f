"""Backbone, scales and memory of `features` as parts of an OpenVINO graph; `backbone`, `view`, `scales` and `memory`
have them in Keras and TensorFlow, and say what they are for."""

import numpy as np
import openvino as ov
from openvino import opset13 as op

from ganomaly.backbone_weights import BACKBONE_BLOCK, BACKBONE_CHANNELS, BLOCKS, backbone_weights
from ganomaly.config import Config
from ganomaly.openvino_layers import Arrays, Convolutions, Part, constant, reshaped, transposed, whole
from ganomaly.shapes import missing_at, seen_shape, side_at

_LEAST_SHARE = 1e-6


def extracted(pictures: ov.Output, make: Convolutions) -> ov.Output:
    """Pictures (n, channels, size, size) float32 in 0..255 to the backbone's maps (n, 112, side, side)."""
    weights = backbone_weights()
    if pictures.get_shape()[1] == 1:
        pictures = op.concat([pictures] * 3, 1).output(0)
    x = op.add(op.multiply(pictures, constant(1 / 128)), constant(-127 / 128)).output(0)
    x = _clipped(make.convolution(x, weights["stem/kernel"], weights["stem/bias"], stride=2))
    for number, block in enumerate(BLOCKS[: BACKBONE_BLOCK + 1]):
        name, entered = f"block{number:02}", x
        if block.expansion != 1:
            x = _clipped(make.convolution(x, weights[f"{name}/expand/kernel"], weights[f"{name}/expand/bias"]))
        kernel, bias = weights[f"{name}/depthwise/kernel"], weights[f"{name}/depthwise/bias"]
        x = _clipped(make.depthwise(x, kernel, bias, stride=block.stride))
        x = make.convolution(x, weights[f"{name}/project/kernel"], weights[f"{name}/project/bias"])
        if block.stride == 1 and entered.get_shape()[1] == block.channels:
            x = op.add(x, entered).output(0)
    return x


def distances(
    maps: ov.Output, places: ov.Output, arrays: Arrays, config: Config, prefix: str = ""
) -> tuple[ov.Output, ov.Output]:
    """How far each place is from what one member expects, by latent and by residual: (n, 1, side, side) each.

    `maps` (n, 112, side, side) are the backbone's, `places` (n, 1, side, side) is 1 where a place counts.
    """
    side = seen_shape(config)[0]
    mean, deviation = (
        arrays.take(f"{prefix}features/{name}", BACKBONE_CHANNELS).reshape(1, -1, 1, 1)
        for name in ("mean", "deviation")
    )
    of_scales = arrays.take(f"{prefix}scales/deviation", config.scales)
    usual = {part: arrays.take(f"{prefix}scales/usual_{part}", config.scales) for part in ("latent", "residual")}
    seen = op.divide(op.subtract(maps, constant(mean)), constant(deviation)).output(0)
    found: dict[str, list[ov.Output]] = {"latent": [], "residual": []}
    for scale in range(config.scales):
        windows, share = _coarser(seen, places, side, scale)
        windows = op.divide(windows, constant(of_scales[scale])).output(0)
        latent, residual = _at_scale(windows, arrays, config, f"{prefix}scale-{scale}", scale)
        even = op.divide(op.multiply(constant(2), share), op.add(constant(1), share)).output(0)
        if config.score_norm == "squares":
            latent = op.multiply(latent, even).output(0)
        else:
            latent = op.sqrt(op.multiply(op.multiply(latent, latent), even)).output(0)
        for part, distance in (("latent", latent), ("residual", op.multiply(residual, even).output(0))):
            everywhere = _spread(distance, share, side, scale)
            found[part].append(op.divide(everywhere, constant(usual[part][scale])).output(0))
    latent, residual = (
        op.reduce_mean(op.concat(parts, 1), whole(1), True).output(0) for parts in (found["latent"], found["residual"])
    )
    return latent, residual


def _at_scale(
    windows: ov.Output, arrays: Arrays, config: Config, prefix: str, scale: int
) -> tuple[ov.Output, ov.Output]:
    """Latent and residual distance (n, 1, side, side) of windows (n, 112, side, side)."""
    count, channels, side, _ = windows.get_shape()
    remembered = config.memory[scale]
    encoder, second = (
        Part(arrays, f"{prefix}/{name}").take(1, 1, channels, config.latent)[0, 0]
        for name in ("encoder", "second_encoder")
    )
    decoder = Part(arrays, f"{prefix}/decoder")
    keys, values = decoder.take(remembered, config.latent), decoder.take(remembered, channels)
    sharpness = np.exp(np.float64(decoder.take()))
    by_place = reshaped(transposed(windows, 0, 2, 3, 1), count, side * side, channels)
    latent = op.matmul(by_place, constant(encoder), False, False).output(0)
    # The sharpness is in the keys: one pass less over a number for each place and each key.
    nearness = op.add(
        op.matmul(latent, constant(2 * sharpness * keys.T), False, False),
        constant(-sharpness * np.square(keys.astype(np.float64)).sum(axis=1)[np.newaxis, np.newaxis]),
    )
    expected = op.matmul(op.softmax(nearness, 2), constant(values), False, False).output(0)
    difference = op.subtract(latent, op.matmul(expected, constant(second), False, False))
    if config.score_norm == "squares":
        distance = op.reduce_sum(op.multiply(difference, difference), whole(2), True)
    else:
        distance = op.reduce_mean(op.absolute(difference), whole(2), True)
    missed = op.subtract(by_place, expected)
    residual = op.reduce_mean(op.multiply(missed, missed), whole(2), True)
    return reshaped(distance.output(0), count, 1, side, side), reshaped(residual.output(0), count, 1, side, side)


def _coarser(maps: ov.Output, places: ov.Output, side: int, scale: int) -> tuple[ov.Output, ov.Output]:
    """`scales.coarser`: means over windows, and the share of each window that counts."""
    if scale == 0:
        return maps, places
    before, after = missing_at(side, scale)
    window = [2**scale] * 2

    def means(x: ov.Node | ov.Output) -> ov.Output:
        return op.avg_pool(x, window, [before] * 2, [after] * 2, window, False).output(0)

    share = means(places)
    return op.divide(means(op.multiply(maps, places)), op.maximum(share, constant(_LEAST_SHARE))).output(0), share


def _spread(values: ov.Output, share: ov.Output, side: int, scale: int) -> ov.Output:
    """`scales.spread`: values of windows for all places, linear between their centres, weighted by their shares."""
    if scale == 0:
        return values
    before, _ = missing_at(side, scale)
    # Two products with a small matrix: exactly linear, and no resizing kernel of which versions may differ.
    enlarging = _linear(side_at(side, scale), 2**scale)[before : before + side]

    def enlarged(x: ov.Node | ov.Output) -> ov.Output:
        rows = op.matmul(constant(enlarging), x, False, False)
        return op.matmul(rows, constant(enlarging.T), False, False).output(0)

    weighted = enlarged(op.multiply(values, share))
    return op.divide(weighted, op.maximum(enlarged(share), constant(_LEAST_SHARE))).output(0)


def _linear(count: int, times: int) -> np.ndarray:
    """(count * times, count) float32: each of `count` values `times` as often, linear between their centres."""
    at = np.clip((np.arange(count * times) + 0.5) / times - 0.5, 0, count - 1)
    low = np.minimum(np.floor(at).astype(int), max(count - 2, 0))
    matrix = np.zeros((count * times, count), np.float32)
    rows = np.arange(count * times)
    matrix[rows, low] = 1 - (at - low)
    if count > 1:
        matrix[rows, low + 1] = at - low
    return matrix


def _clipped(x: ov.Output) -> ov.Output:
    return op.clamp(x, 0.0, 6.0).output(0)
