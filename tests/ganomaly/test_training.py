"""Training: who learns from which loss, what is kept, when it stops, and how it goes on after a kill."""

import hashlib
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from ganomaly import checkpoint, gan, training
from ganomaly.config import article, paper
from ganomaly.gan import GANomaly
from oddlot.errors import TrainingError

SMALL = replace(paper(32, 1), width=8, latent=12, batch_size=16)


@pytest.fixture(scope="module")
def good() -> np.ndarray:
    """Soft blobs at random places: something that can be learnt in a few steps."""
    rng = np.random.default_rng(0)
    places = np.arange(32)
    centres = rng.uniform(10, 22, (60, 2))
    across = np.exp(-((places - centres[:, :1]) ** 2) / 30)
    down = np.exp(-((places - centres[:, 1:]) ** 2) / 30)
    return (255 * down[:, :, None] * across[:, None, :]).astype(np.uint8)[..., None]


def values(variables) -> list[str]:
    """A short hash of each variable: what a failing test can show."""
    return [hashlib.sha256(variable.numpy().tobytes()).hexdigest()[:8] for variable in variables]


def all_changed(before: list[str], after: list[str]) -> bool:
    return all(a != b for a, b in zip(before, after, strict=True))


def one_step(good, config=SMALL, generator_rate=2e-4, discriminator_rate=2e-4) -> tuple[GANomaly, dict]:
    model = GANomaly(config, seed=1)
    model.generator_optimizer.learning_rate = generator_rate
    model.discriminator_optimizer.learning_rate = discriminator_rate
    return model, model.train_step(good[:16])


@pytest.mark.parametrize("config", [SMALL, replace(article(32, 1), batch_size=16)], ids=["paper", "article"])
def test_each_optimiser_moves_its_own_networks_alone(good, config) -> None:
    fresh = GANomaly(config, seed=1)
    generator, discriminator = values(fresh.generator_variables), values(fresh.discriminator.trainable_variables)

    model, _ = one_step(good, config, generator_rate=0.0)
    assert generator == values(model.generator_variables)
    assert discriminator != values(model.discriminator.trainable_variables)

    model, _ = one_step(good, config, discriminator_rate=0.0)
    assert discriminator == values(model.discriminator.trainable_variables)
    assert generator != values(model.generator_variables)


def test_the_discriminator_learns_from_its_own_loss_alone(good) -> None:
    usual, _ = one_step(good)
    other, _ = one_step(good, replace(SMALL, weight_adversarial=9.0, weight_contextual=2.0, weight_encoder=5.0))
    assert values(usual.discriminator.variables) == values(other.discriminator.variables)
    assert values(usual.generator_variables) != values(other.generator_variables)


def test_the_generator_learns_from_its_own_loss_alone(good) -> None:
    usual, _ = one_step(good)
    other, _ = one_step(good, discriminator_rate=0.0)
    assert values(usual.generator_variables) == values(other.generator_variables)


@pytest.mark.parametrize(
    ("part", "moved"),
    [("adversarial", (True, True, False)), ("contextual", (True, True, False)), ("encoder", (True, True, True))],
)
def test_which_network_learns_from_which_part(good, part: str, moved: tuple[bool, ...]) -> None:
    weights = {f"weight_{name}": float(name == part) for name in ("adversarial", "contextual", "encoder")}
    config = replace(SMALL, **weights)
    fresh, (model, _) = GANomaly(config, seed=1), one_step(good, config)
    for name, expected in zip(("encoder", "decoder", "second_encoder"), moved, strict=True):
        before = values(getattr(fresh, name).trainable_variables)
        after = values(getattr(model, name).trainable_variables)
        assert all_changed(before, after) if expected else before == after


def test_a_step_reports_the_losses_that_it_took(good) -> None:
    config = replace(SMALL, weight_adversarial=3.0)
    fresh, (_, reported) = GANomaly(config, seed=1), one_step(good, config)
    real = good[:16].astype(np.float32) / 127.5 - 1
    latent, fake, latent_of_fake = (np.asarray(tensor) for tensor in fresh(good[:16], training=True))
    real_features, real_logits = (np.asarray(tensor) for tensor in fresh.discriminator(real, training=True))
    fake_features, fake_logits = (np.asarray(tensor) for tensor in fresh.discriminator(fake, training=True))
    expected = {
        "adversarial": np.mean((real_features - fake_features) ** 2),
        "contextual": np.mean(np.abs(real - fake)),
        "encoder": np.mean((latent - latent_of_fake) ** 2),
        "discriminator": (np.mean(np.log1p(np.exp(-real_logits))) + np.mean(np.log1p(np.exp(fake_logits)))) / 2,
    }
    expected["generator"] = 3 * expected["adversarial"] + 50 * expected["contextual"] + expected["encoder"]
    assert {name: float(value) for name, value in reported.items()} == pytest.approx(expected, rel=1e-4)


def test_a_step_moves_the_statistics_of_all_norms_and_judging_moves_nothing(good) -> None:
    fresh, (model, _) = GANomaly(SMALL, seed=1), one_step(good, generator_rate=0.0, discriminator_rate=0.0)
    for name in ("encoder", "decoder", "second_encoder", "discriminator"):
        before = values(getattr(fresh, name).non_trainable_variables)
        after = values(getattr(model, name).non_trainable_variables)
        assert len(before) >= 4
        assert all_changed(before, after)
    before = values(model.variables)
    model.test_step(good[:16])
    model(good[:16])
    assert before == values(model.variables)


def test_a_discriminator_that_has_won_begins_again(good, monkeypatch) -> None:
    fresh = values(GANomaly(SMALL, seed=1).discriminator.variables)
    assert fresh != values(one_step(good)[0].discriminator.variables)
    monkeypatch.setattr(gan, "COLLAPSED", 1e9)
    assert fresh == values(one_step(good)[0].discriminator.variables)


def run(good, **options) -> training.Trained:
    return training.train(good[:40], good[40:], SMALL, **{"seed": 3, "epochs": 4, **options})


@pytest.fixture(scope="module")
def uninterrupted(good) -> training.Trained:
    return run(good)


def assert_equal(one: training.Trained, other: training.Trained) -> None:
    assert one.best_epoch == other.best_epoch
    assert len(one.history) == len(other.history)
    for before, after in zip(one.history, other.history, strict=True):
        assert before == pytest.approx(after, rel=1e-5)
    weights = other.detector.weights()
    for name, array in one.detector.weights().items():
        np.testing.assert_allclose(array, weights[name], rtol=1e-5, atol=1e-7, err_msg=name)


def test_it_learns_and_reports_every_epoch(good, uninterrupted) -> None:
    first, last = uninterrupted.history[0], uninterrupted.history[-1]
    assert last["contextual"] < first["contextual"]
    assert last["val_contextual"] < first["val_contextual"]
    assert set(first) == {
        "adversarial", "contextual", "encoder", "generator", "discriminator",
        "val_adversarial", "val_contextual", "val_encoder", "val_generator",
    }  # fmt: skip
    assert uninterrupted.stopped == "all 4 epochs done"


def test_the_same_seed_gives_the_same_network_and_another_one_another(good, uninterrupted) -> None:
    assert_equal(uninterrupted, run(good))
    other = run(good, seed=4, epochs=1)
    assert other.history[0]["contextual"] != pytest.approx(uninterrupted.history[0]["contextual"], rel=1e-5)


def test_the_state_with_the_best_judgement_is_kept(good, monkeypatch) -> None:
    judgements = iter([5.0, 2.0, 1.0, 3.0])
    monkeypatch.setattr(training, "_judgement", lambda losses, config: next(judgements))
    kept = run(good)
    judgements = iter([5.0, 2.0, 1.0])
    three = run(good, epochs=3)
    assert (kept.best_epoch, len(kept.history), three.best_epoch) == (3, 4, 3)
    assert_equal(replace(kept, history=[]), replace(three, history=[]))


def test_the_judgement_is_the_generators_loss_without_the_moving_discriminator() -> None:
    losses = {"val_contextual": 0.5, "val_encoder": 0.25, "val_adversarial": 1e9, "contextual": 7.0, "encoder": 7.0}
    assert training._judgement(losses, paper(32, 1)) == 25.25
    assert training._judgement(losses, article(32, 1)) == 10.25


def test_every_validation_picture_counts_once(good) -> None:
    halves = training._mean_losses(lambda x: {"mean": np.mean(x)}, training._in_order(good, 16))
    assert halves["mean"] == pytest.approx(good.mean())


def test_every_epoch_shows_every_picture_in_an_order_of_its_own(good) -> None:
    numbers = np.arange(40)

    def order(seed: int, epoch: int) -> np.ndarray:
        return np.concatenate([batch.numpy() for batch in training._shuffled(numbers, 16, seed, epoch)])

    assert len(order(0, 1)) == 48
    assert set(order(0, 1)) == set(numbers)
    assert np.array_equal(order(0, 1), order(0, 1))
    assert not np.array_equal(order(0, 1), order(0, 2))
    assert not np.array_equal(order(0, 1), order(1, 1))


def test_it_stops_where_nothing_gets_better(good, monkeypatch) -> None:
    judgements = iter([5.0, 4.0, *range(6, 12)])
    monkeypatch.setattr(training, "_judgement", lambda losses, config: float(next(judgements)))
    monkeypatch.setattr(training, "PATIENCE_SHARE", 0.001)
    stopped = run(good, epochs=None)
    assert (stopped.best_epoch, len(stopped.history)) == (2, 7)
    assert stopped.stopped == "no better for 5 epochs"


def test_it_stops_when_its_minutes_are_over_but_not_before_one_epoch(good) -> None:
    stopped = run(good, minutes=1e-9)
    assert len(stopped.history) == 1
    assert "minutes are over" in stopped.stopped


def test_a_loss_that_is_not_a_number_is_one_clear_error(good) -> None:
    with pytest.raises(TrainingError, match=r"^training failed in epoch 1: .* try another --seed$"):
        training.train(np.full((16, 32, 32, 1), np.nan, np.float32), good[40:], SMALL, seed=0, epochs=2)


class KilledError(Exception):
    pass


def kill_after(epoch: int):
    def on_epoch(report: training.EpochReport) -> None:
        if report.epoch == epoch:
            raise KilledError

    return on_epoch


@pytest.fixture(scope="module")
def half_way(good, tmp_path_factory) -> bytes:
    """The checkpoint of a training that was killed after its second epoch, with the fingerprint `parts`."""
    path = tmp_path_factory.mktemp("fit") / "checkpoint.npz"
    with pytest.raises(KilledError):
        run(good, checkpoint=path, fingerprint="parts", on_epoch=kill_after(2))
    assert [file.name for file in path.parent.iterdir()] == ["checkpoint.npz"]
    return path.read_bytes()


@pytest.fixture
def path(half_way, tmp_path):
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(half_way)
    return path


def test_a_training_that_was_killed_goes_on_to_the_same_network(good, path, uninterrupted) -> None:
    epochs = []
    resumed = run(good, checkpoint=path, fingerprint="parts", on_epoch=lambda report: epochs.append(report.epoch))
    assert epochs == [3, 4]
    assert_equal(uninterrupted, resumed)


def test_a_training_that_was_done_is_not_done_again(good, path, uninterrupted) -> None:
    run(good, checkpoint=path, fingerprint="parts")
    again = run(good, checkpoint=path, fingerprint="parts", on_epoch=kill_after(5))
    assert_equal(uninterrupted, again)


class Sink:
    """A state that shows whether anything was taken from a checkpoint."""

    def __init__(self, model: GANomaly) -> None:
        self.state = training._State([model])
        self.before = values(self.state._variables())

    def is_untouched(self) -> bool:
        state = self.state
        empty = (state.history, state.best_epoch, state.seconds) == ([], 0, 0.0)
        return empty and self.before == values(state._variables())


@pytest.fixture
def sink() -> Sink:
    return Sink(GANomaly(SMALL, seed=9))


def test_a_checkpoint_is_taken_up(sink, path) -> None:
    assert checkpoint.load_checkpoint(path, "parts", sink.state)
    assert not sink.is_untouched()
    assert len(sink.state.history) == 2


def test_a_checkpoint_of_other_pictures_is_not_used(sink, path) -> None:
    assert not checkpoint.load_checkpoint(path, "other parts", sink.state)
    assert sink.is_untouched()


def test_a_checkpoint_of_another_network_is_not_used(path) -> None:
    for config in (replace(SMALL, latent=13), article(32, 1), replace(SMALL, channels=3)):
        sink = Sink(GANomaly(config, seed=9))
        assert not checkpoint.load_checkpoint(path, "parts", sink.state)
        assert sink.is_untouched()


def damages(intact: bytes, tmp_path) -> dict[str, bytes]:
    flipped = bytearray(intact)
    flipped[len(intact) // 2] ^= 0x10
    foreign, about_only, wrong_about = (tmp_path / name for name in ("foreign.npz", "about.npz", "wrong.npz"))
    np.savez(foreign, picture=np.zeros(3))
    with zipfile.ZipFile(about_only, "w") as archive:
        archive.writestr("about", json.dumps({"fingerprint": "parts"}))
    np.savez(wrong_about, about=np.frombuffer(b"[1, 2", np.uint8))
    return {
        "empty": b"", "garbage": bytes(range(256)) * 40, "text": b"{}", "cut": intact[: len(intact) // 2],
        "without its end": intact[:-30], "without its beginning": intact[1000:], "a flipped bit": bytes(flipped),
        "zeros in it": intact[:5000] + bytes(4096) + intact[9096:], "a foreign .npz": foreign.read_bytes(),
        "not an array": about_only.read_bytes(), "no JSON": wrong_about.read_bytes(),
    }  # fmt: skip


def test_a_damaged_checkpoint_is_not_used(sink, path, half_way, tmp_path) -> None:
    for name, data in damages(half_way, tmp_path).items():
        path.write_bytes(data)
        assert not checkpoint.load_checkpoint(path, "parts", sink.state), name
        assert sink.is_untouched(), name
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(half_way), 60):
        path.write_bytes(half_way[:place] + bytes([half_way[place] ^ 0xFF]) + half_way[place + 1 :])
        if checkpoint.load_checkpoint(path, "parts", sink.state):  # a byte that nobody reads, such as a date
            sink = Sink(GANomaly(SMALL, seed=9))
        assert sink.is_untouched(), place
    path.unlink()
    assert not checkpoint.load_checkpoint(path, "parts", sink.state)


def test_a_fit_begins_anew_over_a_damaged_checkpoint(good, path, half_way, uninterrupted) -> None:
    path.write_bytes(half_way[: len(half_way) // 2])
    assert_equal(uninterrupted, run(good, checkpoint=path, fingerprint="parts"))
    assert_equal(uninterrupted, run(good, checkpoint=path, fingerprint="parts", on_epoch=kill_after(1)))


@pytest.mark.parametrize("moment", ["fsync", "savez", "rename"])
def test_a_checkpoint_is_written_whole_or_not_at_all(sink, path, half_way, monkeypatch, moment: str) -> None:
    def full(*_, **__) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*{
        "fsync": (checkpoint.os, "fsync"), "savez": (checkpoint.np, "savez"), "rename": (checkpoint.Path, "rename"),
    }[moment], full)  # fmt: skip
    with pytest.raises(TrainingError, match=r"cannot be kept in .*checkpoint\.npz: No space left on device"):
        checkpoint.save_checkpoint(path, "parts", sink.state)
    assert path.read_bytes() == half_way
    assert [file.name for file in path.parent.iterdir()] == ["checkpoint.npz"]
