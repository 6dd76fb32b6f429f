"""Training: epochs with a validation part, the best state kept, early stopping, and a checkpoint after each epoch."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ganomaly.backbone_weights import BACKBONE_STRIDE
from ganomaly.checkpoint import load_checkpoint, save_checkpoint
from ganomaly.config import Config
from ganomaly.detector import Detector
from ganomaly.gan import GANomaly
from ganomaly.member import latent_distance
from ganomaly.memory import begin
from ganomaly.room import Picked, Room
from ganomaly.scales import coarser
from ganomaly.shapes import side_at
from ganomaly.view import WHAT, FeatureView, Seen, view_for
from oddlot.errors import TrainingError

EPOCHS_AT_LEAST, EPOCHS_AT_MOST = 15, 200
HARDNESS = 10
"""Power of its mean absolute difference with which a place is drawn."""
PATIENCE_SHARE = 0.25
"""Share of all updates without a better validation loss after which training stops early."""


@dataclass(frozen=True)
class EpochReport:
    """One epoch: its number from 1, how many there may be, and all losses by name (validation: `val_...`)."""

    epoch: int
    epochs: int
    losses: dict[str, float]


@dataclass(frozen=True)
class Trained:
    """The best state of a training, its losses epoch by epoch, and why it ended."""

    detector: Detector
    history: list[dict[str, float]]
    best_epoch: int
    stopped: str


def remembering(config: Config, pictures: int, inside: np.ndarray | None) -> Config:
    """With memories of at most half of all places that count of so many pictures: the rest is to be learnt from."""

    def half(scale: int) -> int:
        if inside is None:
            return pictures * side_at(config.size // BACKBONE_STRIDE, scale) ** 2 // 2
        _, share = coarser(tf.zeros((*inside.shape, 1)), tf.cast(inside, tf.float32), scale)
        return int(np.count_nonzero(share)) // 2

    return replace(
        config, memory=tuple(min(most, max(1, half(scale))) for scale, most in enumerate(config.memory))
    )  # fmt: skip


def train(
    pictures: np.ndarray | Picked, validation: np.ndarray | Picked, config: Config, *,
    seed: int, epochs: int | None = None,
    minutes: float | None = None, checkpoint: Path | None = None, fingerprint: str = "",
    on_epoch: Callable[[EpochReport], None] | None = None,
    inside: np.ndarray | None = None, inside_validation: np.ndarray | None = None, room: Room | None = None,
) -> Trained:  # fmt: skip
    """Train on `pictures`, judge on `validation`: (n, size, size, channels), uint8 or float32 in 0..255.

    The best state is the one with the smallest contextual plus encoder loss on the validation part: the adversarial
    loss is measured by a discriminator that moves, so its values at two epochs cannot be compared. With `checkpoint`,
    a training that was killed goes on after its last finished epoch, if `fingerprint` is the same. Raises
    TrainingError where a loss stops being a number.

    With `features` there is a generator for each scale; losses are means over these, and the best epoch is that of all
    together. Nothing is learnt from places of the maps that are not `inside` (n, side, side) bool, nor judged by those
    of the validation part that are not `inside_validation`; None: all are. What is computed once for all epochs stands
    in `room`, None: in memory.
    """
    room = room or Room()
    keras.utils.set_random_seed(seed)
    config = remembering(config, len(pictures), inside)
    models = [GANomaly(config, seed, scale) for scale in range(config.scales)]
    view = view_for(config)
    shown: list[Any] = [pictures]
    held_out: list[Any] = [validation]
    seen: list[Seen] = []
    if isinstance(view, FeatureView):  # frozen: seen once, for all epochs
        shown = [one.maps for one in view.fit_standard(pictures, inside, room)]
        seen = view.see_all(validation, inside_validation, room)
        held_out = [one.maps for one in seen]
        for model, maps, others in zip(models, shown, held_out, strict=True):
            begin(model, maps, others, seed)
    batch = min(config.batch_size, max(4, len(pictures) // 8))
    steps = math.ceil(len(pictures) / batch)
    at_least = 1 if config.memory else EPOCHS_AT_LEAST
    total = epochs or min(EPOCHS_AT_MOST, max(at_least, math.ceil(config.steps / steps)))
    patience = max(5, math.ceil(PATIENCE_SHARE * config.steps / steps))
    state = _State(models)
    if checkpoint is not None:
        load_checkpoint(checkpoint, fingerprint, state)
    scales = [_Scale(*parts, room) for parts in zip(models, shown, held_out, strict=True)]
    deadline = math.inf if minutes is None else time.monotonic() + 60 * minutes - state.seconds
    stopped = f"all {total} epochs done"
    while len(state.history) < total:
        epoch = len(state.history) + 1
        if epoch - 1 - state.best_epoch >= patience and epochs is None:
            stopped = f"no better for {patience} epochs"
            break
        if time.monotonic() > deadline and state.history:
            stopped = f"{minutes:g} minutes are over"
            break
        began = time.monotonic()
        by_scale = [scale.epoch(steps, batch, seed, epoch) for scale in scales]
        losses = {name: float(np.mean([one[name] for one in by_scale])) for name in by_scale[0]}
        if not all(math.isfinite(value) for value in losses.values()):
            raise TrainingError(f"training failed in epoch {epoch}: a loss is not a number; try another --seed")
        state.add(losses, _judgement(losses, config), time.monotonic() - began)
        if checkpoint is not None:
            save_checkpoint(checkpoint, fingerprint, state)
        if on_epoch is not None:
            on_epoch(EpochReport(epoch, total, losses))
    state.restore_best()
    if isinstance(view, FeatureView):
        usual = [scale.distances(view, batch) for scale in scales]
        view.fit_usual(seen, *zip(*usual, strict=True))
    return Trained(Detector.from_models(*models, view=view), state.history, state.best_epoch, stopped)


class _Scale:
    """The generator of one scale, what it is shown, and what is held out."""

    def __init__(self, model: GANomaly, shown: Any, held_out: Any, room: Room) -> None:
        self._model, self._shown, self._held_out = model, shown, held_out
        # The chance of each place to be drawn, which changes with every epoch.
        places = math.prod(shown.shape[:3]) if model.config.memory else 0
        self._chance = room.array(WHAT, (places,), np.float64)
        self._step = tf.function(model.train_step, reduce_retracing=True)
        self._judge = tf.function(model.test_step, reduce_retracing=True)
        self._badness = tf.function(
            lambda seen: tf.reduce_mean(tf.abs(seen - model(seen)[1]), axis=3), reduce_retracing=True
        )

    def epoch(self, steps: int, batch: int, seed: int, epoch: int) -> dict[str, float]:
        """So many updates; the mean losses, and those of what is held out as `val_...`."""
        losses = self.learn(self.batches(steps, batch, seed, epoch))
        judged = _mean_losses(self._judge, _in_order(self._held_out, batch))
        return losses | {f"val_{name}": value for name, value in judged.items()}

    def batches(self, steps: int, batch: int, seed: int, epoch: int) -> Iterator[tf.Tensor]:
        """What is learnt from in an epoch, made one by one as it is asked for."""
        if self._model.config.memory:
            return _hard_places(self._badness, self._shown, steps, batch, seed, epoch, self._chance)
        return _shuffled(self._shown, batch, seed, epoch)

    def learn(self, batches: Iterator[tf.Tensor]) -> dict[str, float]:
        """An update for each batch; the mean losses."""
        return _mean_losses(self._step, batches)

    def distances(self, view: FeatureView, batch: int) -> tuple[np.ndarray, np.ndarray]:
        """Of what is held out: the latents' distance and the residual, (n, side, side) each."""
        latents, residuals = [], []
        for seen in _in_order(self._held_out, batch):
            latent, fake, latent_of_fake = self._model(seen)
            latents.append(latent_distance(latent - latent_of_fake, self._model.config))
            residuals.append(view.distance(seen, fake))
        return np.concatenate(latents), np.concatenate(residuals)


def _judgement(losses: dict[str, float], config: Config) -> float:
    return config.weight_contextual * losses["val_contextual"] + config.weight_encoder * losses["val_encoder"]


def _hard_places(
    badness: Callable[[tf.Tensor], tf.Tensor], maps: np.ndarray, steps: int, batch: int, seed: int, epoch: int,
    chance: np.ndarray,
) -> Iterator[tf.Tensor]:  # fmt: skip
    """Places of the maps (n, side, side, channels), drawn with a chance that grows with how badly each is given back
    now, and put together as `steps` batches of maps. The score of a picture is its worst place: what matters is that no
    good place is bad (after Shrivastava et al.: Online Hard Example Mining, CVPR 2016). Writes over `chance` float64,
    one number for each place."""
    filled = 0
    for part in _in_order(maps, batch):
        bad = np.ravel(badness(part))
        chance[filled : filled + len(bad)] = bad
        filled += len(bad)
    # In place: of 100,000 pictures each such array is 200 MB.
    np.divide(chance, max(chance.max(), 1e-12), out=chance)
    np.power(chance, HARDNESS, out=chance)
    np.cumsum(np.add(chance, 1e-6, out=chance), out=chance)
    places, shape = maps.reshape(-1, maps.shape[-1]), (batch, *maps.shape[1:])
    rng = np.random.default_rng([seed, 2, epoch])
    for _ in range(steps):
        drawn = np.searchsorted(chance, rng.random(math.prod(shape[:3])) * chance[-1], side="right")
        yield tf.convert_to_tensor(places[np.minimum(drawn, len(places) - 1)].reshape(shape))


def _shuffled(pictures: np.ndarray | Picked, batch: int, seed: int, epoch: int) -> Iterator[tf.Tensor]:
    """All pictures in an order that follows from seed and epoch; the last batch is filled up from the first."""
    order = np.random.default_rng([seed, 2, epoch]).permutation(len(pictures))
    order = np.resize(order, math.ceil(len(order) / batch) * batch)
    for start in range(0, len(order), batch):
        yield tf.convert_to_tensor(pictures[np.sort(order[start : start + batch])])


def _in_order(pictures: np.ndarray | Picked, batch: int) -> Iterator[tf.Tensor]:
    for start in range(0, len(pictures), batch):
        yield tf.convert_to_tensor(pictures[start : start + batch])


def _mean_losses(
    step: Callable[[tf.Tensor], dict[str, tf.Tensor]], batches: Iterator[tf.Tensor]
) -> dict[str, float]:  # fmt: skip
    """The mean of each loss over all pictures: a short last batch counts for as many as it has."""
    collected: dict[str, list[float]] = {}
    counts = []
    for batch in batches:
        counts.append(len(batch))
        for name, value in step(batch).items():
            collected.setdefault(name, []).append(float(value))
    return {name: float(np.average(values, weights=counts)) for name, values in collected.items()}


class _State:
    """All that a training is: weights, optimisers, history, and the best weights so far."""

    def __init__(self, models: list[GANomaly]) -> None:
        self._models = models
        self.history: list[dict[str, float]] = []
        self.best_epoch = 0
        self.best_value = math.inf
        self.seconds = 0.0
        self._best = [variable.numpy() for variable in self._networks()]

    def add(self, losses: dict[str, float], value: float, seconds: float) -> None:
        self.history.append(losses)
        self.seconds += seconds
        if value < self.best_value:
            self.best_value, self.best_epoch = value, len(self.history)
            self._best = [variable.numpy() for variable in self._networks()]

    def restore_best(self) -> None:
        for variable, value in zip(self._networks(), self._best, strict=True):
            variable.assign(value)

    def _networks(self) -> list[keras.Variable]:
        return [variable for model in self._models for variable in model.variables]

    def _variables(self) -> list[keras.Variable]:
        optimisers = [
            part for model in self._models for part in (model.generator_optimizer, model.discriminator_optimizer)
        ]
        return [*self._networks(), *(variable for optimiser in optimisers for variable in optimiser.variables)]

    def arrays(self) -> dict[str, np.ndarray]:
        now = {f"now/{i:04}": np.asarray(v.numpy()) for i, v in enumerate(self._variables())}
        return now | {f"best/{i:04}": value for i, value in enumerate(self._best)}

    def set_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        # All are looked at before the first is taken: a network that is half another one must not be trained on.
        expected = {name: (array.shape, array.dtype) for name, array in self.arrays().items()}
        if {name: (array.shape, array.dtype) for name, array in arrays.items()} != expected:
            raise ValueError("the arrays are not those of this network and its optimisers")
        for i, variable in enumerate(self._variables()):
            variable.assign(arrays[f"now/{i:04}"])
        self._best = [arrays[f"best/{i:04}"] for i in range(len(self._best))]
