"""Encoder and decoder of `paper` and `article` as parts of an OpenVINO graph; `ganomaly.networks` has them in Keras."""

import numpy as np
import openvino as ov
from openvino import opset13 as op

from ganomaly.config import Config
from ganomaly.openvino_layers import Convolutions, Part, leaky, normalised, reshaped, transposed, whole
from ganomaly.shapes import ARTICLE_EPSILON, PAPER_EPSILON, pyramid


def encoded(x: ov.Output, part: Part, config: Config, make: Convolutions) -> ov.Output:
    """Pictures (n, channels, size, size) in [-1, 1] to latents (n, latent, 1, 1)."""
    return _article_encoded(x, part, config, make) if config.architecture == "article" else _paper_encoded(
        x, part, config, make
    )  # fmt: skip


def decoded(latent: ov.Output, part: Part, config: Config, make: Convolutions) -> ov.Output:
    """Latents (n, latent, 1, 1) to pictures (n, channels, size, size) in [-1, 1]."""
    x = (_article_decoded if config.architecture == "article" else _paper_decoded)(latent, part, config, make)
    return op.tanh(x).output(0)


def _paper_encoded(x: ov.Output, part: Part, config: Config, make: Convolutions) -> ov.Output:
    halvings, side = pyramid(config.size)
    filters = config.width
    x = leaky(make.convolution(x, part.take(4, 4, config.channels, filters), stride=2))
    for _ in range(halvings - 1):
        kernel = part.take(4, 4, filters, 2 * filters)
        filters *= 2
        x = leaky(make.convolution(x, *normalised(kernel, None, _norm(part, filters), PAPER_EPSILON), stride=2))
    # Flattened places and a matrix, as a convolution that covers all of them: each picture by itself.
    kernel = part.take(side * side * filters, config.latent).reshape(side, side, filters, config.latent)
    return make.convolution(x, kernel, padded=False)


def _paper_decoded(x: ov.Output, part: Part, config: Config, make: Convolutions) -> ov.Output:
    halvings, side = pyramid(config.size)
    filters = config.width * 2 ** (halvings - 1)
    kernel = part.take(config.latent, side * side * filters)
    x = _spread(make.convolution(x, kernel[np.newaxis, np.newaxis]), side, filters)
    gamma, beta, mean, variance = _norm(part, filters)
    factor, offset = normalised(np.ones(filters), None, (gamma, beta, mean, variance), PAPER_EPSILON)
    x = op.relu(op.add(op.multiply(x, _by_channel(factor)), _by_channel(offset))).output(0)
    for _ in range(halvings - 1):
        kernel = part.take(4, 4, filters // 2, filters)
        filters //= 2
        kernel, bias = normalised(kernel, None, _norm(part, filters), PAPER_EPSILON, axis=2)
        x = op.relu(make.transposed(x, kernel, bias, stride=2)).output(0)
    return make.transposed(x, part.take(4, 4, config.channels, filters), stride=2)


def _article_encoded(x: ov.Output, part: Part, config: Config, make: Convolutions) -> ov.Output:
    x = leaky(make.convolution(x, part.take(5, 5, config.channels, 32), part.take(32)))
    for before, filters in ((32, 64), (64, 128), (128, 128)):
        kernel, bias = part.take(3, 3, before, filters), part.take(filters)
        x = leaky(make.convolution(x, *normalised(kernel, bias, _norm(part, filters), ARTICLE_EPSILON), stride=2))
    return op.reduce_mean(x, whole(2, 3), True).output(0)


def _article_decoded(x: ov.Output, part: Part, config: Config, make: Convolutions) -> ov.Output:
    side = config.size // 8
    kernel, bias = part.take(config.latent, side * side * 128), part.take(side * side * 128)
    x = _spread(make.convolution(x, kernel[np.newaxis, np.newaxis], bias), side, 128)
    for before, filters in ((128, 128), (128, 64), (64, 32)):
        x = leaky(make.transposed(x, part.take(3, 3, filters, before), part.take(filters), stride=2))
    return make.transposed(x, part.take(1, 1, config.channels, 32), part.take(config.channels), stride=1)


def _spread(x: ov.Output, side: int, filters: int) -> ov.Output:
    """(n, side * side * filters, 1, 1), channels last among them, to (n, filters, side, side)."""
    count = x.get_shape()[0]
    return transposed(reshaped(x, count, side, side, filters), 0, 3, 1, 2)


def _norm(part: Part, filters: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return part.take(filters), part.take(filters), part.take(filters), part.take(filters)


def _by_channel(values: np.ndarray) -> ov.Output:
    return op.constant(values.reshape(1, -1, 1, 1).astype(np.float32)).output(0)
