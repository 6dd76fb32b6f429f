"""The simple training loop of the article that the project comes from: two passes through the generator a step.

First the discriminator learns from pictures and what the generator makes of them, then the generator is passed again
and learns with the discriminator as it is now. Networks and losses are ours, batch normalisation and Adam are Keras's.
"""

from collections.abc import Callable
from unittest.mock import patch

import keras
import tensorflow as tf

from ganomaly import losses, networks
from ganomaly.config import Config
from ganomaly.gan import GANomaly, to_network


def seed_step(config: Config) -> Callable[[tf.Tensor], tf.Tensor]:
    """One update on pictures (batch, size, size, channels) uint8; returns the generator's loss. Not traced."""
    with patch.object(networks, "Norm", keras.layers.BatchNormalization):
        model = GANomaly(config)
    adams = [keras.optimizers.Adam(config.learning_rate, beta_1=config.beta_1, epsilon=1e-8) for _ in range(2)]
    adams[0].build(model.discriminator.trainable_variables)
    adams[1].build(model.generator_variables)

    def step(pictures: tf.Tensor) -> tf.Tensor:
        real = to_network(pictures)
        fake = model.decoder(model.encoder(real, training=True), training=True)
        variables = model.discriminator.trainable_variables
        with tf.GradientTape() as tape:
            real_logits = model.discriminator(real, training=True)[1]
            fake_logits = model.discriminator(fake, training=True)[1]
            loss = losses.discriminator_loss(real_logits, fake_logits) + model._decay(model.discriminator)
        adams[0].apply(tape.gradient(loss, variables), variables)
        variables = model.generator_variables
        with tf.GradientTape() as tape:
            latent = model.encoder(real, training=True)
            fake = model.decoder(latent, training=True)
            latent_of_fake = model.second_encoder(fake, training=True)
            parts = {
                "adversarial": losses.adversarial_loss(
                    model.discriminator(real, training=True)[0], model.discriminator(fake, training=True)[0]
                ),
                "contextual": losses.contextual_loss(real, fake),
                "encoder": losses.encoder_loss(latent, latent_of_fake),
            }
            loss = model.weighted(parts) + model._decay(model.encoder, model.decoder, model.second_encoder)
        adams[1].apply(tape.gradient(loss, variables), variables)
        return loss

    return step
