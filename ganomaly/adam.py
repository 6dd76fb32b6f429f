"""Adam (Kingma, Ba: Adam: A Method for Stochastic Optimization, ICLR 2015) as one operation for each variable.

Keras's own goes over a variable, its gradient and both moments a dozen times, one elementary operation after the other;
TensorFlow's fused kernel goes over them once.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


class Adam:
    """For these variables (Keras's): `variables` are its own, the count of updates and two moments of each."""

    def __init__(
        self, trained: Sequence[Any], learning_rate: float, beta_1: float, beta_2: float = 0.999, epsilon: float = 1e-8
    ) -> None:
        self.learning_rate = learning_rate
        self._beta_1, self._beta_2, self._epsilon = beta_1, beta_2, epsilon
        self._trained = [variable.value for variable in trained]
        self._count = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._moments = [
            (tf.Variable(tf.zeros_like(one), trainable=False), tf.Variable(tf.zeros_like(one), trainable=False))
            for one in self._trained
        ]

    @property
    def variables(self) -> list[tf.Variable]:
        return [self._count, *(moment for both in self._moments for moment in both)]

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """One update; the gradients are in the order of the variables."""
        count = tf.cast(self._count.assign_add(1), tf.float32)
        for variable, (first, second), gradient in zip(self._trained, self._moments, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle, m=first.handle, v=second.handle, beta1_power=self._beta_1**count,
                beta2_power=self._beta_2**count, lr=tf.constant(self.learning_rate, tf.float32), beta1=self._beta_1,
                beta2=self._beta_2, epsilon=self._epsilon, grad=gradient,
            )  # fmt: skip
