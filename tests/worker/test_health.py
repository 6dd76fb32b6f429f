"""Whether work goes on, in the words of `oddlot doctor`, for the page and for health checks."""

import datetime as dt
import socket

import pytest
from finished_jobs import listed_job, some_model
from shop import ONE_DATABASE, child
from sqlalchemy import insert, update

from db import batches, due, liveness, sweeping, workers
from db.engine import now, writing
from db.schema import batch, fit, worker
from oddlot.processes import identity
from oddlot.settings import load_settings
from oddlot.words import FitState, ItemState
from worker import broker, health, progress

HOST = socket.gethostname()
pytestmark = ONE_DATABASE


@pytest.fixture
def settings(tmp_path, database_url):
    return load_settings({"ODDLOT_HOME": str(tmp_path / "home"), "ODDLOT_DATABASE_URL": database_url})


@pytest.fixture
def waiting(engine):
    """A job whose one batch waits, and the queue was told of it, for ten minutes."""
    row = listed_job(engine, some_model(engine), ["/a.png"], line="press-3")
    due.due_for_publishing(engine, older_than_seconds=None, limit=10)
    with writing(engine) as connection:
        long_ago = now(connection) - dt.timedelta(seconds=600)
        connection.execute(update(batch).values(waiting_since=long_ago, published_at=long_ago))
    return row


@pytest.fixture
def queue(settings):
    with broker.embedded_broker(settings):
        yield


def a_worker(engine, host=HOST, kind=workers.SUPERVISOR, name="w"):
    workers.beat(engine, f"{host}|{name}|1|1", host, 1, kind, progress=kind == workers.CHILD, silent_seconds=600)


def test_nothing_waits(engine, settings):
    assert health.of_everything(engine, settings) == []


def test_work_that_waits_for_nobody(engine, settings, waiting):
    assert health.of_everything(engine, settings) == ["1 batches wait and no worker is alive"]


def test_work_that_waits_for_a_queue(engine, settings, waiting):
    a_worker(engine)
    assert health.of_everything(engine, settings) == ["1 batches wait and the queue does not answer"]


def test_work_that_nobody_takes(engine, settings, waiting, queue):
    a_worker(engine)
    (problem,) = health.of_everything(engine, settings)
    assert "the workers have taken none for 6" in problem


def test_progress_elsewhere_and_work_in_hand_are_progress(engine, settings, waiting, queue):
    a_worker(engine)
    a_worker(engine, "other-pc")
    a_worker(engine, "other-pc", workers.CHILD)
    assert health.of_everything(engine, settings) == [], "another host has done something just now"
    with writing(engine) as connection:
        connection.exec_driver_sql("DELETE FROM worker WHERE kind = 'child'")
    assert batches.claim_batch(engine, waiting.id, 1, "other-pc|x|1|1", 60.0)
    assert health.of_everything(engine, settings) == []


def test_tries_that_all_fail_are_no_progress(engine, settings, waiting, queue):
    """The object store is away: the batch is taken and given back all night, and no attempt counts."""
    a_worker(engine)
    with writing(engine) as connection:
        connection.execute(update(worker).values(started_at=now(connection) - dt.timedelta(seconds=620)))
    for _ in range(3):
        claim = batches.claim_batch(engine, waiting.id, 1, f"{HOST}|x|1|1", 60.0)
        assert batches.release_batch(engine, claim, "the object store does not answer", count_attempt=False)
        (problem,) = health.of_everything(engine, settings)
        assert "no batch has ended for 6" in problem
        assert "does not answer" not in problem, "strangers are told"
    claim = batches.claim_batch(engine, waiting.id, 1, f"{HOST}|x|1|1", 60.0)
    assert "no batch has ended for 6" in health.of_everything(engine, settings)[0], "also while it is tried again"
    ((shown,), _) = progress.open_jobs(engine, settings)
    assert shown.state == "wrong"
    assert "ended with an error: the object store does not answer" in shown.found
    items = [batches.Outcome(row.id, ItemState.UNREADABLE, error="?") for row in claim.items]
    batches.finish_batch(engine, claim, items, host=HOST, code_version="1")
    assert health.of_everything(engine, settings) == []


def test_a_night_that_was_stopped_in_the_middle_is_no_failure_in_the_morning(engine, settings, waiting, queue):
    """Nobody was there: what stood still since is not the doing of who has just begun."""
    claim = batches.claim_batch(engine, waiting.id, 1, f"{HOST}|x|1|1", 60.0)
    assert sweeping.give_back(engine, claim.owner) == 1
    with writing(engine) as connection:
        connection.execute(update(batch).values(waiting_since=now(connection) - dt.timedelta(hours=10)))
    a_worker(engine)
    with writing(engine) as connection:
        connection.execute(update(worker).values(started_at=now(connection) - dt.timedelta(hours=1)))
    assert batches.claim_batch(engine, waiting.id, 1, f"{HOST}|x|1|1", 60.0)
    assert health.of_everything(engine, settings) == [], "that a worker was stopped is no error"
    with writing(engine) as connection:
        connection.execute(update(batch).values(error="killed"))
        connection.execute(update(worker).values(started_at=now(connection)))
    assert health.of_everything(engine, settings) == [], "it has just begun"
    ((shown,), _) = progress.open_jobs(engine, settings)
    assert shown.state != "wrong"


def test_what_comes_back_after_hours_is_not_overdue_before_anybody_could_take_it(engine, settings, waiting):
    claim = batches.claim_batch(engine, waiting.id, 1, f"{HOST}|x|1|1", 60.0)
    batches.release_batch(engine, claim, "the object store does not answer", count_attempt=False)
    assert due.due_for_publishing(engine, older_than_seconds=None, limit=10)
    assert not liveness.anything_overdue(engine, settings.stall_seconds)
    with writing(engine) as connection:
        connection.execute(update(batch).values(published_at=now(connection) - dt.timedelta(seconds=20)))
    assert liveness.anything_overdue(engine, settings.stall_seconds), "nobody takes it"


def test_a_lease_that_nobody_ends(engine, settings, waiting, queue):
    a_worker(engine)
    assert batches.claim_batch(engine, waiting.id, 1, "other-pc|x|1|1", -3600.0)
    assert "1 batches are stuck" in health.of_everything(engine, settings)[0]


def test_the_worker_of_this_host(engine, settings):
    a_worker(engine, "other-pc")
    assert health.of_worker(engine, settings) == [f"no worker of {HOST} is alive"]
    a_worker(engine)
    assert health.of_worker(engine, settings) == []


def test_a_worker_that_takes_nothing_is_not_healthy_and_one_that_works_is(engine, settings, waiting):
    a_worker(engine)
    assert health.of_worker(engine, settings) == [], "it was started just now"
    with writing(engine) as connection:
        connection.execute(update(worker).values(started_at=now(connection) - dt.timedelta(seconds=600)))
    (problem,) = health.of_worker(engine, settings)
    assert "has taken nothing for 600 s although batches wait" in problem
    claim = batches.claim_batch(engine, waiting.id, 1, f"{HOST}|x|1|1", 60.0)
    assert health.of_worker(engine, settings) == []
    batches.release_batch(engine, claim, "given back", count_attempt=True)
    a_worker(engine, kind=workers.CHILD, name="child")
    assert health.of_worker(engine, settings) == []


def test_the_clock_of_this_host(engine, settings):
    a_worker(engine)
    assert health.of_clock(engine, settings) == [f"no clock of the schedules is alive on {HOST}"]
    workers.beat(engine, identity(), HOST, 1, workers.CLOCK, progress=False, silent_seconds=60)
    assert health.of_clock(engine, settings) == []


def test_the_trainer_of_this_host(engine, settings):
    assert health.of_trainer(engine, settings) == [f"no trainer runs on {HOST}"]
    with child("print(flush=True)\nimport sys\nsys.stdin.read()", "trainer.app", variables={}) as trainer:
        trainer.stdout.readline()  # its command line stands in /proc a moment after it was started
        assert health.of_trainer(engine, settings) == []
        with writing(engine) as connection:
            asked = now(connection) - dt.timedelta(seconds=600)
            waits = {"name": "flange", "options": {}, "state": FitState.QUEUED, "attempts": 0, "fencing": 0}
            connection.execute(insert(fit).values(created_at=asked, **waits))
        assert "and none is in work" in health.of_trainer(engine, settings)[0]
        with writing(engine) as connection:
            connection.execute(update(fit).values(state=FitState.RUNNING))
        assert health.of_trainer(engine, settings) == []
