"""What the queue may say: two whole numbers, or nothing at all, and nothing else is looked up."""

from datetime import UTC, datetime, timedelta

import pytest
from shop import register
from sqlalchemy import update

from db import jobs, liveness, schedules
from db.engine import writing
from db.schema import schedule
from oddlot.processes import identity
from worker import scoring_process, tasks

HUGE = 2**63


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The home of a worker process that has not opened its database yet."""
    monkeypatch.setenv("ODDLOT_HOME", str(tmp_path / "home"))
    forget()
    yield tmp_path / "home"
    scoring_process.engine().dispose()
    forget()


def forget():
    scoring_process.settings.cache_clear()
    scoring_process._engine_of.cache_clear()


WRONG = [
    (), (1,), (1, 2, 3), ("1", 2), (1, "2"), (1.0, 2), (1, 2.5), (True, 1), (1, False), (None, None), (0, 1), (1, -1),
    (HUGE, 1), (1, HUGE), ("/etc/passwd", 1), ([1], 2), ({"job": 1}, 2),
]  # fmt: skip


@pytest.mark.parametrize("args", WRONG, ids=str)
def test_a_message_of_another_shape_is_refused_before_anything_is_looked_up(home, args):
    refused = tasks.inspect_batch.apply(args)
    assert isinstance(refused.result, TypeError)
    assert not home.exists()


@pytest.mark.parametrize("kwargs", [{"path": "/etc/passwd"}, {"job_id": 1, "number": 1, "path": "x"}], ids=str)
def test_names_that_the_task_does_not_know_are_refused(home, kwargs):
    assert isinstance(tasks.inspect_batch.apply((), kwargs).result, TypeError)
    assert not home.exists()


def test_numbers_of_a_job_that_is_not_there_are_let_go(home):
    assert tasks.inspect_batch.apply((2**63 - 1, 1)).state == "SUCCESS"
    assert (home / "oddlot.db").exists()


def test_a_database_that_does_not_answer_is_waited_for_and_not_hammered(home, monkeypatch, logs):
    pauses = []
    monkeypatch.setattr(tasks.time, "sleep", pauses.append)
    home.mkdir()
    (home / "oddlot.db").mkdir()
    assert tasks.inspect_batch.apply((1, 1)).state == "SUCCESS"
    assert pauses == [tasks.DATABASE_PAUSE]
    assert [log["event"] for log in logs] == ["the database does not answer"]
    (home / "oddlot.db").rmdir()


@pytest.mark.parametrize(("args", "kwargs"), [((1,), {}), (("/etc/passwd",), {}), ((), {"moment": 1})], ids=str)
def test_a_tick_takes_nothing(home, args, kwargs):
    assert isinstance(tasks.tick.apply(args, kwargs).result, TypeError)
    assert not home.exists()


def test_a_tick_starts_what_is_due_by_the_clock_of_the_database(home, lot):
    engine = scoring_process.engine()
    twelve_hours_ago = datetime.now(UTC) - timedelta(hours=12)
    register(engine, "0" * 64)
    schedules.add_schedule(
        engine, name="line3", model_name="flange", folder=str(lot), line=None, at=f"{twelve_hours_ago:%H:%M}",
        time_zone="UTC", only_new=False, keep_days=None,
    )  # fmt: skip
    assert tasks.tick.apply().state == "SUCCESS"
    assert jobs.list_jobs(engine, limit=10) == []  # it is there since just now
    with writing(engine) as connection:
        connection.execute(update(schedule).values(active_since=datetime.now(UTC) - timedelta(days=2)))
    for _ in range(2):
        assert tasks.tick.apply().state == "SUCCESS"
    assert [job.source for job in jobs.list_jobs(engine, limit=10)] == [str(lot)]
    # Heard of while it listed: the watchdog would take a child that lists for long for one that hangs.
    assert [name for name, _ in liveness.children_seen(engine)] == [identity()]


def test_a_tick_without_its_database_is_said_and_comes_again(home, logs):
    home.mkdir()
    (home / "oddlot.db").mkdir()
    assert tasks.tick.apply().state == "SUCCESS"
    assert [log["event"] for log in logs] == ["the database does not answer"]
    (home / "oddlot.db").rmdir()
