"""The watchdog sees a worker that takes nothing, and nothing else."""

import os
from contextlib import contextmanager
from datetime import timedelta

import pytest
from shop import ONE_DATABASE, child
from sqlalchemy import update

from db import due, endings, workers
from db.engine import now, writing
from db.schema import batch
from worker.watchdog import Watchdog

STALL, LIMIT = 300.0, 1800.0

HOLDER = """
import sys
from db import batches, workers
from db.engine import open_database
from oddlot.processes import identity
from oddlot.settings import load_settings

engine = open_database(load_settings().database_url)
claim = batches.claim_batch(engine, int(sys.argv[1]), int(sys.argv[2]), identity(), 36000.0)
print("held", flush=True)
for line in sys.stdin:
    batches.release_batch(engine, claim, "given back", count_attempt=True)
    workers.beat(engine, identity(), "here", 1, workers.CHILD, progress=False, silent_seconds=3600)
    print("given back", flush=True)
"""


@pytest.fixture
def variables(variables, database_url):
    return variables | {"ODDLOT_DATABASE_URL": database_url}


@pytest.fixture
def watchdog():
    """Of a worker whose parent process is this one: the processes of a test are its children."""
    return Watchdog(os.getpid(), STALL, LIMIT)


@contextmanager
def holding(job, number, variables):
    with child(HOLDER, str(job.id), str(number), variables=variables) as holder:
        assert holder.stdout.readline() == "held\n"
        yield holder


def publish(engine):
    due.due_for_publishing(engine, older_than_seconds=None, limit=100)


def has_waited(engine, job, seconds=STALL + 1):
    """Shift the time at which the job's batches began to wait, and the queue was told of some, into the past."""
    with writing(engine) as connection:
        since = now(connection) - timedelta(seconds=seconds)
        of_job = update(batch).where(batch.c.job_id == job.id)
        connection.execute(of_job.values(waiting_since=since))
        connection.execute(of_job.where(batch.c.published_at.is_not(None)).values(published_at=since))


def test_a_worker_that_takes_nothing_of_what_waits_in_the_queue_is_stalled(engine, job, watchdog):
    publish(engine)
    has_waited(engine, job)
    assert watchdog.look(engine, 0) is None
    assert watchdog.look(engine, STALL) is None
    stall = watchdog.look(engine, STALL + 1)
    assert stall.pids[0] == os.getpid()
    assert "took nothing for 301 s although batches wait" in stall.reason


@ONE_DATABASE
def test_its_children_die_with_it(engine, job, watchdog):
    publish(engine)
    has_waited(engine, job)
    with child("input()", variables={}) as hanging:
        watchdog.look(engine, 0)
        assert hanging.pid in watchdog.look(engine, STALL + 1).pids


def test_an_empty_queue_is_no_stall(engine, watchdog):
    assert [watchdog.look(engine, clock) for clock in (0, STALL + 1, 100 * STALL)] == [None] * 3


def test_what_was_not_published_does_not_wait_for_this_worker(engine, job, watchdog):
    has_waited(engine, job)
    assert [watchdog.look(engine, clock) for clock in (0, STALL + 1)] == [None] * 2


def test_a_batch_that_has_just_come_is_no_stall_of_a_worker_that_had_nothing_to_do(engine, job, watchdog):
    publish(engine)
    assert [watchdog.look(engine, clock) for clock in (0, STALL + 1)] == [None] * 2


def test_a_cancelled_job_waits_for_nobody(engine, job, watchdog, variables):
    publish(engine)
    has_waited(engine, job)
    endings.cancel_job(engine, job.id)
    assert [watchdog.look(engine, clock) for clock in (0, STALL + 1)] == [None] * 2


def test_a_slow_batch_is_let_alone_until_its_time_limit_should_have_ended_it(engine, job, watchdog, variables):
    with holding(job, 1, variables) as slow:
        publish(engine)
        has_waited(engine, job)
        for clock in range(0, int(LIMIT + STALL) + 1, 100):
            assert watchdog.look(engine, clock) is None
        stall = watchdog.look(engine, LIMIT + STALL + 1)
    assert stall.pids == (slow.pid,)  # it alone: the others work
    assert "batch 1 of job 1 was held for longer than its time limit" in stall.reason


def test_who_takes_batches_and_gives_them_back_between_two_looks_is_not_idle(engine, job, watchdog, variables):
    with holding(job, 1, variables) as failing:
        publish(engine)
        has_waited(engine, job)
        watchdog.look(engine, 0)
        failing.stdin.write("\n")
        failing.stdin.flush()
        assert failing.stdout.readline() == "given back\n"
        assert watchdog.look(engine, STALL + 1) is None
        assert watchdog.look(engine, 2 * STALL + 2) is not None


def test_work_of_somebody_elses_child_is_no_progress_of_this_worker(engine, job, variables):
    publish(engine)
    has_waited(engine, job)
    with child("input()", variables={}) as other, holding(job, 1, variables):
        watchdog = Watchdog(other.pid, STALL, LIMIT)
        watchdog.look(engine, 0)
        assert watchdog.look(engine, STALL + 1).pids == (other.pid,)


def test_time_without_a_queue_or_a_database_does_not_count(engine, job, watchdog):
    publish(engine)
    has_waited(engine, job)
    watchdog.look(engine, 0)
    watchdog.forget()
    assert watchdog.look(engine, STALL + 1) is None
    assert watchdog.look(engine, 2 * STALL + 2) is not None


def test_restarts_are_remembered_for_a_while(engine):
    for reason in ("first", "second"):
        workers.record_restart(engine, "press-pc", 4711, reason)
    found = workers.restarts(engine, timedelta(days=1))
    assert [(row.host, row.pid, row.reason) for row in found] == [
        ("press-pc", 4711, "second"), ("press-pc", 4711, "first")
    ]  # fmt: skip
    assert workers.restarts(engine, timedelta(0)) == []
