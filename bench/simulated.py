"""The real commands and workers, in which only the looking at pictures is simulated: for what costs the same with any.

    python -m bench.simulated worker --pool prefork --concurrency 2 ...      as `celery -A worker.app`
    python -m bench.simulated submit NAME FOLDER ...                         as `oddlot`

Reading a file, measuring how it looks and the detector are replaced; messages, claims, leases, the calibration, the
writing of results and the judging of the night are those of the product. `BENCH_BURN` and `BENCH_SLEEP` are seconds
that a picture takes of a core, or merely takes, `BENCH_LOAD` those that the loading of a model takes; with `BENCH_REAL`
nothing is simulated, and each process is given `BENCH_THREADS`. What the parts took is written into the folder
`BENCH_TIMES`.
"""

import json
import os
import sys
import time
import types
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, wraps
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Engine

from db import models
from ganomaly.calibration import Calibration
from ganomaly.scoring import SCORING_BATCH
from oddlot.appearance import APPEARANCE, NEAREST, PLACES, STATISTICS, Reference, sketch
from pictures.preprocessing import Preprocessing

BURN, SLEEP, LOAD = (float(os.environ.get(name, "0")) for name in ("BENCH_BURN", "BENCH_SLEEP", "BENCH_LOAD"))
REAL, TIMES, THREADS = (os.environ.get(name) for name in ("BENCH_REAL", "BENCH_TIMES", "BENCH_THREADS"))
CALIBRATED = 1000


@dataclass(frozen=True)
class Times:
    """One call of a part: when it began, by the clock of the machine, and its seconds on the clock and of a core; of a
    batch those of all threads of its process."""

    what: str
    pid: int
    began: float
    wall: float
    cpu: float
    job: int | None


@dataclass(frozen=True)
class Scores:
    raw: np.ndarray
    parts: dict[str, np.ndarray]
    maps: None = None


@dataclass(frozen=True)
class Picture:
    """What the worker wants to know of a picture that was read."""

    pixels: np.ndarray
    sha256: str
    appearance: None = None
    note: None = None


class Detector:
    """Scores as good pictures have them, by chance."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(os.getpid())
        self.together = SCORING_BATCH
        self.runs_on = "nothing: simulated"

    def score(self, pixels: np.ndarray) -> Scores:
        count = len(pixels)
        if BURN:
            until = time.thread_time() + count * BURN
            while time.thread_time() < until:
                pass
        if SLEEP:
            time.sleep(count * SLEEP)
        raw = self._random.normal(10.0, 1.0, count)
        return Scores(raw, dict.fromkeys(("latent", "contextual", "residual"), raw))


class Company:
    """Figures as good pictures have them, by chance."""

    def __init__(self, card: dict[str, Any]) -> None:
        self._random = np.random.default_rng()

    def figures(self, look: None) -> dict[str, float | None]:
        values = self._random.normal(100.0, 5.0, len(STATISTICS) + 1).tolist()
        return dict(zip((*STATISTICS, NEAREST), values, strict=True))


def register(engine: Engine) -> None:
    """The model `simulated`, of which there is nothing but its row."""
    models.register_model(
        engine, name="simulated", bundle_uri="none", bundle_sha256="0" * 64, architecture="none", threshold=0.5,
        false_alarms=0.01, card=card(),
    )  # fmt: skip


def card() -> dict[str, Any]:
    """Of the model that these are: its nights are compared with it, and not held."""
    usual = sketch(np.random.default_rng(0).normal(100.0, 5.0, CALIBRATED).tolist())
    reference = Reference(CALIBRATED, dict.fromkeys(STATISTICS, usual), (1.0,) * PLACES, 1.0, 0.0, 0.0, 0.5, 0.0)
    return {"pictures": {"calibration": CALIBRATED}, APPEARANCE: reference.to_dict()}


@cache
def _model() -> Any:
    bundle = types.SimpleNamespace(
        detector=Detector(),
        calibration=Calibration.fit(np.random.default_rng(0).normal(10.0, 1.0, CALIBRATED), 0.01),
        card=card(),
    )
    return types.SimpleNamespace(bundle=bundle, preprocessing=Preprocessing(32, 1))


def _kept(_: Path, __: str, sha256: str) -> Any:
    """As `scoring_process.model` keeps them, but that all are the same one."""
    from worker import scoring_process

    models = scoring_process._models
    if sha256 not in models:
        while len(models) >= scoring_process.settings().warm_models:
            models.popitem(last=False)
        models[sha256] = scoring_process._load(Path(), sha256)
    models.move_to_end(sha256)
    return models[sha256]


def _load(_: Path, __: str) -> Any:
    time.sleep(LOAD)
    return _model()


def _read_bytes(path: str, **_: Any) -> tuple[bytes, str]:
    return b"", blake2b(path.encode(), digest_size=32).hexdigest()


def _picture_of(_: bytes, sha256: str, *__: Any, **___: Any) -> Picture:
    return Picture(_PIXELS, sha256)


_PIXELS = np.zeros((1, 1, 1), np.uint8)


@cache
def _stream(_pid: int) -> Any:
    assert TIMES is not None
    return (Path(TIMES) / f"{os.getpid()}.jsonl").open("a", buffering=1)


def timed(module: Any, name: str, what: str, job: Callable[..., int | None] = lambda *_: None) -> None:
    """From now on `module.name` writes down what it takes; `job` finds the job's number in its arguments."""
    if TIMES is None:
        return
    real = getattr(module, name)
    of_a_core = time.process_time if what == "batch" else time.thread_time

    @wraps(real)
    def call(*args: Any, **kwargs: Any) -> Any:
        began, wall, cpu = time.time(), time.perf_counter(), of_a_core()
        found = real(*args, **kwargs)
        ended = "closing" if what == "finish" and found is not None else what
        took = Times(
            ended, os.getpid(), began, time.perf_counter() - wall, of_a_core() - cpu, job(*args)
        )  # fmt: skip
        _stream(os.getpid()).write(json.dumps(took.__dict__) + "\n")
        return found

    setattr(module, name, call)


def read_times(folder: Path) -> list[Times]:
    """All that was written down so far."""
    return [Times(**json.loads(line)) for path in folder.glob("*.jsonl") for line in path.read_text().splitlines()]


def time_parts() -> None:
    """Of what goes on around a detector, simulated or not."""
    from db import batches, listing
    from worker import inspection, publishing, submission

    timed(batches, "claim_batch", "claim", lambda _, job, *__: job)
    timed(batches, "finish_batch", "finish", lambda _, claim, *__: claim.job_id)
    timed(inspection, "beat", "sign of life")
    timed(publishing, "publish_due", "publish")
    timed(submission, "_next_chunk", "list")
    timed(listing, "add_items", "store", lambda _, job, *__: job)
    timed(listing, "close_listing", "close the listing", lambda _, job, *__: job)


def simulate() -> None:
    """Put the stand-ins in place, in this process and in those that it forks."""
    from worker import inspection, reading_ahead, scoring_process

    scoring_process.model = _kept
    scoring_process._load = _load
    reading_ahead.read_bytes = _read_bytes
    reading_ahead.picture_of = _picture_of  # type: ignore[assignment]
    inspection.Company = Company  # type: ignore[misc,assignment]


def give_threads(count: int) -> None:
    """So many to each process, whatever its share of the cores."""
    from worker import scoring_process

    real = scoring_process._load

    def load(*args: Any) -> Any:
        scoring_process.threads = count
        return real(*args)

    scoring_process._load = load


def main() -> None:
    time_parts()
    if sys.argv[1] != "worker":
        from cli.main import main as command

        command()
        return
    import worker.tasks  # noqa: F401
    from worker.app import app

    if not REAL:
        simulate()
    elif THREADS:
        give_threads(int(THREADS))
    timed(sys.modules["worker.scoring_process"], "_load", "load")
    timed(sys.modules["worker.inspection"], "inspect_batch", "batch", lambda *args: args[2])
    app.start(sys.argv[1:])


if __name__ == "__main__":
    main()
