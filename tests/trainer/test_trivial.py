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


def test_what_is_outside_of_a_mask_changes_neither():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
    inside = np.zeros((16, 16), bool)
    inside[4:9, 3:12] = True
    trivial = Trivial.fit(pixels, np.arange(4), inside)
    other = np.where(inside[..., np.newaxis], pixels, rng.integers(0, 256, pixels.shape, dtype=np.uint8))
    for name, values in trivial.scores(pixels).items():
        np.testing.assert_array_equal(Trivial.fit(other, np.arange(4), inside).scores(other)[name], values)
        alone = Trivial.fit(pixels[:, 4:9, 3:12], np.arange(4)).scores(pixels[:, 4:9, 3:12])[name]
        np.testing.assert_allclose(values, alone)
