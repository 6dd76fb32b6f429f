"""What the queue is told of next: the urgent first, equally urgent jobs in turn, no more than there is room for; and a
large job makes none of it slower."""

from datetime import timedelta

import pytest
from making import claimed, finish
from sqlalchemy import insert, update

from db import due, jobs, liveness, sweeping
from db.due import due_for_publishing, most_urgent
from db.engine import now, writing
from db.schema import batch, job
from oddlot.words import BatchState, JobState

PLENTY = [100] * 10


def told(engine, limit=100, room=PLENTY, older=None):
    return [(job, number) for job, number, _ in due_for_publishing(
        engine, older_than_seconds=older, limit=limit, room=room
    )]  # fmt: skip


def test_jobs_of_one_priority_are_told_of_in_turn(engine, submit):
    large, small = submit(20, batch_size=2), submit(5, batch_size=2)
    assert told(engine, limit=3) == [(large.id, 1), (small.id, 1), (large.id, 2)]
    third = submit(2, batch_size=2)
    assert told(engine, limit=4) == [(third.id, 1), (small.id, 2), (large.id, 3), (small.id, 3)]
    assert told(engine) == [(large.id, number) for number in range(4, 11)]
    assert told(engine) == []


def test_of_more_jobs_than_there_is_room_for_the_oldest_come_first(engine, submit):
    waiting = [submit(4, batch_size=2) for _ in range(5)]
    assert told(engine, limit=3) == [(job.id, 1) for job in waiting[:3]]


def test_each_of_more_jobs_than_there_is_room_for_has_its_turn_before_any_has_another(engine, submit):
    """Also one that comes last, and where the queue is told of one batch at a time."""
    waiting = [submit(12, batch_size=2) for _ in range(7)]
    turns = [job for count in (3, 3, 3, 1, 1, 1, 1, 1) for job, _ in told(engine, limit=count)]
    assert turns == [waiting[turn % 7].id for turn in range(14)]
    late = submit(2, batch_size=2)
    assert told(engine, limit=2) == [(late.id, 1), (waiting[0].id, 3)]


def test_turns_that_were_written_before_the_clock_was_set_back_are_none(engine, submit):
    early = [submit(12, batch_size=2) for _ in range(2)]
    told(engine, limit=2)
    with writing(engine) as connection:
        connection.execute(update(job).values(told_at=now(connection) + timedelta(days=1)))
    others = [submit(12, batch_size=2) for _ in range(3)]
    assert {job for count in (3, 3) for job, _ in told(engine, limit=count)} == {one.id for one in early + others}


def test_what_is_less_urgent_fills_only_the_room_that_is_left_to_it(engine, submit):
    night, urgent = submit(20, batch_size=2, priority=2), submit(6, batch_size=2, priority=9)
    room = [4, 4, 4, *[2] * 7]
    assert told(engine, room=room) == [(urgent.id, 1), (urgent.id, 2), (night.id, 1), (night.id, 2)]
    full_of_the_urgent = [0] * 10
    assert told(engine, room=full_of_the_urgent) == []
    full_of_the_night = [0, 0, 0, *[2] * 7]
    assert told(engine, room=full_of_the_night) == [(urgent.id, 3)]


def test_the_most_urgent_of_what_the_queue_does_not_know(engine, submit):
    assert most_urgent(engine) is None
    submit(4, batch_size=2, priority=2)
    assert most_urgent(engine) == 2
    submit(2, batch_size=2, priority=7)
    assert most_urgent(engine) == 7
    told(engine, limit=1)
    assert most_urgent(engine) == 2
    told(engine)
    assert most_urgent(engine) is None


def test_what_the_queue_lost_is_told_of_again_in_turn(engine, submit):
    first, second = submit(4, batch_size=2), submit(4, batch_size=2)
    told(engine)
    with writing(engine) as connection:
        connection.execute(update(batch).values(published_at=now(connection) - timedelta(minutes=1)))
    assert told(engine, older=30.0, limit=3) == [(first.id, 1), (second.id, 1), (first.id, 2)]


def add_closed_batches(engine, job, count):
    """As if so many batches of the job were done, which come before the others."""
    with writing(engine) as connection:
        row = {
            "job_id": job.id, "state": BatchState.DONE, "attempts": 1, "fencing": 1, "waiting_since": now(connection),
            "look": {"figures": "x" * 1000},
        }  # fmt: skip
        if count:
            connection.execute(insert(batch), [row | {"number": -1 - i} for i in range(count)])


class Work:
    """Counts what SQLite does, in steps of its virtual machine: the same on every computer."""

    EACH = 10

    def __init__(self, engine):
        self.engine, self.steps = engine, 0

    def of(self, call):
        raw = self.engine.raw_connection()
        self.steps = 0
        raw.driver_connection.set_progress_handler(self._count, self.EACH)
        raw.close()  # back to the pool, from which the call takes it
        call()
        return self.steps * self.EACH

    def _count(self):
        self.steps += 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_is_done_for_each_batch_is_not_more_in_a_job_with_thousands_behind_it(engine, submit):
    work, steps = Work(engine), {}
    for behind in (0, 3_000):
        job = submit(6, batch_size=1)
        add_closed_batches(engine, job, behind)
        due.due_for_publishing(engine, older_than_seconds=None, limit=3)
        claims = []
        steps[behind] = {
            "claim": work.of(lambda job=job, claims=claims: claims.append(claimed(engine, job, 1))),
            "finish": work.of(lambda claims=claims: finish(engine, claims[0])),
            "fill up": work.of(lambda: due.most_urgent(engine)),
            "publish": work.of(lambda: due.due_for_publishing(engine, older_than_seconds=None, limit=1)),
            "sweep": work.of(lambda: sweeping.sweep(engine, max_attempts=3)),
            "owners": work.of(lambda: sweeping.lease_owners(engine)),
            "watch": work.of(lambda: (liveness.held_batches(engine), liveness.anything_overdue(engine, 3600))),
        }
        with writing(engine) as connection:  # out of the way of the next
            connection.execute(update(batch).where(batch.c.state != BatchState.DONE).values(state=BatchState.CANCELLED))
            jobs.set_state(connection, job.id, JobState.CANCELLED, finished_at=now(connection))
    # Twice as much is what two hundred steps more or less may make of a short statement.
    assert {what: few for what, few in steps[0].items() if steps[3_000][what] > 2 * few + 200} == {}, steps
