"""The three networks of GANomaly: encoder, decoder, discriminator, in three architectures.

`paper`: the pyramid of the authors' own code (after DCGAN, Radford et al. 2015): 4x4 convolutions that halve the
side and double the filters until 4x4 is left, batch normalisation, leaky ReLU 0.2; the decoder mirrors it.
`article`: 3x3 convolutions over three halvings and global average pooling, as in the article's Keras code.
`features`: each place of a feature map by itself; the encoder is linear, the decoder a memory (`ganomaly.memory`).

All are channels-last. Pictures are (n, size, size, channels) in [-1, 1] and latents (n, latent), but for `features`:
there maps (n, side, side, 112), standardised, and latents (n, side, side, latent), at one of their scales.
"""

import keras
import tensorflow as tf
from keras import layers, ops

from ganomaly.config import Config
from ganomaly.memory import Memory
from ganomaly.shapes import ARTICLE_EPSILON, LEAK, PAPER_EPSILON, pyramid, seen_shape

# Momentum 0.9 here is what other libraries call 0.1; epsilon as the authors have it. The article's code has Keras's
# 0.99, with which the statistics of a short training belong to networks of long ago: its scores are useless then.
_NORM = {"momentum": 0.9, "epsilon": PAPER_EPSILON}


def build_encoder(config: Config, seed: int, name: str, scale: int = 0) -> keras.Model:
    """Picture to latent: G_E, and with other weights E."""
    picture = keras.Input(seen_shape(config, scale))
    weights = _Weights(seed)
    if config.architecture == "features":
        latent = layers.Conv2D(config.latent, 1, use_bias=False, **weights.dense())(picture)
        return keras.Model(picture, latent, name=name)
    if config.architecture == "article":
        features = _article_features(picture, weights)
        return keras.Model(picture, layers.GlobalAveragePooling2D()(features), name=name)
    features = _pyramid_features(picture, config, weights)
    # The authors' last convolution covers all places that are left: a projection of the flattened features.
    latent = Projection(config.latent, use_bias=False, **weights.conv())(layers.Flatten()(features))
    return keras.Model(picture, latent, name=name)


def build_decoder(config: Config, seed: int, name: str, scale: int = 0) -> keras.Model:
    """Latent to picture: G_D."""
    weights = _Weights(seed)
    if config.architecture == "features":
        side, _, channels = seen_shape(config, scale)
        latent = keras.Input((side, side, config.latent))
        return keras.Model(latent, Memory(config.memory[scale], config.latent, channels)(latent), name=name)
    latent = keras.Input((config.latent,))
    if config.architecture == "article":
        return keras.Model(latent, _article_decoder(latent, config, weights), name=name)
    halvings, side = pyramid(config.size)
    filters = config.width * 2 ** (halvings - 1)
    # The first transposed convolution spreads one place over side x side: a projection, too.
    x = Projection(side * side * filters, use_bias=False, **weights.conv())(latent)
    x = layers.Reshape((side, side, filters))(x)
    x = layers.ReLU()(Norm(**weights.norm())(x))
    for _ in range(halvings - 1):
        filters //= 2
        x = layers.Conv2DTranspose(filters, 4, 2, padding="same", use_bias=False, **weights.conv())(x)
        x = layers.ReLU()(Norm(**weights.norm())(x))
    x = layers.Conv2DTranspose(
        config.channels, 4, 2, padding="same", use_bias=False, activation="tanh", **weights.conv()
    )(x)
    return keras.Model(latent, x, name=name)


def build_discriminator(config: Config, seed: int, name: str, scale: int = 0) -> keras.Model:
    """Picture to [features, logit]: the features are what adversarial feature matching compares."""
    picture = keras.Input(seen_shape(config, scale))
    weights = _Weights(seed)
    if config.architecture == "features":
        features = _map_features(picture, config, weights)
        logit = layers.Conv2D(1, 1, **weights.dense())(features)
    elif config.architecture == "article":
        features = _article_features(picture, weights)
        logit = layers.Dense(1, **weights.dense())(layers.GlobalAveragePooling2D()(features))
    else:
        features = _pyramid_features(picture, config, weights)
        # A convolution over all places that are left, with the authors; as a projection it takes no time.
        logit = Projection(1, use_bias=False, **weights.conv())(layers.Flatten()(features))
    return keras.Model(picture, [features, logit], name=name)


def _map_features(x: keras.KerasTensor, config: Config, weights: "_Weights") -> keras.KerasTensor:
    for _ in range(2):
        x = layers.LeakyReLU(LEAK)(layers.Conv2D(config.width, 1, **weights.dense())(x))
    return x


def _pyramid_features(x: keras.KerasTensor, config: Config, weights: "_Weights") -> keras.KerasTensor:
    halvings, _ = pyramid(config.size)
    filters = config.width
    x = layers.Conv2D(filters, 4, 2, padding="same", use_bias=False, **weights.conv())(x)
    x = layers.LeakyReLU(LEAK)(x)
    for _ in range(halvings - 1):
        filters *= 2
        x = layers.Conv2D(filters, 4, 2, padding="same", use_bias=False, **weights.conv())(x)
        x = layers.LeakyReLU(LEAK)(Norm(**weights.norm())(x))
    return x


def _article_features(x: keras.KerasTensor, weights: "_Weights") -> keras.KerasTensor:
    x = layers.LeakyReLU(LEAK)(layers.Conv2D(32, 5, padding="same", **weights.decayed())(x))
    for filters in (64, 128, 128):
        x = layers.Conv2D(filters, 3, 2, padding="same", **weights.decayed())(x)
        x = layers.LeakyReLU(LEAK)(Norm(momentum=_NORM["momentum"], epsilon=ARTICLE_EPSILON)(x))
    return x


def _article_decoder(x: keras.KerasTensor, config: Config, weights: "_Weights") -> keras.KerasTensor:
    side = config.size // 8
    x = layers.Reshape((side, side, 128))(Projection(side * side * 128, **weights.dense())(x))
    for filters in (128, 64, 32):
        x = layers.LeakyReLU(LEAK)(layers.Conv2DTranspose(filters, 3, 2, padding="same", **weights.decayed())(x))
    return layers.Conv2DTranspose(config.channels, 1, padding="same", activation="tanh", **weights.decayed())(x)


class Projection(layers.Dense):
    """A dense layer whose inference gives a picture the same numbers at every place of a batch, bit for bit.

    One matrix product for the whole batch does not on every processor: the kernels for AVX2 add up the pictures at the
    edge of a block in another order. Where the size of the batch is known, each picture has a product of its own.
    """

    def call(self, inputs: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        count = inputs.shape[0]
        if training or count is None:
            return super().call(inputs)
        call = super().call
        return ops.concatenate([call(inputs[i : i + 1]) for i in range(count)], axis=0)


class Norm(layers.BatchNormalization):
    """Batch normalisation over maps that trains by TensorFlow's fused kernel: Keras's own goes over the maps many
    times, forwards and back. Inference is Keras's."""

    def call(self, inputs: keras.KerasTensor, training: bool | None = None, mask: None = None) -> keras.KerasTensor:
        if not training or isinstance(inputs, keras.KerasTensor):
            return super().call(inputs, training=training, mask=mask)
        normal, mean, variance = tf.compat.v1.nn.fused_batch_norm(inputs, self.gamma, self.beta, epsilon=self.epsilon)
        count = tf.cast(tf.size(inputs) / inputs.shape[-1], tf.float32)
        biased = variance * ((count - 1) / count)  # as Keras keeps it; the kernel gives the unbiased one
        for kept, now in ((self.moving_mean, mean), (self.moving_variance, biased)):
            kept.assign(kept * self.momentum + now * (1 - self.momentum))
        return normal


class _Weights:
    """Initialisers with seeds of their own, so that a network follows from its seed alone."""

    def __init__(self, seed: int) -> None:
        self._next = seed * 1000

    def _seed(self) -> int:
        self._next += 1
        return self._next

    def conv(self) -> dict[str, object]:
        return {"kernel_initializer": keras.initializers.RandomNormal(0.0, 0.02, seed=self._seed())}

    def norm(self) -> dict[str, object]:
        return {"gamma_initializer": keras.initializers.RandomNormal(1.0, 0.02, seed=self._seed()), **_NORM}

    def dense(self) -> dict[str, object]:
        return {"kernel_initializer": keras.initializers.GlorotUniform(seed=self._seed())}

    def decayed(self) -> dict[str, object]:
        return {**self.dense(), "kernel_regularizer": keras.regularizers.L2(1e-4)}
