"""The memory of the generator: features that good pictures have, and the decoder that can only mix what it remembers.

A decoder that is free to compute gives defects back nearly as well as good places. So the decoder of `features` has a
memory, as in Gong et al.: Memorizing Normality to Detect Anomaly (ICCV 2019): a latent is compared with the keys of
the memory, and what comes out is the mean of their values, weighted by a softmax of how near they are. Keys, values
and sharpness are weights like all others and trained with the three losses; they begin as places of the training
pictures that cover what was seen, the rare as well as the frequent.
"""

from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf
from keras import ops

if TYPE_CHECKING:
    from ganomaly.gan import GANomaly

SHARPNESS = 2.0
"""Keys are weighted by exp(-SHARPNESS x squared distance / usual squared distance of a good place to its nearest)."""
LEAST_USUAL = 0.1
"""The usual squared distance is the median, or this share of the mean where that is more."""
PROJECTED = 16
"""Dimensions in which places are compared while the memory is chosen: random projections keep distances nearly
(Johnson, Lindenstrauss 1984)."""
CANDIDATES = 200_000
"""Places among which the memory is chosen: a random part of more."""
SHUFFLED = 10_000_000
"""Of more places the random part is drawn without numbering all of them: 8 bytes each would be much."""
PROJECTED_TOGETHER = 2**20
"""Places of held-out pictures that are compared with the memory at a time."""


class Memory(keras.layers.Layer):
    """Latent maps (n, height, width, latent) to feature maps (n, height, width, channels), float32."""

    def __init__(self, places: int, latent: int, channels: int) -> None:
        super().__init__()
        self.keys = self.add_weight(shape=(places, latent), initializer="glorot_uniform", name="keys")
        self.values = self.add_weight(shape=(places, channels), initializer="glorot_uniform", name="values")
        self.log_sharpness = self.add_weight(shape=(), initializer="zeros", name="log_sharpness")

    def call(self, latent: tf.Tensor) -> tf.Tensor:
        # Convolutions, because they give a place the same numbers anywhere; a matrix product of all places may not.
        nearness = 2.0 * ops.conv(latent, ops.transpose(self.keys)[None, None]) - ops.sum(self.keys**2, axis=1)
        weights = ops.softmax(ops.exp(self.log_sharpness) * nearness, axis=-1)
        return ops.conv(weights, self.values[None, None])


def spread_out(places: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Indices of `count` of `places` (n, channels) float32 that cover all of them: each next one is the place that is
    farthest from those chosen (Gonzalez 1985; as a coreset of features: Roth et al., CVPR 2022).

    A random choice would take many of the common and none of the rare places, and rare good places are what a detector
    takes for defects.
    """
    rng = np.random.default_rng([seed, 4])
    candidates = _some(rng, len(places))
    projection = rng.normal(size=(places.shape[1], PROJECTED)).astype(np.float32)
    projected = places[candidates] @ projection
    squares = np.square(projected).sum(axis=1)
    chosen = [0]
    nearest = np.full(len(projected), np.inf, np.float32)
    while len(chosen) < min(count, len(projected)):
        last = chosen[-1]
        np.minimum(nearest, squares - 2 * (projected @ projected[last]) + squares[last], out=nearest)
        nearest[last] = -np.inf  # not again, where rounding leaves it a distance from itself
        chosen.append(int(nearest.argmax()))
    return candidates[chosen]


def _some(rng: np.random.Generator, count: int) -> np.ndarray:
    """Which places may become part of the memory, in order: all of `count`, or so many drawn by chance."""
    if count <= SHUFFLED:
        return np.sort(rng.permutation(count)[:CANDIDATES])
    return np.sort(rng.choice(count, CANDIDATES, replace=False, shuffle=False))


def principal_directions(places: np.ndarray, count: int) -> np.ndarray:
    """(channels, count) float32: the directions in which places (n, channels) vary most, the first the most."""
    _, vectors = np.linalg.eigh(np.cov(places, rowvar=False))
    return np.ascontiguousarray(vectors[:, ::-1][:, :count], dtype=np.float32)


def nearest_squares(latents: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Squared distance of each of the latents (n, latent) to the nearest of the keys (m, latent)."""
    own = np.square(keys).sum(axis=1)
    parts = [
        (own - 2 * part @ keys.T).min(axis=1) + np.square(part).sum(axis=1)
        for part in (latents[i : i + 2048] for i in range(0, len(latents), 2048))
    ]
    return np.maximum(np.concatenate(parts), 0)


def begin(model: "GANomaly", maps: np.ndarray, held_out: np.ndarray, seed: int) -> None:
    """Set encoder, second encoder and memory of an untrained generator to what training maps (n, side, side, channels)
    show; `held_out` maps of other good pictures say how far a good place usually is from what is remembered."""
    channels = maps.shape[-1]
    places = maps.reshape(-1, channels)
    few = _some(np.random.default_rng([seed, 5]), len(places))
    directions = principal_directions(places[few], model.config.latent)
    for encoder in (model.encoder, model.second_encoder):
        encoder.set_weights([directions[np.newaxis, np.newaxis]])
    values = places[spread_out(places, model.config.memory[model.scale], seed)]
    keys = values @ directions
    others = held_out.reshape(-1, channels)
    together = range(0, len(others), PROJECTED_TOGETHER)
    squares = np.concatenate([nearest_squares(others[i : i + PROJECTED_TOGETHER] @ directions, keys) for i in together])
    # Where most places are one background, that is remembered to the bit, and the median says nothing of the part.
    usual = max(float(np.median(squares)), LEAST_USUAL * float(squares.mean()), 1e-6)
    model.decoder.set_weights([keys, values, np.log(SHARPNESS / usual).astype(np.float32)])
