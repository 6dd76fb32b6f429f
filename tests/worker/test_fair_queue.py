"""Real workers on a real queue, of which only the looking at pictures is simulated: whose turn is it?"""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from shop import ONE_DATABASE, eventually
from sqlalchemy import func, select

from bench import simulated
from cli.services import worker_arguments
from db import jobs, models
from db.engine import reading
from db.schema import batch
from oddlot.settings import load_settings
from oddlot.words import BatchState, JobState
from worker import broker, publishing, submission
from worker.app import app
from worker.submission import Submission

ROOT = Path(__file__).resolve().parents[2]
NIGHT = 600
"""Batches of the large job: many times what the queue holds."""

pytestmark = ONE_DATABASE


@pytest.fixture
def variables(tmp_path, database_url):
    return {
        "ODDLOT_HOME": str(tmp_path / "home"), "ODDLOT_DATABASE_URL": database_url, "ODDLOT_SETTLE_SECONDS": "0",
        "ODDLOT_BATCH_SIZE": "1", "ODDLOT_HOLD": "false",
        # No sweeper comes to help: the workers themselves have to fill up the queue.
        "ODDLOT_SWEEP_SECONDS": "3600",
        "BENCH_SLEEP": "0.01",
    }  # fmt: skip


@pytest.fixture
def settings(variables):
    return load_settings(variables)


@pytest.fixture
def night(engine, settings, tmp_path, monkeypatch):
    """A large job that waits, and the queue that was told of it."""
    models.register_model(
        engine, name="simulated", bundle_uri="none", bundle_sha256="0" * 64, architecture="none", threshold=0.5,
        false_alarms=0.01, card=simulated.card(),
    )  # fmt: skip
    with broker.embedded_broker(settings):
        monkeypatch.setitem(app.conf, "broker_url", f"redis+socket://{settings.home}/broker/broker.sock")
        yield submitted(engine, settings, tmp_path / "night", NIGHT)


def submitted(engine, settings, folder, pictures, **values):
    folder.mkdir()
    for number in range(pictures):
        (folder / f"{number:04}.png").touch()
    job = submission.submit(engine, settings, Submission(model="simulated", folder=folder, **values))
    assert submission.publish(engine, settings)
    return job


@contextmanager
def worker(variables, tmp_path):
    log = tmp_path / "worker.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.simulated", *worker_arguments("worker.app", 2)],
            env={**os.environ, **variables, "PYTHONPATH": str(ROOT)}, cwd=ROOT, stdout=stream, stderr=stream,
        )  # fmt: skip
    try:
        yield log
    finally:
        process.terminate()
        assert process.wait(timeout=60) == 0, log.read_text()


def done_before(engine, job, moment=None):
    """How many batches of a job were finished, by then or by now."""
    query = select(func.count()).where(batch.c.job_id == job.id, batch.c.state == BatchState.DONE)
    with reading(engine) as connection:
        return connection.execute(query if moment is None else query.where(batch.c.finished_at < moment)).scalar_one()


def finished(engine, job, log):
    """The job, when it is at its end."""
    eventually(lambda: jobs.get_job(engine, job.id).finished_at, log.read_text)
    return jobs.get_job(engine, job.id)


def test_the_queue_is_no_longer_for_a_larger_job_and_is_filled_up_by_who_empties_it(
    engine, settings, night, variables, tmp_path
):
    assert publishing.queue_depth(settings) == publishing.LEAST_WAITING
    longest = 0
    with worker(variables, tmp_path) as log:
        while jobs.get_job(engine, night.id).finished_at is None:
            depth = publishing.queue_depth(settings)
            longest = max(longest, depth)
            eventually(lambda depth=depth: publishing.queue_depth(settings) != depth
                       or jobs.get_job(engine, night.id).finished_at, log.read_text)  # fmt: skip
    done = jobs.get_job(engine, night.id)
    assert (done.state, done.scored, done.unaccounted) == (JobState.DONE, NIGHT, 0)
    # Two processes may fill it up at the same moment.
    assert longest <= 2 * publishing.LEAST_WAITING


def test_an_urgent_job_is_finished_while_the_night_before_it_still_waits(engine, settings, night, variables, tmp_path):
    with worker(variables, tmp_path) as log:
        eventually(lambda: done_before(engine, night), log.read_text)
        before = done_before(engine, night)
        # Larger than what the queue is told of at once: what follows must not wait behind the night either.
        urgent = finished(engine, submitted(engine, settings, tmp_path / "urgent", 100, priority=9), log)
    assert (urgent.state, urgent.scored) == (JobState.DONE, 100)
    # But for those that were finished while it was submitted, and those in the processes' hands.
    between = done_before(engine, night, urgent.finished_at) - before
    assert between < NIGHT / 4, f"{between} batches of the night came first"
    meanwhile = done_before(engine, night, urgent.finished_at) - done_before(engine, night, urgent.started_at)
    assert meanwhile <= 10


def test_a_small_job_of_the_same_priority_does_not_wait_for_the_end_of_the_night(
    engine, settings, night, variables, tmp_path
):
    with worker(variables, tmp_path) as log:
        eventually(lambda: done_before(engine, night), log.read_text)
        small = finished(engine, submitted(engine, settings, tmp_path / "small", 3), log)
    assert (small.state, small.scored) == (JobState.DONE, 3)
    assert done_before(engine, night, small.finished_at) < NIGHT / 2


def test_two_nights_of_one_priority_go_on_side_by_side(engine, settings, night, variables, tmp_path):
    second = submitted(engine, settings, tmp_path / "second", NIGHT)
    with worker(variables, tmp_path) as log:
        eventually(lambda: done_before(engine, second) >= NIGHT / 4, log.read_text)
        mine, theirs = done_before(engine, second), done_before(engine, night)
    # The first one is ahead by what the queue held of it when the second was submitted, about.
    assert theirs - mine < 3 * publishing.LEAST_WAITING
