"""The fused kernels of a training step compute what Keras's Adam and batch normalisation compute."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from ganomaly.adam import Adam
from ganomaly.networks import Norm


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_updates_are_those_of_keras(rng) -> None:
    expected = [keras.Variable(rng.normal(size=(5, 3)).astype(np.float32)), keras.Variable(np.float32(1.5))]
    trained = [keras.Variable(variable.numpy()) for variable in expected]
    theirs, ours = keras.optimizers.Adam(1e-2, beta_1=0.5, epsilon=1e-8), Adam(trained, 1e-2, 0.5)
    theirs.build(expected)
    step = tf.function(lambda *gradients: ours.apply(gradients))
    for _ in range(20):
        gradients = [tf.constant(rng.normal(size=variable.shape), tf.float32) for variable in expected]
        theirs.apply(gradients, expected)
        step(*gradients)
    for one, other in zip(expected, trained, strict=True):
        np.testing.assert_allclose(other.numpy(), one.numpy(), atol=1e-5)
    assert ours.variables[0].numpy() == 20


def test_normalised_maps_their_gradients_and_what_is_kept_of_them_are_those_of_keras(rng) -> None:
    maps = tf.constant(rng.normal(2, 3, size=(8, 6, 6, 4)), tf.float32)
    options = {"momentum": 0.9, "epsilon": 1e-5, "gamma_initializer": keras.initializers.Constant(0.7)}
    found = []
    for norm in (layers.BatchNormalization(**options), Norm(**options)):
        norm.build(maps.shape)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(maps)
            normal = norm(maps, training=True)
            loss = tf.reduce_sum(tf.sin(normal))
        gradients = tape.gradient(loss, [maps, *norm.trainable_variables])
        found.append([normal, *gradients, *(weight.numpy() for weight in norm.weights), norm(maps, training=False)])
    for theirs, ours in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5)  # sums of 288 float32
