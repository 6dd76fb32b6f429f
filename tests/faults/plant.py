"""A small plant for breaking things: real workers, a real queue and database, thousands of tiny pictures.

Everything that Oddlot starts here carries ODDLOT_HOME in its environment, and is found and killed by it.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polling
import redis
from machine import Process, is_broker, kill, processes
from PIL import Image
from servers import Postgres, Server
from sqlalchemy import Engine, func, select, update

from db import jobs, models
from db.engine import now, open_database, reading, writing
from db.jobs import JobRow
from db.results import ResultFilter, iter_results
from db.schema import batch, item, job, result
from oddlot.queue import redis_url
from oddlot.settings import Settings, load_settings
from oddlot.words import OPEN_BATCH_STATES, TERMINAL_ITEM_STATES, BatchState, ItemState, JobState
from worker import publishing
from worker.submission import Submission, submit

DEADLINE = 240.0
SIDE = 32
Results = dict[str, tuple[str, float | None, bool | None, str | None]]
"""By file name: state, raw score, flagged, error."""


eventually = partial(polling.eventually, seconds=DEADLINE)


def draw_pictures(folder: Path, count: int, unreadable: int) -> None:
    """Tiny pictures of different content, and files among them that are no pictures or are cut off."""
    folder.mkdir()
    pixels = np.random.default_rng(7).integers(0, 256, (count - unreadable, SIDE, SIDE), dtype=np.uint8)
    for i, picture in enumerate(pixels):
        Image.fromarray(picture).save(folder / f"{i:05}.png", compress_level=0)
    whole = (folder / "00000.png").read_bytes()
    for i in range(unreadable):
        where = i * (count // unreadable)
        (folder / f"{where:05}-bad.png").write_bytes((b"", b"not a picture", whole[: len(whole) // 2])[i % 3])


def train_bundle(folder: Path) -> str:
    """A model that is trained in seconds and flags some of what it sees, so that maps are written; its hash."""
    from dataclasses import replace

    from ganomaly.bundle import write_bundle
    from ganomaly.calibration import Calibration
    from ganomaly.config import paper
    from ganomaly.detector import Detector
    from ganomaly.training import train

    pixels = np.random.default_rng(1).integers(0, 256, (88, SIDE, SIDE, 1), dtype=np.uint8)
    trained = train(pixels[:16], pixels[16:24], paper(SIDE, 1), seed=0, epochs=1).detector
    detector = Detector.from_weights(replace(trained.config, score="residual"), trained.weights())
    return write_bundle(
        folder, detector=detector, calibration=Calibration.fit(detector.score(pixels[24:]).raw, 0.1),
        preprocessing={"size": SIDE, "channels": 1, "depth": 8, "window": [0.0, 1.0], "canvas": None, "region": None},
        card={"name": "flange"}, golden=pixels[:3], sheet=b"no picture, and nobody looks",
    )  # fmt: skip


class Plant:
    """One home with a model, a folder of pictures, and the workers on it.

    `expected` is what an undisturbed run of the folder gave.
    """

    def __init__(self, folder: Path, store: Path, sha256: str, lot: Path, *, many_hosts: bool) -> None:
        self.lot = lot
        self.home = folder / "home"
        self.home.mkdir()
        self.log = folder / "worker.log"
        self.postgres = Postgres() if many_hosts else None
        self.redis = Server(folder / "redis") if many_hosts else None
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ODDLOT_")}
        self.environ = kept | {
            "ODDLOT_HOME": str(self.home),
            "ODDLOT_MODEL_STORE": str(store),
            "ODDLOT_SETTLE_SECONDS": "0",
            "ODDLOT_LOG": "json",
            "ODDLOT_HOLD": "false",  # its nights are many copies of few pictures
            "ODDLOT_BATCH_SIZE": "16",
            "ODDLOT_CONCURRENCY": "2",
            "ODDLOT_LEASE_SECONDS": "4",
            "ODDLOT_SWEEP_SECONDS": "0.3",
            # Who kills at random often hits one batch again and again: no picture is to be blamed for that.
            "ODDLOT_MAX_ATTEMPTS": "20",
        }
        if self.postgres is not None and self.redis is not None:
            self.environ["ODDLOT_DATABASE_URL"] = self.postgres.url
            self.environ["ODDLOT_BROKER_URL"] = f"redis://127.0.0.1:{self.redis.port}/0"
        self.engine: Engine = open_database(self.settings.database_url)
        models.register_model(
            self.engine, name="flange", bundle_uri="flange/1", bundle_sha256=sha256, architecture="paper",
            threshold=0.1, false_alarms=0.1, card={},
        )  # fmt: skip
        self.worker: subprocess.Popen[bytes] | None = None
        self.expected: Results = {}

    @property
    def settings(self) -> Settings:
        return load_settings(self.environ)

    # --- processes

    command = (sys.executable, "-m", "cli.main")

    def start_worker(self, **variables: str) -> subprocess.Popen[bytes]:
        """`oddlot worker`, unless one runs; with other `variables` it must not."""
        if self.worker is not None and self.worker.poll() is None:
            assert not variables
            return self.worker
        with self.log.open("ab") as stream:
            self.worker = self.start("worker", "--concurrency", "2", stdout=stream, stderr=stream, **variables)
        return self.worker

    def start(self, *arguments: object, stdout: Any = None, stderr: Any = None, **variables: str) -> Any:
        """An `oddlot` command, in a session of its own."""
        return subprocess.Popen(
            [*self.command, *map(str, arguments)], env=self.environ | variables,
            stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True,
        )  # fmt: skip

    def run(self, *arguments: object, status: int = 0) -> str:
        """Standard output and standard error of a command that must exit with `status`."""
        process = self.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        out = process.communicate(timeout=DEADLINE)[0].decode()
        assert process.returncode == status, out
        return str(out)

    def stop_worker(self) -> None:
        """SIGTERM: exit 0, and nothing of it is left."""
        if self.worker is not None:
            self.worker.terminate()
            assert self.worker.wait(DEADLINE) == 0, self.log_text()[-3000:]
            self.worker = None

    def kill_all(self) -> None:
        """kill -9 of everything that belongs to this home but the queue."""
        for process in self.processes():
            if not is_broker(process):
                kill(process.pid)
        if self.worker is not None:
            self.worker.wait()
            self.worker = None

    def processes(self) -> list[Process]:
        return processes(f"ODDLOT_HOME={self.home}")

    def parents(self) -> list[Process]:
        """The Celery parent, which `oddlot worker` keeps."""
        front = self.worker.pid if self.worker is not None else -1
        return [p for p in self.processes() if p.parent == front and " worker --pool " in p.command]

    def children(self) -> list[Process]:
        """The pool of the worker."""
        parents = {p.pid for p in self.parents()}
        return [p for p in self.processes() if p.parent in parents and "worker.sweeper" not in p.command]

    def sweepers(self) -> list[Process]:
        return [p for p in self.processes() if "worker.sweeper" in p.command]

    def broker_server(self) -> int:
        """The process number of the server of the queue."""
        with self.queue() as client:
            return int(client.info("server")["process_id"])

    def keeper(self) -> list[Process]:
        return [p for p in self.processes() if "worker.broker" in p.command]

    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    # --- queue and tables

    @contextlib.contextmanager
    def queue(self) -> Iterator["redis.Redis"]:
        with redis.Redis.from_url(redis_url(self.settings), socket_timeout=10) as client:
            yield client

    def queue_answers(self) -> bool:
        try:
            with self.queue() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def submit(self, folder: Path | None = None, **wish: Any) -> JobRow:
        """List the folder; the sweeper of the worker publishes it."""
        return submit(self.engine, self.settings, Submission(model="flange", folder=folder or self.lot, **wish))

    def job(self, job_id: int) -> JobRow:
        return jobs.get_job(self.engine, job_id)

    def batches(self, job_id: int, *states: BatchState) -> list[Any]:
        with reading(self.engine) as connection:
            wanted = batch.c.state.in_(states) if states else batch.c.state.is_not(None)
            return list(connection.execute(select(batch).where(batch.c.job_id == job_id, wanted)))

    def progress(self, job_id: int) -> int:
        """Batches that are done."""
        return len(self.batches(job_id, BatchState.DONE))

    def await_progress(self, job_id: int, more: int = 1) -> None:
        """Until so many more batches are done."""
        aim = self.progress(job_id) + more
        eventually(lambda: self.progress(job_id) >= aim, f"job {job_id} does not go on: {self.log_text()[-2000:]}")

    def await_end(self, job_id: int) -> JobRow:
        told = 0.0

        def ended() -> bool:
            nonlocal told
            # Not each time: a queue that is told while it is asked would be told everything again and again.
            if time.monotonic() - told > 5:
                self.forget_telling()
                told = time.monotonic()
            return self.job(job_id).finished_at is not None

        eventually(ended, f"job {job_id} does not end: {self.job(job_id)}\n{self.log_text()[-3000:]}")
        return self.job(job_id)

    def forget_telling(self) -> None:
        """As if all messages had been sent a minute earlier: half a minute must pass before an empty queue counts as
        one that lost them, and a hundred faults would wait an hour for that."""
        with writing(self.engine) as connection:
            past = now(connection) - timedelta(minutes=1)
            connection.execute(
                update(batch)
                .where(batch.c.state == BatchState.WAITING, batch.c.published_at > past)
                .values(published_at=past)
            )

    # --- what must be true after every fault

    def results(self, job_id: int) -> Results:
        rows = iter_results(self.engine, ResultFilter(job_id=job_id))
        return {Path(r["path"]).name: (str(r["state"]), r["raw_score"], r["flagged"], r["error"]) for r in rows}

    def check(self, job_id: int, expected: Results | None = None) -> None:
        """The job is done, each item once, with the results of the undisturbed run; counts add up; no lease is left,
        and no message that a worker does not take."""
        expected = self.expected if expected is None else expected
        done = self.await_end(job_id)
        assert (done.state, done.unaccounted, done.error) == (JobState.DONE, 0, None)
        self.check_counts(job_id)
        found = self.results(job_id)
        assert done.listed == len(found)
        differences = {n: (found.get(n), expected.get(n)) for n in found | expected if found.get(n) != expected.get(n)}
        assert not differences, dict(list(differences.items())[:5])
        self.check_nothing_is_held()

    def check_counts(self, job_id: int) -> None:
        """The completeness record is what a count over the items says, and results are there exactly once."""
        row = self.job(job_id)
        with reading(self.engine) as connection:
            counted = connection.execute(
                select(item.c.state, func.count()).where(item.c.job_id == job_id).group_by(item.c.state)
            ).tuples()
            states = Counter(dict(counted.all()))
            scored = connection.execute(
                select(item.c.id).where(item.c.job_id == job_id, item.c.state == ItemState.SCORED)
            ).scalars()
            with_result = connection.execute(select(result.c.item_id).where(result.c.job_id == job_id)).scalars()
            assert sorted(scored) == sorted(with_result)
            flagged = connection.execute(
                select(func.count()).where(result.c.job_id == job_id, result.c.flagged)
            ).scalar_one()
        assert set(states) <= set(TERMINAL_ITEM_STATES)
        assert states == Counter(
            {
                ItemState.SCORED: row.scored, ItemState.UNREADABLE: row.unreadable,
                ItemState.QUARANTINED: row.quarantined, ItemState.CANCELLED: row.cancelled,
            }
        )  # fmt: skip
        assert (row.listed, row.flagged) == (states.total(), flagged)

    def check_nothing_is_held(self) -> None:
        with reading(self.engine) as connection:
            still_open = connection.execute(
                select(batch.c.job_id, batch.c.number, batch.c.state, batch.c.owner)
                .join(job, job.c.id == batch.c.job_id)
                .where(batch.c.state.in_(OPEN_BATCH_STATES), job.c.finished_at.is_not(None))
            ).all()
            owned = connection.execute(
                select(func.count()).where(batch.c.owner.is_not(None), batch.c.state != BatchState.LEASED)
            ).scalar_one()
            others = connection.execute(select(func.count()).where(job.c.finished_at.is_(None))).scalar_one()
        assert still_open == []
        assert owned == 0
        if not others and self.worker is not None and self.worker.poll() is None:
            eventually(lambda: publishing.queue_depth(self.settings) == 0, "messages are left that nobody takes")

    def check_no_orphan(self) -> None:
        """No process of this home is left; the embedded queue goes with its last user."""
        eventually(lambda: not self.processes(), f"left behind: {self.processes()}", seconds=30)

    def begin(self) -> None:
        """Servers are up, and nothing of an earlier test, which may have failed, is left to be worked on."""
        if self.postgres is not None and self.redis is not None:
            self.postgres.start()
            if self.redis.process.poll() is not None:
                self.redis.start()
        with writing(self.engine) as connection:
            left = connection.execute(select(job.c.id).where(job.c.finished_at.is_(None))).scalars().all()
        if left:
            self.kill_all()
            with writing(self.engine) as connection:
                moment = now(connection)
                connection.execute(update(job).where(job.c.id.in_(left)).values(finished_at=moment, state="failed"))
                connection.execute(update(batch).where(batch.c.job_id.in_(left)).values(state="cancelled", owner=None))

    def close(self) -> None:
        self.kill_all()
        for process in self.processes():
            kill(process.pid)
        self.engine.dispose()
        if self.redis is not None:
            self.redis.kill()
        if self.postgres is not None:
            self.postgres.close()
