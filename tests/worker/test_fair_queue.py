"""Real workers on a real queue, of which only the looking at pictures is simulated: whose turn is it?"""

import os
import subprocess
import sys
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from shop import ONE_DATABASE, eventually
from sqlalchemy import func, select

from bench import simulated
from cli.services import worker_arguments
from db import jobs, lines, models
from db.engine import reading
from db.lines import Quota
from db.schema import IS_LEASED, batch, job
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
    register(engine, "simulated")
    with queue_of(settings, monkeypatch):
        yield submitted(engine, settings, tmp_path / "night", NIGHT)


def register(engine, name, sha256="0" * 64):
    models.register_model(
        engine, name=name, bundle_uri="none", bundle_sha256=sha256, architecture="none", threshold=0.5,
        false_alarms=0.01, card=simulated.card(),
    )  # fmt: skip


@contextmanager
def queue_of(settings, monkeypatch):
    with broker.embedded_broker(settings):
        monkeypatch.setitem(app.conf, "broker_url", f"redis+socket://{settings.home}/broker/broker.sock")
        yield


def submitted(engine, settings, folder, pictures, model="simulated", **values):
    folder.mkdir()
    for number in range(pictures):
        (folder / f"{number:04}.png").touch()
    job = submission.submit(engine, settings, Submission(model=model, folder=folder, **values))
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


def test_a_line_with_a_quota_never_has_more_in_work_and_still_comes_to_its_end(
    engine, settings, variables, tmp_path, monkeypatch
):
    register(engine, "simulated")
    lines.set_quota(engine, Quota("press-3", batches=1))
    in_work = select(func.count()).select_from(batch).join(job, job.c.id == batch.c.job_id)
    in_work = in_work.where(IS_LEASED, job.c.line == "press-3")
    with queue_of(settings, monkeypatch), worker(variables, tmp_path) as log:
        flood = submitted(engine, settings, tmp_path / "flood", 60, line="press-3")
        other = submitted(engine, settings, tmp_path / "other", 20, line="press-4")
        seen = []

        def looked_at_until(one):
            with reading(engine) as connection:
                seen.append(connection.execute(in_work).scalar_one())
            return jobs.get_job(engine, one.id).finished_at

        eventually(lambda: looked_at_until(flood), log.read_text)
        finished(engine, other, log)
    assert max(seen) == 1
    assert [jobs.get_job(engine, one.id).scored for one in (flood, other)] == [60, 20]


def test_processes_that_keep_one_model_each_do_all_batches_of_many_and_load_less_often(
    engine, settings, variables, tmp_path, monkeypatch
):
    for number in range(5):
        register(engine, f"part-{number}", f"{number}" * 64)
    times = tmp_path / "times"
    times.mkdir()
    more = {"ODDLOT_WARM_MODELS": "1", "BENCH_TIMES": str(times)}
    with queue_of(settings, monkeypatch):
        all_jobs = [submitted(engine, settings, tmp_path / f"{n}", 12, model=f"part-{n}") for n in range(5)]
        with worker(variables | more, tmp_path) as log:
            ended = [finished(engine, one, log) for one in all_jobs]
    assert [(one.state, one.scored, one.unaccounted) for one in ended] == [(JobState.DONE, 12, 0)] * 5
    done = sorted((one for one in simulated.read_times(times) if one.what == "finish"), key=lambda one: one.began)
    assert len(done) + len([one for one in simulated.read_times(times) if one.what == "closing"]) == 60
    for pid in {one.pid for one in done}:
        mine = [one.job for one in done if one.pid == pid]
        # Taken in turn, nearly every batch would be of another model than the one before.
        assert sum(first != second for first, second in pairwise(mine)) < len(mine) / 2
