"""The simple training loop of the article that the project comes from: two passes through the generator a step.

First the discriminator learns from pictures and what the generator makes of them, then the generator is passed again
and learns with the discriminator as it is now. Networks, losses and optimisers are ours.
"""

from collections.abc import Callable

import tensorflow as tf

from ganomaly import losses
from ganomaly.config import Config
from ganomaly.gan import GANomaly, to_network


def seed_step(config: Config) -> Callable[[tf.Tensor], tf.Tensor]:
    """One update on pictures (batch, size, size, channels) uint8; returns the generator's loss. Not traced."""
    model = GANomaly(config)

    def step(pictures: tf.Tensor) -> tf.Tensor:
        real = to_network(pictures)
        fake = model.decoder(model.encoder(real, training=True), training=True)
        variables = model.discriminator.trainable_variables
        with tf.GradientTape() as tape:
            real_logits = model.discriminator(real, training=True)[1]
            fake_logits = model.discriminator(fake, training=True)[1]
            loss = losses.discriminator_loss(real_logits, fake_logits) + model._decay(model.discriminator)
        model.discriminator_optimizer.apply(tape.gradient(loss, variables), variables)
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
        model.generator_optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    return step
