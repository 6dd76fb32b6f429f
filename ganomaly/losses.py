"""The losses of GANomaly as plain functions of tensors (Akcay et al. 2018, section 3.2).

The squared norms of the paper are means of squares, as in the authors' own code, so that the weights 1, 50, 1 mean
the same at every picture size.
"""

import tensorflow as tf


def adversarial_loss(real_features: tf.Tensor, fake_features: tf.Tensor) -> tf.Tensor:
    """Feature matching: mean squared distance of the discriminator's features of real and generated pictures."""
    return tf.reduce_mean(tf.math.squared_difference(real_features, fake_features))


def contextual_loss(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """Mean absolute distance of picture and reconstruction."""
    return tf.reduce_mean(tf.abs(real - fake))


def encoder_loss(latent: tf.Tensor, latent_of_fake: tf.Tensor) -> tf.Tensor:
    """Mean squared distance of the latents of picture and reconstruction."""
    return tf.reduce_mean(tf.math.squared_difference(latent, latent_of_fake))


def discriminator_loss(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """Binary cross-entropy, real pictures towards 1 and generated ones towards 0, halved."""
    real = tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.ones_like(real_logits), logits=real_logits)
    fake = tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.zeros_like(fake_logits), logits=fake_logits)
    return 0.5 * (tf.reduce_mean(real) + tf.reduce_mean(fake))
