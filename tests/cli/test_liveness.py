"""`oddlot jobs` and `oddlot doctor` say who works, what waits, what does not go on, why, and what to do."""

import json
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import update

from db import batches, workers
from db.engine import now, open_database, writing
from db.schema import batch, job
from oddlot.processes import identity
from oddlot.settings import load_settings
from oddlot.words import JobState
from worker.broker import embedded_broker


@pytest.fixture
def waiting(oddlot, drawn):
    """A home in which a job of three batches waits."""
    oddlot.environ["ODDLOT_BATCH_SIZE"] = "8"
    assert oddlot.json("submit", "flange", drawn / "tonight")["job"] == 1
    return oddlot


@pytest.fixture
def engine(waiting):
    opened = open_database(load_settings(waiting.environ).database_url)
    yield opened
    opened.dispose()


def a_worker_lives(engine):
    workers.beat(engine, "press-pc", "press-pc", 4711, workers.SUPERVISOR, progress=False, silent_seconds=600)


def batches_have_waited(engine, seconds):
    with writing(engine) as connection:
        since = now(connection) - timedelta(seconds=seconds)
        connection.execute(update(batch).values(waiting_since=since))


def claim(engine, number, lease_seconds=600.0):
    claimed = batches.claim_batch(engine, 1, number, "somebody elsewhere", lease_seconds)
    assert claimed is not None
    return claimed


@contextmanager
def queue_of(oddlot):
    with embedded_broker(load_settings(oddlot.environ)):
        yield


def doctor(oddlot) -> tuple[list[dict], int]:
    process = oddlot.start("doctor", "--json")
    out, _ = process.communicate(timeout=120)
    return json.loads(out), process.returncode


def said_by_jobs(oddlot) -> str:
    """What `oddlot jobs` says beside its table."""
    process = oddlot.start("jobs")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0
    return err


def assert_trouble(oddlot, state, found, advice):
    """The same trouble is told by `jobs`, `jobs --json` and `doctor`."""
    findings, status = doctor(oddlot)
    (told,) = [finding for finding in findings if finding["what"] == "jobs"]
    assert (told["state"], status) == (state, 1 if state == "wrong" else 0)
    assert found in told["found"]
    assert advice in told["advice"]
    (row,) = oddlot.json("jobs")
    assert found in row["trouble"]
    assert advice in (row["advice"] or "")
    assert found in said_by_jobs(oddlot)


def test_batches_that_wait_for_nobody(waiting):
    assert_trouble(waiting, "wrong", "3 batches wait and no worker is alive", "oddlot up")
    (row,) = waiting.json("jobs")
    assert (row["waiting_batches"], row["leased_batches"], row["stuck_batches"]) == (3, 0, 0)
    assert row["oldest_waiting_seconds"] >= 0


def test_batches_that_wait_for_a_queue_which_does_not_answer(waiting, engine):
    a_worker_lives(engine)
    assert_trouble(waiting, "wrong", "3 batches wait and the queue does not answer", "doctor says of the queue")


def test_batches_that_living_workers_do_not_take(waiting, engine):
    a_worker_lives(engine)
    batches_have_waited(engine, 200)
    with queue_of(waiting):
        assert_trouble(waiting, "wrong", "the workers have taken none for 2", "is restarted")
        assert "1 workers alive; 0 messages in the queue; 3 batches wait, the oldest for 2" in said_by_jobs(waiting)


def test_batches_whose_lease_is_over_and_which_nobody_has_put_back(waiting, engine):
    a_worker_lives(engine)
    claim(engine, 1, lease_seconds=-3600.0)
    assert_trouble(waiting, "wrong", "1 batches are stuck: their lease is over", "sweeper")
    (row,) = waiting.json("jobs")
    assert (row["waiting_batches"], row["stuck_batches"]) == (2, 1)


def test_batches_that_are_near_their_last_attempt(waiting, engine):
    a_worker_lives(engine)
    for _ in range(2):
        assert batches.release_batch(engine, claim(engine, 1), "MemoryError: no room", count_attempt=True)
    with queue_of(waiting):
        assert_trouble(waiting, "note", "1 batches have failed at all but their last attempt", "quarantined")
        assert "MemoryError: no room" in said_by_jobs(waiting)


def test_a_job_whose_listing_died(waiting, engine):
    host, space, _, started = identity().split("|")
    with writing(engine) as connection:
        gone = "|".join((host, space, "999999999", started))
        connection.execute(update(job).values(state=JobState.LISTING, submitter=gone))
    assert_trouble(waiting, "wrong", "was being listed by a command that is gone", "oddlot retry 1")


def test_a_job_behind_another_one_is_no_fault(waiting, engine, drawn):
    a_worker_lives(engine)
    waiting.json("submit", "flange", drawn / "tonight")
    batches_have_waited(engine, 200)
    claim(engine, 1)
    with queue_of(waiting):
        findings, status = doctor(waiting)
        assert status == 0
        told = {f["found"]: f["state"] for f in findings if f["what"] == "jobs"}
        assert told["job 1: 2 batches wait, 1 in work"] == "ok"
        assert [state for found, state in told.items() if "behind other jobs" in found] == ["note"]
        second, first = waiting.json("jobs")
    assert (first["trouble"], first["leased_batches"]) == (None, 1)
    assert "behind other jobs" in second["trouble"]


def test_doctor_shows_each_living_worker(waiting, engine):
    a_worker_lives(engine)
    workers.beat(engine, "child", "press-pc", 4712, workers.CHILD, progress=True, silent_seconds=600)
    workers.beat(engine, "gone", "other-pc", 1, workers.SUPERVISOR, progress=False, silent_seconds=-1)
    with queue_of(waiting):
        findings, _ = doctor(waiting)
    shown, silent = [finding["found"] for finding in findings if finding["what"] == "worker"]
    assert shown.startswith("process 4711 on press-pc, heard of at ")
    assert "finished its last batch at" in shown
    assert silent.startswith("host other-pc fell silent: last heard of ")


def test_a_home_without_open_jobs_has_nothing_to_say(oddlot):
    findings, status = doctor(oddlot)
    assert status == 0
    assert [f["found"] for f in findings if f["what"] == "batches"] == ["none wait"]
    assert said_by_jobs(oddlot) == ""
