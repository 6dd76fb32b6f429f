"""Which network, and how it is trained: plain frozen values that travel in the bundle."""

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from ganomaly.precision import FLOAT32, PRECISIONS
from oddlot.errors import BundleError, TrainingError

SIZE_STEP = 16
SIZES = {"paper": (32, 256, 64), "article": (32, 256, 64), "features": (128, 512, 256)}
"""Smallest, largest and usual size in pixels of each architecture."""
WIDEST = {"paper": 64, "article": 32, "features": 256}
"""Filters next to the picture, at most: others double with each halving, and a network is built before its weights
are compared."""
LONGEST_LATENT = 1024
MOST_REMEMBERED = 65_536
MOST_SCALES = 4
SCORES = ("latent", "residual")
MOST_TILES = 8
"""Tiles that a picture is cut into, at most, in a row or in a column."""
MOST_FOLDS = 20
"""Networks of one model, at most."""


@dataclass(frozen=True)
class Config:
    """GANomaly's configuration.

    `size` in pixels and `channels` (1 or 3) are those of the pictures; `latent` is the length of z; `width` the
    number of filters next to the picture. `score` says what the raw score is: "latent", the paper's, the distance of
    the two latents, where `score_norm` is "l1" for the mean of absolute differences or "squares" for the sum of squared
    ones; or "residual", the largest difference between picture and reconstruction at any place. `noise` is the standard
    deviation of what is added to what the encoder sees in training, while the target stays clean, so that a defect is
    not just copied through; `steps` the updates after which training ends where nobody says otherwise.

    In the architecture "features" the picture of the networks is the standardised feature map of the backbone, and the
    latent is a map, too: `latent` channels at every place. `memory` has one number for each scale of the map
    (`ganomaly.scales`), the finest first: so many places the decoder of that scale remembers.

    `rows` and `columns` are those of the overlapping tiles (`ganomaly.tiling`) that pictures are cut into; the networks
    see a tile, of `size` pixels a side.

    `folds` is how many such networks there are: 1, or one for each fold of the good pictures, learnt without it.

    `precision` is the arithmetic in which they score, and in which the model was calibrated; they learn in float32.
    """

    architecture: str
    size: int
    channels: int
    latent: int
    width: int
    weight_adversarial: float
    weight_contextual: float
    weight_encoder: float
    learning_rate: float
    beta_1: float
    batch_size: int
    score_norm: str
    score: str = "latent"
    noise: float = 0.0
    steps: int = 800
    memory: tuple[int, ...] = ()
    rows: int = 1
    columns: int = 1
    folds: int = 1
    precision: str = FLOAT32

    @property
    def scales(self) -> int:
        """Scales of the map, and generators of a network, one for each."""
        return max(1, len(self.memory))

    def to_dict(self) -> dict[str, Any]:
        values = asdict(self) | {"memory": list(self.memory)}
        if self.precision == FLOAT32:  # as it was before there was another
            del values["precision"]
        return values

    @classmethod
    def from_dict(cls, values: Any) -> "Config":
        """Raises BundleError where a key is missing or unknown or a value cannot be."""
        if isinstance(values, dict):
            values = {"precision": FLOAT32} | values
        types = {field.name: list if field.name == "memory" else field.type for field in fields(cls)}
        if not isinstance(values, dict) or set(values) != set(types):
            raise BundleError("network.json does not have the keys of a network")
        if (
            any(type(values[name]) is not kind for name, kind in types.items())
            or any(type(places) is not int for places in values["memory"])
        ):  # fmt: skip
            raise BundleError("network.json holds a value of the wrong type")
        config = cls(**(values | {"memory": tuple(values["memory"])}))
        try:
            check_size(config.size, config.architecture)
        except TrainingError as error:
            raise BundleError(f"network.json: {error}") from error
        if (
            config.channels not in (1, 3) or not 0 <= config.noise <= 10 or not 1 <= config.steps <= 10**6
            or not 1 <= config.latent <= LONGEST_LATENT or not 1 <= config.width <= WIDEST[config.architecture]
            or (config.architecture == "features") != bool(config.memory) or len(config.memory) > MOST_SCALES
            or any(not 1 <= places <= MOST_REMEMBERED for places in config.memory)
            or config.score_norm not in ("l1", "squares") or config.score not in SCORES
            or not 1 <= config.rows <= MOST_TILES or not 1 <= config.columns <= MOST_TILES
            or not 1 <= config.folds <= MOST_FOLDS or config.precision not in PRECISIONS
        ):  # fmt: skip
            raise BundleError("network.json describes a network that this program does not have")
        return config


def paper(size: int, channels: int) -> Config:
    """The network, losses and optimiser of Akcay, Atapour-Abarghouei, Breckon (ACCV 2018)."""
    return Config(
        architecture="paper", size=size, channels=channels, latent=100, width=64,
        weight_adversarial=1.0, weight_contextual=50.0, weight_encoder=1.0,
        learning_rate=2e-4, beta_1=0.5, batch_size=64, score_norm="l1",
    )  # fmt: skip


def article(size: int, channels: int) -> Config:
    """The smaller network of the article that the project comes from, with its weights 20, 1, 1."""
    return Config(
        architecture="article", size=size, channels=channels, latent=128, width=32,
        weight_adversarial=1.0, weight_contextual=20.0, weight_encoder=1.0,
        learning_rate=2e-4, beta_1=0.5, batch_size=32, score_norm="squares",
    )  # fmt: skip


def features(size: int, channels: int) -> Config:
    """GANomaly on the features of a frozen backbone (docs/detector.md), at all scales with several windows a side."""
    return Config(
        architecture="features", size=size, channels=channels, latent=64, width=256,
        weight_adversarial=1.0, weight_contextual=5.0, weight_encoder=0.1,
        learning_rate=1e-4, beta_1=0.5, batch_size=8, score_norm="l1", score="residual", noise=0.5, steps=300,
        memory=tuple(6000 for scale in range(MOST_SCALES) if size // SIZE_STEP > 2**scale),
    )  # fmt: skip


def config_for(architecture: str, size: int | None, channels: int, score: str | None = None) -> Config:
    """The configuration called `architecture`, with that size and score, or with those that are usual for it.

    Raises TrainingError for one that is not there or a wrong size.
    """
    _, _, usual = _sizes(architecture)
    size = usual if size is None else size
    check_size(size, architecture)
    config = {"paper": paper, "article": article, "features": features}[architecture](size, channels)
    if score is None:
        return config
    if score not in SCORES:
        raise TrainingError(f"there is no score {score!r}: choose one of {', '.join(SCORES)}")
    return replace(config, score=score)


def check_size(size: int, architecture: str) -> None:
    """Raises TrainingError unless the architecture is there and takes pictures of that size."""
    smallest, largest, _ = _sizes(architecture)
    if not smallest <= size <= largest or size % SIZE_STEP:
        raise TrainingError(
            f"a size of {size} pixels cannot be used with {architecture!r}: choose a multiple of {SIZE_STEP} "
            f"from {smallest} to {largest}"
        )


def _sizes(architecture: str) -> tuple[int, int, int]:
    if architecture not in SIZES:
        raise TrainingError(f"there is no architecture {architecture!r}: choose one of {', '.join(SIZES)}")
    return SIZES[architecture]
