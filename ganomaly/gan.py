"""GANomaly as one Keras model with its own training step."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from ganomaly import losses
from ganomaly.adam import Adam
from ganomaly.config import Config
from ganomaly.networks import build_decoder, build_discriminator, build_encoder

COLLAPSED = 1e-5
"""Below this loss the discriminator has won and teaches nothing: the authors start it anew."""


def to_network(pictures: tf.Tensor) -> tf.Tensor:
    """uint8 or float32 in 0..255 to float32 in [-1, 1]."""
    return tf.cast(pictures, tf.float32) * (1.0 / 127.5) - 1.0


class GANomaly(keras.Model):
    """Generator (encoder G_E, decoder G_D), second encoder E and discriminator D.

    Takes pictures (n, size, size, channels), uint8 or float32 in 0..255; in the architecture `features` the
    standardised feature maps of pictures at one scale, which `ganomaly.view` computes once for a whole training.
    """

    def __init__(self, config: Config, seed: int = 0, scale: int = 0) -> None:
        super().__init__(name="ganomaly")
        self.config = config
        self.scale = scale
        self.encoder = build_encoder(config, 4 * seed, "encoder", scale)
        self.decoder = build_decoder(config, 4 * seed + 1, "decoder", scale)
        self.second_encoder = build_encoder(config, 4 * seed + 2, "second_encoder", scale)
        self.discriminator = build_discriminator(config, 4 * seed + 3, "discriminator", scale)
        rate, beta = config.learning_rate, config.beta_1
        self.generator_optimizer = Adam(self.generator_variables, rate, beta)
        self.discriminator_optimizer = Adam(self.discriminator.trainable_variables, rate, beta)
        # The discriminator as it began, to begin again with after a collapse.
        self._fresh_discriminator = [variable.numpy() for variable in self.discriminator.variables]
        self.built = True

    @property
    def generator_variables(self) -> list[Any]:
        return [
            *self.encoder.trainable_variables,
            *self.decoder.trainable_variables,
            *self.second_encoder.trainable_variables,
        ]

    def call(self, pictures: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """(latent, reconstruction, latent of the reconstruction)."""
        latent = self.encoder(self._seen(pictures), training=training)
        fake = self.decoder(latent, training=training)
        return latent, fake, self.second_encoder(fake, training=training)

    def train_step(self, pictures: tf.Tensor) -> dict[str, tf.Tensor]:
        """One update of generator and discriminator that share one pass through the generator.

        Both gradients are taken at the same weights, each for its own variables only: the discriminator's stops at
        the reconstruction, the generator's passes through the discriminator and leaves its weights alone.
        """
        real = self._seen(pictures)
        entered = real
        if self.config.noise:
            entered += self.config.noise * tf.random.normal(tf.shape(real))
        with tf.GradientTape() as generator_tape, tf.GradientTape() as discriminator_tape:
            latent = self.encoder(entered, training=True)
            fake = self.decoder(latent, training=True)
            latent_of_fake = self.second_encoder(fake, training=True)
            real_features, real_logits = self.discriminator(real, training=True)
            fake_features, fake_logits = self.discriminator(fake, training=True)
            parts = {
                "adversarial": losses.adversarial_loss(tf.stop_gradient(real_features), fake_features),
                "contextual": losses.contextual_loss(real, fake),
                "encoder": losses.encoder_loss(latent, latent_of_fake),
            }
            generator_loss = self.weighted(parts) + self._decay(self.encoder, self.decoder, self.second_encoder)
            discriminator_loss = losses.discriminator_loss(real_logits, fake_logits)
            penalised = discriminator_loss + self._decay(self.discriminator)
        self.generator_optimizer.apply(generator_tape.gradient(generator_loss, self.generator_variables))
        self.discriminator_optimizer.apply(
            discriminator_tape.gradient(penalised, self.discriminator.trainable_variables)
        )
        self._begin_again_where_collapsed(discriminator_loss)
        return {**parts, "generator": self.weighted(parts), "discriminator": discriminator_loss}

    def _seen(self, pictures: tf.Tensor) -> tf.Tensor:
        return pictures if self.config.architecture == "features" else to_network(pictures)

    def weighted(self, parts: dict[str, tf.Tensor]) -> tf.Tensor:
        """The generator's loss: the three parts with their weights."""
        return (
            self.config.weight_adversarial * parts["adversarial"]
            + self.config.weight_contextual * parts["contextual"]
            + self.config.weight_encoder * parts["encoder"]
        )

    def test_step(self, pictures: tf.Tensor) -> dict[str, tf.Tensor]:
        """The generator's losses with moving statistics, for the validation part."""
        real = self._seen(pictures)
        latent, fake, latent_of_fake = self(pictures, training=False)
        real_features, _ = self.discriminator(real, training=False)
        fake_features, _ = self.discriminator(fake, training=False)
        parts = {
            "adversarial": losses.adversarial_loss(real_features, fake_features),
            "contextual": losses.contextual_loss(real, fake),
            "encoder": losses.encoder_loss(latent, latent_of_fake),
        }
        return {**parts, "generator": self.weighted(parts)}

    def _begin_again_where_collapsed(self, discriminator_loss: tf.Tensor) -> None:
        def begin_again() -> tf.Tensor:
            for variable, fresh in zip(self.discriminator.variables, self._fresh_discriminator, strict=True):
                variable.assign(fresh)
            return tf.constant(True)

        tf.cond(discriminator_loss < COLLAPSED, begin_again, lambda: tf.constant(False))

    @staticmethod
    def _decay(*networks: keras.Model) -> tf.Tensor:
        penalties: Sequence[tf.Tensor] = [penalty for network in networks for penalty in network.losses]
        return tf.add_n(list(penalties)) if penalties else tf.constant(0.0)
