"""Workers that are frozen past their lease and come back, batches told twice, sweepers that are killed."""

import json
import signal
import sqlite3
from contextlib import closing

import psycopg
import pytest
from celery import Celery
from machine import is_broker, kill
from plant import eventually

from oddlot.queue import DEFAULT_PRIORITY, INSPECT_QUEUE, INSPECT_TASK, celery_settings, queue_priority
from oddlot.words import BatchState


def row(plant, job_id, number):
    (found,) = [one for one in plant.batches(job_id) if one.number == number]
    return found


def freeze_a_holder(plant, job_id):
    """Stop a child that holds a batch until somebody else has claimed that.

    Not one that is stopped within a transaction: everybody waits for that, and none can overtake it.
    """
    for _ in range(20):
        held = eventually(lambda: plant.batches(job_id, BatchState.LEASED), "nobody holds a batch")[0]
        pid = int(held.owner.split("|")[2])
        kill(pid, signal.SIGSTOP)
        try:
            if row(plant, job_id, held.number)[:] == held[:]:
                eventually(
                    lambda held=held: row(plant, job_id, held.number).fencing > held.fencing,
                    "in a transaction",
                    seconds=20,
                )
                return pid, held
        except AssertionError:
            pass
        kill(pid, signal.SIGCONT)
    raise AssertionError("no holder could be frozen")


def refused(plant, since):
    lines = [json.loads(line) for line in plant.log_text()[since:].splitlines() if '"late results refused"' in line]
    return [(line["job"], line["batch"]) for line in lines]


def test_a_worker_that_wakes_after_its_lease_writes_nothing(plant):
    plant.start_worker()
    since = len(plant.log_text())
    job = plant.submit()
    pid, held = freeze_a_holder(plant, job.id)
    eventually(lambda: row(plant, job.id, held.number).state == BatchState.DONE, "nobody else does it")
    before = row(plant, job.id, held.number)
    kill(pid, signal.SIGCONT)
    eventually(lambda: (job.id, held.number) in refused(plant, since), "the late one was not refused")
    plant.check(job.id)
    assert row(plant, job.id, held.number) == before


def is_blocked(plant):
    """Whether somebody who is frozen has a transaction open, for which all others would wait."""
    if plant.postgres is not None:
        with psycopg.connect(plant.postgres.url) as connection:
            query = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
            return connection.execute(query).fetchone()[0] > 0
    with closing(sqlite3.connect(plant.home / "oddlot.db", isolation_level=None, timeout=0.5)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        return False


def freeze_worker(plant):
    for _ in range(20):
        frozen = [process.pid for process in plant.processes() if not is_broker(process)]
        for pid in frozen:
            kill(pid, signal.SIGSTOP)
        if not is_blocked(plant):
            return frozen
        for pid in frozen:
            kill(pid, signal.SIGCONT)
    raise AssertionError("the worker could not be frozen between two transactions")


@pytest.mark.faults
def test_a_whole_worker_that_is_frozen_is_overtaken_by_another(plant):
    plant.start_worker()
    job = plant.submit()
    plant.await_progress(job.id)
    frozen = freeze_worker(plant)
    other = plant.start("worker", "--concurrency", "2")
    try:
        assert plant.await_end(job.id).unaccounted == 0
    finally:
        for pid in frozen:
            kill(pid, signal.SIGCONT)
        plant.check(job.id)
        other.terminate()
        assert other.wait(60) == 0


@pytest.mark.faults
def test_batches_that_are_told_three_times_are_inspected_once(plant):
    plant.start_worker()
    job = plant.submit()
    with closing(Celery("doubled", set_as_current=False)) as app:
        app.conf.update(celery_settings(plant.settings))
        for one in plant.batches(job.id) * 2:
            app.send_task(
                INSPECT_TASK, args=(job.id, one.number), queue=INSPECT_QUEUE, priority=queue_priority(DEFAULT_PRIORITY)
            )
    other = plant.start("worker", "--concurrency", "2")
    try:
        plant.check(job.id)
    finally:
        other.terminate()
    assert other.wait(60) == 0
    assert {(one.attempts, one.fencing) for one in plant.batches(job.id)} == {(1, 1)}


@pytest.mark.faults
def test_sweepers_that_are_killed_come_back(plant):
    plant.start_worker()
    job = plant.submit()
    for _ in range(5):
        for process in eventually(plant.sweepers, "no sweeper was started again"):
            kill(process.pid)
    plant.check(job.id)
