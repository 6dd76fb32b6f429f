"""One trained generator: encoder, decoder and second encoder of each scale with fixed weights, and how it sees."""

from collections.abc import Sequence

import tensorflow as tf

from ganomaly.config import Config
from ganomaly.gan import GANomaly
from ganomaly.mixed import built_for
from ganomaly.networks import build_decoder, build_encoder
from ganomaly.precision import FLOAT32
from ganomaly.view import FeatureView, PixelView, view_for


class Member:
    """Of a detector: the only one, or that of one fold."""

    def __init__(self, config: Config, view: PixelView | FeatureView | None = None) -> None:
        """With the numbers of `view`; without one, they are still to be assigned, as all weights are."""
        self._config = config
        # With `features` the time goes into the backbone, and what is left are differences of what is nearly equal.
        with built_for(FLOAT32 if config.architecture == "features" else config.precision):
            self._networks = [
                {
                    "encoder": build_encoder(config, 0, "encoder", scale),
                    "decoder": build_decoder(config, 0, "decoder", scale),
                    "second_encoder": build_encoder(config, 0, "second_encoder", scale),
                }
                for scale in range(config.scales)
            ]
        self.view = view or view_for(config)

    @classmethod
    def from_models(cls, models: Sequence[GANomaly], view: PixelView | FeatureView | None = None) -> "Member":
        """With the weights that the models of all scales have now, and with `view`."""
        member = cls(models[0].config, view)
        for networks, model in zip(member._networks, models, strict=True):
            for name, network in networks.items():
                network.set_weights(getattr(model, name).get_weights())
        return member

    def variables(self) -> list[tuple[str, tf.Variable]]:
        """All weights and moving statistics, by a name that says where they belong."""
        named = [
            (f"scale-{scale}/{part}/{number:02}" if self._config.memory else f"{part}/{number:02}", variable)
            for scale, networks in enumerate(self._networks)
            for part, network in networks.items()
            for number, variable in enumerate(network.variables)
        ]
        return [*named, *self.view.variables.items()]

    def distances(self, extracted: tf.Tensor, places: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """How far what the view extracted of n pictures is from what was expected: the latents' distance, (n,) or with
        `features` (n, side, side), and that of picture and reconstruction, (n, side, side).

        `places` (n, side, side) is 1 where a place counts, else 0. With `features` both are means over the scales.
        """
        by_scale = [
            self.view.at_all_places(scale, share, *self._at_scale(scale, real))
            for scale, (real, share) in enumerate(self.view.scales(extracted, places))
        ]
        latent, residual = (tf.reduce_mean(tf.stack(parts), axis=0) for parts in zip(*by_scale, strict=True))
        return latent, residual

    def _at_scale(self, scale: int, real: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        networks = self._networks[scale]
        latent = networks["encoder"](real, training=False)
        fake = networks["decoder"](latent, training=False)
        again = networks["second_encoder"](fake, training=False)
        latent, fake, again = (tf.cast(made, tf.float32) for made in (latent, fake, again))
        difference = latent - again
        return latent_distance(difference, self._config), self.view.distance(real, fake)


def latent_distance(difference: tf.Tensor, config: Config) -> tf.Tensor:
    """Of latents (..., latent) that differ by so much: (...)."""
    if config.score_norm == "squares":
        return tf.reduce_sum(tf.square(difference), axis=-1)
    return tf.reduce_mean(tf.abs(difference), axis=-1)
