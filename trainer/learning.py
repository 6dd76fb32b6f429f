"""The networks of a fit: one, or one for each fold, and how the pictures score that they did not learn from."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from oddlot.words import Runtime
from trainer.look import Look
from trainer.quality import scores_of
from trainer.splitting import Split
from trainer.tiles import MOST_TO_JUDGE, MOST_TO_LEARN, choose_tiles, count_tiles, places_inside
from trainer.training_set import TrainingSet

if TYPE_CHECKING:
    from ganomaly.room import Room
    from ganomaly.scoring import Scorer, Scores
    from ganomaly.training import EpochReport, Trained


MOST_TO_MEASURE = 64
"""Pictures from which 8-bit arithmetic learns how large its values are."""


class Progress(Protocol):
    """Told how a fit goes on; any of these may be slow without changing the result."""

    def say(self, text: str) -> None: ...
    def reading(self, done: int, total: int) -> None: ...
    def epoch(self, report: "EpochReport") -> None: ...


@dataclass(frozen=True)
class Scoring:
    """How a trained network is to score: its arithmetic, the library that runs it, and with how many threads."""

    precision: str = "float32"
    runtime: Runtime = Runtime.AUTO
    threads: int = 1


@dataclass(frozen=True)
class Learnt:
    """The detector of all networks; the numbers of the pictures that calibrate, and their scores by the network that
    did not see them; and what is told of each training."""

    detector: "Scorer"
    calibration: np.ndarray
    scores: "Scores"
    trainings: list[dict[str, Any]]


def learn(
    good: TrainingSet, parts: list[Split], look: Look, scratch: Path, progress: Progress, room: "Room", *, seed: int,
    epochs: int | None, minutes: float | None, scoring: Scoring = Scoring(),
) -> Learnt:  # fmt: skip
    """Train on every split of the good pictures. `epochs` are those of each network, `minutes` those of all together;
    a state of each is kept in `scratch`, and what is computed once in `room`. Raises TrainingError where a training
    goes wrong."""
    from ganomaly.runtime import joined, ready_to_score
    from ganomaly.scoring import Scores
    from ganomaly.shapes import seen_shape
    from ganomaly.training import remembering, train

    mask = look.preprocessing.mask
    counts = [count_tiles(len(part.train), look.layout, mask, MOST_TO_LEARN) for part in parts]
    if not look.layout.whole:
        progress.say(f"learning from {min(counts)} tiles of them")
    side = seen_shape(look.config)[0]

    def inside(pictures: np.ndarray, most: int) -> np.ndarray | None:
        return places_inside(len(pictures), look.layout, mask, side, most=most, seed=seed)

    # Networks of folds share one memory, so that many cost no more than one, and are all built alike.
    share = replace(look.config, memory=tuple(max(1, places // len(parts)) for places in look.config.memory))
    memories = [
        remembering(share, count, inside(part.train, MOST_TO_LEARN)).memory
        for part, count in zip(parts, counts, strict=True)
    ]
    config = replace(share, memory=tuple(min(places) for places in zip(*memories, strict=True)))
    scorers: list[Scorer] = []
    scores: list[Scores] = []
    trainings: list[dict[str, Any]] = []
    for fold, part in enumerate(parts):
        learnt, judged = (
            choose_tiles(good.pixels, chosen, look.layout, mask, most=most, seed=seed, room=room)
            for chosen, most in ((part.train, MOST_TO_LEARN), (part.validation, MOST_TO_JUDGE))
        )
        trained = train(
            learnt, judged, config,
            seed=seed, epochs=epochs, minutes=None if minutes is None else minutes / len(parts),
            checkpoint=scratch / f"checkpoint-{fold}.npz",
            fingerprint=f"{good.fingerprint} {json.dumps(config.to_dict(), sort_keys=True)} {seed} "
            f"{part.fingerprint} {json.dumps(look.preprocessing.to_dict(), sort_keys=True)}",
            on_epoch=_InAll(progress, fold, len(parts)).epoch,
            inside=inside(part.train, MOST_TO_LEARN), inside_validation=inside(part.validation, MOST_TO_JUDGE),
            room=room,
        )  # fmt: skip
        if mask is not None:
            trained.detector.look_at(mask)
        few = good.pixels[np.sort(part.train)[:: max(1, len(part.train) // MOST_TO_MEASURE)][:MOST_TO_MEASURE]]
        first = scorers[0] if scorers else None
        scorers.append(
            ready_to_score(trained.detector, scoring.precision, few, scoring.runtime, scoring.threads, first)
        )
        scores.append(scores_of(scorers[-1], good.pixels, part.calibration, look.preprocessing))
        trainings.append(_told(trained))
    together = joined(scorers, scoring.threads)
    return Learnt(together, np.concatenate([part.calibration for part in parts]), Scores.together(scores), trainings)


def _told(trained: "Trained") -> dict[str, Any]:
    return {
        "epochs": len(trained.history),
        "best_epoch": trained.best_epoch,
        "stopped": trained.stopped,
        "history": trained.history,
    }


class _InAll:
    """Epochs of one fold as those of all folds together."""

    def __init__(self, progress: Progress, fold: int, folds: int) -> None:
        self._progress, self._fold, self._folds = progress, fold, folds

    def epoch(self, report: "EpochReport") -> None:
        before = self._fold * report.epochs
        self._progress.epoch(replace(report, epoch=before + report.epoch, epochs=self._folds * report.epochs))
