"""GANomaly's training step once more, in plain TensorFlow: no layers, no Keras, variables and operations alone.

What `bench.training_limit` holds ours against: same networks, losses, optimiser and batches, one pass through the
generator that both updates share, one traced function.
"""

from collections.abc import Callable

import tensorflow as tf

from ganomaly.config import Config

LEAK, EPSILON, MOMENTUM = 0.2, 1e-5, 0.9
WEIGHTS = (1.0, 50.0, 1.0)

Step = Callable[[tf.Tensor], tf.Tensor]


class Adam:
    """TensorFlow's own fused kernel, a call for each variable."""

    def __init__(self, variables: list[tf.Variable], config: Config) -> None:
        self._variables, self._rate, self._beta = variables, config.learning_rate, config.beta_1
        self._moments = [(tf.Variable(tf.zeros_like(v)), tf.Variable(tf.zeros_like(v))) for v in variables]
        self._powers = tf.Variable(config.beta_1), tf.Variable(0.999)

    def apply(self, gradients: list[tf.Tensor]) -> None:
        first, second = self._powers
        for variable, (m, v), gradient in zip(self._variables, self._moments, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle, m=m.handle, v=v.handle, beta1_power=first, beta2_power=second, lr=self._rate,
                beta1=self._beta, beta2=0.999, epsilon=1e-8, grad=gradient,
            )  # fmt: skip
        first.assign(first * self._beta)
        second.assign(second * 0.999)


class Norm:
    def __init__(self, channels: int) -> None:
        self.gamma, self.beta = tf.Variable(tf.ones(channels)), tf.Variable(tf.zeros(channels))
        self._mean, self._variance = (tf.Variable(tf.zeros(channels), trainable=False) for _ in range(2))

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        y, mean, variance = tf.compat.v1.nn.fused_batch_norm(x, self.gamma, self.beta, epsilon=EPSILON)
        self._mean.assign(MOMENTUM * self._mean + (1 - MOMENTUM) * mean)
        self._variance.assign(MOMENTUM * self._variance + (1 - MOMENTUM) * variance)
        return y


class Pyramid:
    """Convolutions of the paper from the picture down to 4 x 4; `features` and what a last one makes of them."""

    def __init__(self, config: Config, outputs: int) -> None:
        filters, side, entering = config.width, config.size // 2, config.channels
        self._kernels, self._norms = [_normal(4, 4, entering, filters)], list[Norm]()
        while side > 4:
            self._kernels.append(_normal(4, 4, filters, 2 * filters))
            filters, side = 2 * filters, side // 2
            self._norms.append(Norm(filters))
        self._last = _normal(side * side * filters, outputs)

    @property
    def variables(self) -> list[tf.Variable]:
        return [*self._kernels, *(v for norm in self._norms for v in (norm.gamma, norm.beta)), self._last]

    def __call__(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        x = tf.nn.leaky_relu(tf.nn.conv2d(x, self._kernels[0], 2, "SAME"), LEAK)
        for kernel, norm in zip(self._kernels[1:], self._norms, strict=True):
            x = tf.nn.leaky_relu(norm(tf.nn.conv2d(x, kernel, 2, "SAME")), LEAK)
        return x, tf.reshape(x, (x.shape[0], -1)) @ self._last


class Decoder:
    def __init__(self, config: Config) -> None:
        side, filters = 4, config.width * config.size // 8
        self._shape, self._first = (side, side, filters), _normal(config.latent, side * side * filters)
        self._norms, self._kernels = [Norm(filters)], list[tf.Variable]()
        while 2 * side < config.size:
            self._kernels.append(_normal(4, 4, filters // 2, filters))
            filters, side = filters // 2, 2 * side
            self._norms.append(Norm(filters))
        self._kernels.append(_normal(4, 4, config.channels, filters))

    @property
    def variables(self) -> list[tf.Variable]:
        return [self._first, *self._kernels, *(v for norm in self._norms for v in (norm.gamma, norm.beta))]

    def __call__(self, latent: tf.Tensor) -> tf.Tensor:
        x = tf.reshape(latent @ self._first, (latent.shape[0], *self._shape))
        for norm, kernel in zip(self._norms, self._kernels, strict=True):
            x = tf.nn.relu(norm(x))
            count, side, _, _ = x.shape
            x = tf.nn.conv2d_transpose(x, kernel, (count, 2 * side, 2 * side, kernel.shape[2]), 2, "SAME")
        return tf.tanh(x)


def paper_step(config: Config) -> Step:
    """One update of the network of the paper on pictures (batch, size, size, channels) uint8; the generator's loss."""
    first, decoder, second = Pyramid(config, config.latent), Decoder(config), Pyramid(config, config.latent)
    judge = Pyramid(config, 1)

    def networks(real: tf.Tensor) -> tuple[tf.Tensor, ...]:
        latent = first(real)[1]
        fake = decoder(latent)
        return latent, fake, second(fake)[1], *judge(real), *judge(fake)

    generator = [*first.variables, *decoder.variables, *second.variables]
    step = _step(config, networks, generator, judge.variables, WEIGHTS)
    return tf.function(
        lambda pictures: step(tf.cast(pictures, tf.float32) / 127.5 - 1),
        input_signature=[
            tf.TensorSpec((config.batch_size, config.size, config.size, config.channels), tf.uint8)
        ],
    )  # fmt: skip


def features_step(config: Config, side: int, channels: int) -> Step:
    """One update of the finest scale of `features` on maps (batch, side, side, channels) float32."""
    one, other = _normal(channels, config.latent), _normal(channels, config.latent)
    keys, values = _normal(config.memory[0], config.latent), _normal(config.memory[0], channels)
    sharpness = tf.Variable(0.0)
    layers = [(_normal(a, b), tf.Variable(tf.zeros(b))) for a, b in ((channels, 256), (256, 256), (256, 1))]

    def judge(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        for kernel, bias in layers[:-1]:
            x = tf.nn.leaky_relu(x @ kernel + bias, LEAK)
        return x, x @ layers[-1][0] + layers[-1][1]

    def networks(real: tf.Tensor) -> tuple[tf.Tensor, ...]:
        latent = (real + config.noise * tf.random.normal(real.shape)) @ one
        nearness = 2 * tf.matmul(latent, keys, transpose_b=True) - tf.reduce_sum(keys**2, axis=1)
        fake = tf.nn.softmax(tf.exp(sharpness) * nearness) @ values
        return latent, fake, fake @ other, *judge(real), *judge(fake)

    weights = (config.weight_adversarial, config.weight_contextual, config.weight_encoder)
    flat = [variable for pair in layers for variable in pair]
    step = _step(config, networks, [one, other, keys, values, sharpness], flat, weights)
    return tf.function(
        lambda maps: step(tf.reshape(maps, (-1, channels))),
        input_signature=[tf.TensorSpec((config.batch_size, side, side, channels), tf.float32)],
    )


def _step(
    config: Config, networks: Callable[[tf.Tensor], tuple[tf.Tensor, ...]], generator: list[tf.Variable],
    discriminator: list[tf.Variable], weights: tuple[float, float, float],
) -> Step:  # fmt: skip
    generator_adam, discriminator_adam = Adam(generator, config), Adam(discriminator, config)

    def step(real: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as one, tf.GradientTape() as other:
            latent, fake, again, real_features, real_logits, fake_features, fake_logits = networks(real)
            loss = (
                weights[0] * tf.reduce_mean(tf.math.squared_difference(tf.stop_gradient(real_features), fake_features))
                + weights[1] * tf.reduce_mean(tf.abs(real - fake))
                + weights[2] * tf.reduce_mean(tf.math.squared_difference(latent, again))
            )
            entropy = tf.nn.sigmoid_cross_entropy_with_logits
            told = tf.reduce_mean(entropy(tf.ones_like(real_logits), real_logits))
            told = 0.5 * (told + tf.reduce_mean(entropy(tf.zeros_like(fake_logits), fake_logits)))
        generator_adam.apply(one.gradient(loss, generator))
        discriminator_adam.apply(other.gradient(told, discriminator))
        return loss

    return step


def _normal(*shape: int) -> tf.Variable:
    return tf.Variable(tf.random.normal(shape, stddev=0.02))
