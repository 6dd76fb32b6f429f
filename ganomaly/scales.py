"""Coarser scales of feature maps: what a place looks like together with those around it.

A defect may be as small as one place of the map or as large as half of the picture, and nobody knows beforehand. So a
map is looked at in octaves, as in a Gaussian pyramid (Burt, Adelson: The Laplacian Pyramid as a Compact Image Code,
1983): scale s has the means over windows of 2^s x 2^s places. All functions take and give tensors, and treat each map
of a batch by itself.
"""

import numpy as np
import tensorflow as tf


def side_at(side: int, scale: int) -> int:
    """Places a side at that scale of a map that has `side` at scale 0."""
    return -(-side // 2**scale)


def count_inside(inside: np.ndarray, scale: int) -> int:
    """Windows that hold a place that counts, of places (n, side, side) bool."""
    counted = tf.cast(inside[..., np.newaxis], tf.float32)
    return int(np.count_nonzero(_means(counted, scale))) if scale else int(inside.sum())


def coarser(maps: tf.Tensor, inside: tf.Tensor, scale: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Means over the windows of maps (n, side, side, channels), and which of them hold a place that counts.

    `inside` (n, side, side) float32 is 1 where a place counts and 0 elsewhere; what does not count is in no mean. A
    window that reaches over the edge is the mean of what the map has of it.
    """
    if scale == 0:
        return maps, inside
    counted = inside[..., tf.newaxis]
    share = _means(counted, scale)
    return _means(maps * counted, scale) / tf.maximum(share, 1e-6), tf.cast(share[..., 0] > 0, tf.float32)


def spread(values: tf.Tensor, inside: tf.Tensor, side: int, scale: int) -> tf.Tensor:
    """Values (n, side_at(side, scale), ...) of the windows for each of the places (n, side, side), linear between their
    centres. Windows where nothing counts, 0 in `inside`, have no part in it."""
    if scale == 0:
        return values
    weights = _enlarged(inside, side, scale)
    return _enlarged(values * inside, side, scale) / tf.maximum(weights, 1e-6)


def _means(maps: tf.Tensor, scale: int) -> tf.Tensor:
    return tf.nn.avg_pool2d(maps, 2**scale, 2**scale, "SAME")


def _enlarged(values: tf.Tensor, side: int, scale: int) -> tf.Tensor:
    whole = values.shape[1] * 2**scale
    before = (whole - side) // 2  # what SAME adds before the map
    enlarged = tf.image.resize(values[..., tf.newaxis], (whole, whole))[..., 0]
    return enlarged[:, before : before + side, before : before + side]
