"""The scores that need no network."""

import numpy as np
import pytest

from trainer.trivial import CHUNK, Trivial


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_they_are_distances_from_the_mean_of_the_chosen_pictures_however_many(dtype):
    pixels = np.random.default_rng(0).integers(0, 256, (3 * CHUNK, 16, 16, 3)).astype(dtype)
    chosen = np.arange(5, 2 * CHUNK + 9)
    trivial = Trivial.fit(pixels, chosen)
    mean = pixels[chosen].astype(float).mean(axis=0)
    np.testing.assert_allclose(trivial.picture, mean)
    scores = trivial.scores(pixels[:4])
    for i in range(4):
        assert scores["brightness"][i] == pytest.approx(abs(pixels[i].astype(float).mean() - mean.mean()))
        assert scores["pixels"][i] == pytest.approx(((pixels[i] - mean) ** 2).mean())


def test_brightness_sees_light_and_pixels_see_a_shift():
    good = np.zeros((4, 16, 16, 1), np.uint8)
    good[:, 4:8] = 200
    trivial = Trivial.fit(good, np.arange(4))
    shifted, darker = np.roll(good[:1], 4, axis=1), good[:1] // 2
    assert trivial.scores(shifted)["brightness"][0] == 0
    assert trivial.scores(shifted)["pixels"][0] > trivial.scores(good[:1])["pixels"][0] == 0
    assert trivial.scores(darker)["brightness"][0] > 0
