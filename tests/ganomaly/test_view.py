"""The feature view: standardised on what was learnt, measured by what was held out, the same with saved numbers."""

from dataclasses import replace

import numpy as np
import pytest

from ganomaly.config import config_for
from ganomaly.detector import Detector
from ganomaly.gan import GANomaly
from ganomaly.networks import build_decoder, build_discriminator, build_encoder
from ganomaly.training import train
from ganomaly.view import FeatureView, Seen

CONFIG = replace(config_for("features", 128, 1), memory=(500, 500))


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """Striped pictures, each with its own phase and noise."""
    rng = np.random.default_rng(0)
    x = np.arange(128)
    waves = [100 + 60 * np.sin(x / 5 + rng.uniform(0, 6)) + rng.normal(0, 9, (128, 128)) for _ in range(40)]
    return np.clip(np.stack(waves), 0, 255).astype(np.uint8)[..., np.newaxis]


@pytest.fixture(scope="module")
def trained(pictures) -> Detector:
    return train(pictures[:28], pictures[28:34], CONFIG, seed=0, epochs=6).detector


def test_networks_keep_the_places_of_the_map() -> None:
    shapes = [
        [tuple(output.shape[1:]) for output in build(CONFIG, 0, "x").outputs]
        for build in (build_encoder, build_decoder, build_discriminator)
    ]
    assert shapes == [[(8, 8, 64)], [(8, 8, 112)], [(8, 8, 256), (8, 8, 1)]]


def test_training_features_have_mean_0_and_deviation_1_in_every_channel(pictures) -> None:
    view = FeatureView(CONFIG)
    fine, coarse = (seen.maps for seen in view.fit_standard(pictures))
    assert (fine.shape, coarse.shape) == ((40, 8, 8, 112), (40, 4, 4, 112))
    np.testing.assert_allclose(fine.mean(axis=(0, 1, 2)), 0, atol=1e-3)
    np.testing.assert_allclose(fine.std(axis=(0, 1, 2)), 1, atol=1e-3)
    assert coarse.std() == pytest.approx(1, rel=1e-3)
    for again, seen in zip(view.see_all(pictures[:9]), (fine, coarse), strict=True):
        np.testing.assert_allclose(again.maps, seen[:9], atol=1e-4)


def test_a_gray_picture_is_seen_as_its_colour_twin(pictures) -> None:
    gray, colour = FeatureView(CONFIG), FeatureView(replace(CONFIG, channels=3))
    for one, twin in zip(gray.see_all(pictures[:2]), colour.see_all(np.repeat(pictures[:2], 3, axis=3)), strict=True):
        assert np.array_equal(one.maps, twin.maps)


def test_distances_of_held_out_good_pictures_are_1_on_average_at_each_scale_in_any_unit(pictures) -> None:
    rng = np.random.default_rng(1)
    distances = [rng.random((20, side, side)).astype(np.float32) + 0.5 for side in (8, 4)]
    for unit in (1, 1000):
        view = FeatureView(CONFIG)
        held_out = [Seen(np.zeros((20, side, side, 112)), np.ones((20, side, side), np.float32)) for side in (8, 4)]
        view.fit_usual(held_out, [unit * one for one in distances], [unit * one**2 for one in distances])
        for scale, one in enumerate(distances):
            latent, residual = view.at_all_places(scale, held_out[scale].share, unit * one, unit * one**2)
            assert np.mean(latent) == pytest.approx(1, rel=0.02)
            assert np.mean(residual) == pytest.approx(1, rel=0.02)


def test_a_scale_at_which_held_out_pictures_are_remembered_does_not_outweigh_the_others() -> None:
    view = FeatureView(CONFIG)
    held_out = [Seen(np.zeros((2, side, side, 112)), np.ones((2, side, side), np.float32)) for side in (8, 4)]
    distances = [np.full((2, 8, 8), 0.5, np.float32), np.full((2, 4, 4), 1e-9, np.float32)]
    view.fit_usual(held_out, distances, distances)
    _, residual = view.at_all_places(1, held_out[1].share, np.ones((2, 4, 4)), np.full((2, 4, 4), 0.1, np.float32))
    assert np.max(residual) <= 2


def test_a_patch_that_does_not_belong_is_scored_above_every_good_picture_and_found_in_the_map(
    trained, pictures
) -> None:
    good = pictures[34:]
    odd = good.copy()
    odd[:, 64:96, 32:64] = np.swapaxes(odd[:, 64:96, 32:64], 1, 2)  # stripes that run the other way
    here, there = trained.score(good), trained.score(odd)
    assert there.raw.min() > here.raw.max()
    assert np.array_equal(there.raw, there.maps.max(axis=(1, 2)).astype(float))
    rows, columns = zip(*[np.unravel_index(m.argmax(), m.shape) for m in there.maps], strict=True)
    assert {*rows} <= {3, 4, 5, 6}
    assert {*columns} <= {1, 2, 3, 4}


def test_a_detector_from_its_saved_weights_scores_the_same(trained, pictures) -> None:
    again = Detector.from_weights(trained.config, trained.weights())
    assert again.score(pictures).raw.tobytes() == trained.score(pictures).raw.tobytes()


def test_noise_goes_into_the_encoder_and_not_into_the_target(pictures) -> None:
    seen = FeatureView(CONFIG).fit_standard(pictures)[0].maps[:8]
    for config, equal in ((CONFIG, False), (replace(CONFIG, noise=0.0), True)):
        model = GANomaly(config, 0)
        for optimizer in (model.generator_optimizer, model.discriminator_optimizer):
            optimizer.learning_rate = 0.0
        first, second = (float(model.train_step(seen)["contextual"]) for _ in range(2))
        assert (first == second) is equal
