"""The promised false-alarm rate on real pictures, over random splits of one set.

The score is a cheap one, the distance to a mean picture: the promise holds for any score, good or bad.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import betabinom

from ganomaly.calibration import Calibration

pytestmark = pytest.mark.data


def data() -> Path:
    if "ODDLOT_DATA" not in os.environ:
        pytest.skip("ODDLOT_DATA does not name the folder of image sets; mnist and magnetic_tile in it are needed")
    return Path(os.environ["ODDLOT_DATA"])


def distances(pictures: np.ndarray, learnt: int) -> np.ndarray:
    """Mean absolute distance of all but the first `learnt` pictures to the mean of those, in random order."""
    pictures = np.random.default_rng(0).permutation(pictures.astype(np.float64))
    return np.abs(pictures[learnt:] - pictures[:learnt].mean(axis=0)).mean(axis=(1, 2))


def mnist_ones() -> np.ndarray:
    with np.load(data() / "mnist" / "mnist.npz") as mnist:
        return distances(mnist["x_train"][mnist["y_train"] == 1], 500)


def magnetic_tiles() -> np.ndarray:
    paths = sorted((data() / "magnetic_tile" / "train" / "good").iterdir())
    return distances(np.stack([np.asarray(Image.open(path).convert("L").resize((64, 64))) for path in paths]), 100)


@pytest.mark.parametrize(
    ("scores_of", "n", "rate"), [(mnist_ones, 299, 0.01), (mnist_ones, 999, 0.05), (magnetic_tiles, 99, 0.05)]
)
def test_random_splits_keep_the_rate_and_its_bound(scores_of, n, rate) -> None:
    scores, splits = scores_of(), 1000
    rng = np.random.default_rng(1)
    realised = np.empty(splits)
    for k in range(splits):
        shuffled = rng.permutation(scores)
        calibration = Calibration.fit(shuffled[:n], rate)
        realised[k] = calibration.flagged(shuffled[n:]).mean()
    assert realised.mean() <= rate + 3 * realised.std() / splits**0.5
    # The rest of the set is finite, so what is seen of the rate scatters around it: beta-binomial, not beta.
    rest = len(scores) - n
    allowed = round(rate * (n + 1))
    bound = calibration.rate_with_confidence(0.95)
    expected = betabinom(rest, allowed, n + 1 - allowed).sf(np.floor(bound * rest))
    assert np.mean(realised > bound) <= expected + 3 * (expected * (1 - expected) / splits) ** 0.5
    assert expected <= 0.07  # the rest is large enough to come near to the 5 % of an endless one
