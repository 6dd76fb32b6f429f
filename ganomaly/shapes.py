"""Sides and channels of what the networks see, from the configuration alone: without TensorFlow."""

from collections.abc import Mapping

import numpy as np

from ganomaly.backbone_weights import BACKBONE_CHANNELS, BACKBONE_STRIDE
from ganomaly.config import Config
from ganomaly.tiling import PLACES

LEAK = 0.2
"""Slope of all leaky rectifiers below 0."""
PAPER_EPSILON, ARTICLE_EPSILON = 1e-5, 1e-3
"""Added to variances by the batch normalisation of each."""


def pyramid(size: int) -> tuple[int, int]:
    """How often a side is halved, and what is left: 4 for powers of two, an odd number from 3 to 15 otherwise."""
    halvings = 1
    side = size // 2
    while side > 4 and side % 2 == 0:
        side //= 2
        halvings += 1
    return halvings, side


def side_at(side: int, scale: int) -> int:
    """Windows a side at that scale of a map that has `side` places at scale 0."""
    return -(-side // 2**scale)


def missing_at(side: int, scale: int) -> tuple[int, int]:
    """Places that the windows of that scale have before and after such a map."""
    missing = side_at(side, scale) * 2**scale - side
    return missing // 2, missing - missing // 2


def seen_shape(config: Config, scale: int = 0) -> tuple[int, int, int]:
    """Height, width and channels of what the networks of that scale see of one picture."""
    if config.architecture == "features":
        side = side_at(config.size // BACKBONE_STRIDE, scale)
        return side, side, BACKBONE_CHANNELS
    return config.size, config.size, config.channels


def least_weights(config: Config) -> int:
    """Numbers in the layers of encoders and decoder that grow with the configuration: all of them have no fewer."""
    if config.architecture == "features":
        encoders = 2 * config.scales * BACKBONE_CHANNELS * config.latent
        return encoders + sum(config.memory) * (config.latent + BACKBONE_CHANNELS)
    if config.architecture == "article":
        return config.latent * (config.size // 8) ** 2 * 128
    halvings, side = pyramid(config.size)
    filters = [config.width * 2**number for number in range(halvings)]
    convolutions = sum(16 * few * 2 * few for few in filters[:-1])
    return 3 * (convolutions + side**2 * filters[-1] * config.latent)


def check_enough(config: Config, weights: Mapping[str, np.ndarray]) -> None:
    """Raises ValueError where these cannot be all weights of the networks: before any memory is taken for them."""
    numbers = sum(array.size for name, array in weights.items() if name != PLACES)
    if numbers < config.folds * least_weights(config):
        raise ValueError("it holds fewer numbers than such a network has")
