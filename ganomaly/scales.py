"""Coarser scales of feature maps: what a place looks like together with those around it.

A defect may be as small as one place of the map or as large as half of the picture, and nobody knows beforehand. So a
map is looked at in octaves, as in a Gaussian pyramid (Burt, Adelson: The Laplacian Pyramid as a Compact Image Code,
1983): scale s has the means over windows of 2^s x 2^s places. All functions treat each map of a batch by itself.
"""

import tensorflow as tf

from ganomaly.shapes import missing_at


def coarser(maps: tf.Tensor, inside: tf.Tensor, scale: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Means over the windows of maps (n, side, side, channels), and the share of each window that they are means of.

    `inside` (n, side, side) float32 is 1 where a place counts and 0 elsewhere; what does not count is in no mean, and
    neither is what a window has outside of the map.
    """
    if scale == 0:
        return maps, inside
    counted = inside[..., tf.newaxis]
    share = _means(counted, scale)
    return _means(maps * counted, scale) / tf.maximum(share, 1e-6), share[..., 0]


def evened(squares: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Squared distances of windows that have a `share` of their places, as if they had all.

    The mean of k of K places that vary by themselves is (1 / k + 1 / K) / (2 / K) times as far, squared, from the mean
    of K others as one of K is. Without this the rim of a region would decide its threshold. 0 where nothing counts.
    """
    return squares * (2 * share / (1 + share))


def spread(values: tf.Tensor, share: tf.Tensor, side: int, scale: int) -> tf.Tensor:
    """Values (n, side_at(side, scale), ...) of the windows for each of the places (n, side, side), linear between their
    centres, each window with the weight of its `share`: one where nothing counts has no part in it."""
    if scale == 0:
        return values
    return _enlarged(values * share, side, scale) / tf.maximum(_enlarged(share, side, scale), 1e-6)


def _means(maps: tf.Tensor, scale: int) -> tf.Tensor:
    edge = missing_at(maps.shape[1], scale)
    return tf.nn.avg_pool2d(tf.pad(maps, ((0, 0), edge, edge, (0, 0))), 2**scale, 2**scale, "VALID")


def _enlarged(values: tf.Tensor, side: int, scale: int) -> tf.Tensor:
    whole = values.shape[1] * 2**scale
    before, _ = missing_at(side, scale)
    enlarged = tf.image.resize(values[..., tf.newaxis], (whole, whole))[..., 0]
    return enlarged[:, before : before + side, before : before + side]
