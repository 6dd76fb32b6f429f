"""One trained generator: encoder, decoder and second encoder with fixed weights, and how it sees pictures."""

import tensorflow as tf

from ganomaly.config import Config
from ganomaly.gan import GANomaly
from ganomaly.networks import build_decoder, build_encoder
from ganomaly.view import FeatureView, PixelView, view_for

_PARTS = ("encoder", "decoder", "second_encoder")


class Member:
    """Of a detector: the only one, or that of one fold."""

    def __init__(self, config: Config, view: PixelView | FeatureView | None = None) -> None:
        """With the numbers of `view`; without one, they are still to be assigned, as all weights are."""
        self._config = config
        self._networks = {
            "encoder": build_encoder(config, 0, "encoder"),
            "decoder": build_decoder(config, 0, "decoder"),
            "second_encoder": build_encoder(config, 0, "second_encoder"),
        }
        self.view = view or view_for(config)

    @classmethod
    def from_model(cls, model: GANomaly, view: PixelView | FeatureView | None = None) -> "Member":
        """With the weights that the model has now, and with `view`."""
        member = cls(model.config, view)
        for name in _PARTS:
            member._networks[name].set_weights(getattr(model, name).get_weights())
        return member

    def variables(self) -> list[tuple[str, tf.Variable]]:
        """All weights and moving statistics, by a name that says where they belong."""
        networks = [
            (f"{part}/{number:02}", variable)
            for part, network in self._networks.items()
            for number, variable in enumerate(network.variables)
        ]
        return [*networks, *self.view.variables.items()]

    def distances(self, extracted: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """How far what the view extracted of n pictures is from what was expected: the latents' distance, (n,) or with
        `features` (n, side, side), and that of picture and reconstruction, (n, side, side)."""
        real = self.view.standardise(extracted)
        latent = self._networks["encoder"](real, training=False)
        fake = self._networks["decoder"](latent, training=False)
        difference = latent - self._networks["second_encoder"](fake, training=False)
        if self._config.score_norm == "squares":
            distance = tf.reduce_sum(tf.square(difference), axis=-1)
        else:
            distance = tf.reduce_mean(tf.abs(difference), axis=-1)
        return distance, self.view.distance(real, fake)
