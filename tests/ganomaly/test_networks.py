"""The networks are those of the paper and the article, and the losses are the paper's."""

import math
from dataclasses import replace

import numpy as np
import pytest

from ganomaly import losses
from ganomaly.config import article, config_for, paper
from ganomaly.networks import build_decoder, build_discriminator, build_encoder
from ganomaly.shapes import least_weights, pyramid
from oddlot.errors import TrainingError

SIZES = [32, 48, 64, 80, 112, 256]
FEATURE_SIDE = {32: 4, 48: 3, 64: 4, 80: 5, 112: 7, 256: 4}


def shapes(model) -> list[tuple]:
    return [tuple(output.shape[1:]) for output in model.outputs]


def count(variables) -> int:
    return sum(math.prod(variable.shape) for variable in variables)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_paper_shapes(size: int, channels: int) -> None:
    config = paper(size, channels)
    encoder, decoder = build_encoder(config, 0, "e"), build_decoder(config, 0, "d")
    side = FEATURE_SIDE[size]
    filters = 64 * size // side // 2
    assert tuple(encoder.inputs[0].shape[1:]) == (size, size, channels)
    assert shapes(encoder) == [(100,)]
    assert shapes(decoder) == [(size, size, channels)]
    assert shapes(build_discriminator(config, 0, "x")) == [(side, side, filters), (1,)]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_article_shapes(size: int, channels: int) -> None:
    config = article(size, channels)
    assert shapes(build_encoder(config, 0, "e")) == [(128,)]
    assert shapes(build_decoder(config, 0, "d")) == [(size, size, channels)]
    assert shapes(build_discriminator(config, 0, "x")) == [(size // 8, size // 8, 128), (1,)]


def test_every_size_that_is_accepted_is_halved_to_what_one_convolution_covers() -> None:
    for size in range(32, 257, 16):
        halvings, side = pyramid(size)
        assert side << halvings == size
        assert 3 <= side <= 15
    for size in (16, 40, 272, 0, -32):
        with pytest.raises(TrainingError, match="multiple of 16"):
            config_for("paper", size, 1)


def paper_parameters(halvings: int, channels: int, latent: int, filters: int = 64) -> dict[str, int]:
    """Trainable numbers of the authors' DCGAN networks: 4x4 kernels without bias, gamma and beta of each norm."""
    widths = [filters * 2**i for i in range(halvings)]
    kernels = sum(16 * a * b for a, b in zip([channels, *widths], widths, strict=False))
    down = kernels + sum(2 * width for width in widths[1:])
    up = kernels + sum(2 * width for width in widths)
    last = widths[-1]
    return {
        "encoder": down + 16 * last * latent,
        "decoder": up + 16 * last * latent,
        "discriminator": down + 16 * last,
    }


@pytest.mark.parametrize(("size", "halvings", "channels"), [(32, 3, 1), (64, 4, 3), (128, 5, 1)])
def test_paper_has_the_parameters_of_the_published_layers(size: int, halvings: int, channels: int) -> None:
    config = paper(size, channels)
    expected = paper_parameters(halvings, channels, 100)
    assert count(build_encoder(config, 0, "e").trainable_variables) == expected["encoder"]
    assert count(build_decoder(config, 0, "d").trainable_variables) == expected["decoder"]
    assert count(build_discriminator(config, 0, "x").trainable_variables) == expected["discriminator"]


def test_paper_at_32_gray_in_plain_numbers() -> None:
    assert paper_parameters(3, 1, 100) == {
        "encoder": 1024 + 131072 + 256 + 524288 + 512 + 409600,
        "decoder": 409600 + 512 + 524288 + 256 + 131072 + 128 + 1024,
        "discriminator": 1024 + 131072 + 256 + 524288 + 512 + 4096,
    }


def test_article_is_the_smaller_network_with_its_own_weights() -> None:
    small, large = article(64, 1), paper(64, 1)
    for build in (build_encoder, build_decoder, build_discriminator):
        assert count(build(small, 0, "s").trainable_variables) < count(build(large, 0, "l").trainable_variables) / 2
    # 5x5 to 32 filters, then 3x3 to 64, 128, 128 with a norm each; all with bias.
    encoder = (25 * 32 + 32) + (9 * 32 * 64 + 64 + 128) + (9 * 64 * 128 + 128 + 256) + (9 * 128 * 128 + 128 + 256)
    assert count(build_encoder(small, 0, "e").trainable_variables) == encoder
    assert (small.weight_contextual, small.weight_adversarial, small.weight_encoder) == (20.0, 1.0, 1.0)
    assert (small.batch_size, small.score_norm) == (32, "squares")


def test_paper_has_the_published_weights_and_optimiser() -> None:
    config = paper(32, 1)
    assert (config.weight_adversarial, config.weight_contextual, config.weight_encoder) == (1.0, 50.0, 1.0)
    assert (config.learning_rate, config.beta_1, config.batch_size, config.latent) == (2e-4, 0.5, 64, 100)


def test_paper_layers_stand_in_the_order_of_the_authors() -> None:
    def kinds(model) -> list[str]:
        return [type(layer).__name__ for layer in model.layers if type(layer).__name__ != "InputLayer"]

    pyramid_of_32 = ["Conv2D", "LeakyReLU"] + 2 * ["Conv2D", "Norm", "LeakyReLU"]
    config = paper(32, 1)
    encoder, decoder = build_encoder(config, 0, "e"), build_decoder(config, 0, "d")
    assert kinds(encoder) == [*pyramid_of_32, "Flatten", "Projection"]
    assert kinds(build_discriminator(config, 0, "x")) == [*pyramid_of_32, "Flatten", "Projection"]
    up = 2 * ["Conv2DTranspose", "Norm", "ReLU"]
    assert kinds(decoder) == ["Projection", "Reshape", "Norm", "ReLU", *up, "Conv2DTranspose"]
    assert decoder.layers[-1].activation.__name__ == "tanh"
    assert {layer.negative_slope for layer in encoder.layers if type(layer).__name__ == "LeakyReLU"} == {0.2}
    for model in (encoder, decoder):
        assert all(not layer.use_bias for layer in model.layers if hasattr(layer, "use_bias"))
        norms = [layer for layer in model.layers if type(layer).__name__ == "Norm"]
        assert {(norm.momentum, norm.epsilon) for norm in norms} == {(0.9, 1e-5)}


def test_weights_begin_as_the_authors_have_them() -> None:
    encoder = build_encoder(paper(64, 3), 5, "e")
    kernels = [v.numpy().ravel() for v in encoder.trainable_variables if len(v.shape) > 1]
    gammas = np.concatenate([v.numpy() for v in encoder.trainable_variables if v.path.endswith("gamma")])
    for kernel in kernels:
        assert kernel.std() == pytest.approx(0.02, rel=0.1)
        assert abs(kernel.mean()) < 0.002
    assert gammas.mean() == pytest.approx(1.0, abs=0.01)
    assert gammas.std() == pytest.approx(0.02, rel=0.2)


def test_a_network_follows_from_its_seed() -> None:
    def weights(seed: int) -> bytes:
        return b"".join(v.numpy().tobytes() for v in build_encoder(paper(32, 1), seed, "e").variables)

    assert weights(1) == weights(1)
    assert weights(1) != weights(2)


def test_the_projections_are_the_convolutions_of_the_authors() -> None:
    import keras
    import tensorflow as tf

    config = paper(48, 1)
    rng = np.random.default_rng(0)
    encoder, decoder = build_encoder(config, 0, "e"), build_decoder(config, 0, "d")
    pictures = rng.uniform(-1, 1, (5, 48, 48, 1)).astype(np.float32)
    before = keras.Model(encoder.input, encoder.layers[-3].output)(pictures, training=False)
    kernel = encoder.layers[-1].kernel.numpy().reshape(3, 3, 512, 100)
    convolved = tf.nn.conv2d(before, kernel, strides=1, padding="VALID")[:, 0, 0]
    np.testing.assert_allclose(encoder(pictures, training=False), convolved, rtol=1e-4, atol=1e-5)

    latents = rng.normal(size=(5, 100)).astype(np.float32)
    first = next(layer for layer in decoder.layers if type(layer).__name__ == "Reshape")
    spread = keras.Model(decoder.input, first.output)(latents, training=False)
    kernel = decoder.layers[1].kernel.numpy().reshape(100, 3, 3, 512).transpose(1, 2, 3, 0)
    convolved = tf.nn.conv2d_transpose(latents[:, None, None], kernel, (5, 3, 3, 512), 1, "VALID")
    np.testing.assert_allclose(spread, convolved, rtol=1e-4, atol=1e-5)


def test_losses_by_hand() -> None:
    real = np.array([[1.0, -2.0], [0.0, 4.0]], np.float32)
    fake = np.array([[0.0, -2.0], [3.0, 2.0]], np.float32)
    assert float(losses.contextual_loss(real, fake)) == pytest.approx((1 + 0 + 3 + 2) / 4)
    assert float(losses.encoder_loss(real, fake)) == pytest.approx((1 + 0 + 9 + 4) / 4)
    assert float(losses.adversarial_loss(real, fake)) == pytest.approx((1 + 0 + 9 + 4) / 4)


def test_discriminator_loss_by_hand() -> None:
    real, fake = np.array([[0.0], [2.0]], np.float32), np.array([[0.0], [-1.0]], np.float32)
    on_real = (math.log(2) + math.log(1 + math.exp(-2))) / 2
    on_fake = (math.log(2) + math.log(1 + math.exp(-1))) / 2
    assert float(losses.discriminator_loss(real, fake)) == pytest.approx((on_real + on_fake) / 2, rel=1e-6)
    sure = float(losses.discriminator_loss(np.full((3, 1), 200.0, np.float32), np.full((3, 1), -200.0, np.float32)))
    fooled = float(losses.discriminator_loss(np.full((3, 1), -200.0, np.float32), np.full((3, 1), 200.0, np.float32)))
    assert (sure, fooled) == (0.0, pytest.approx(200.0))


@pytest.mark.parametrize("architecture", ["paper", "article"])
def test_moving_statistics_follow_a_short_training(architecture: str) -> None:
    """With Keras's own momentum of 0.99 the article's network scored sevens below ones after 1,000 updates."""
    config = config_for(architecture, 32, 1)
    for build in (build_encoder, build_decoder, build_discriminator):
        for layer in build(config, 0, "n").layers:
            assert getattr(layer, "momentum", 0.9) == 0.9


@pytest.mark.parametrize(
    "config",
    [paper(32, 1), paper(48, 3), article(32, 1), replace(config_for("features", 128, 3), memory=(500, 300, 20))],
    ids=["paper 32", "paper 48", "article", "features"],
)
def test_the_least_number_of_weights_is_less_than_all_and_most_of_them(config) -> None:
    have = sum(
        build(config, 0, "n", scale).count_params()
        for build in (build_encoder, build_encoder, build_decoder)
        for scale in range(config.scales)
    )
    assert least_weights(config) <= have
    if config.architecture != "article":  # most of which does not follow from its configuration
        assert least_weights(config) > 0.95 * have
