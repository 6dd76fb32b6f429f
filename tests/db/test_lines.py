"""A line's quota: never more of its batches in work than it says, and never a batch that waits for ever behind it."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from making import claimed, finish
from sqlalchemy import func, select

from db import batches, due, endings, jobs, line_overview, lines, liveness, sweeping
from db.engine import reading
from db.lines import Quota
from db.schema import IS_LEASED, batch, job
from oddlot.words import JobState


def told(engine, limit=100):
    return [(of, number) for of, number, _ in due.due_for_publishing(engine, older_than_seconds=None, limit=limit)]


def in_work(engine, line):
    query = select(func.count()).select_from(batch).join(job, job.c.id == batch.c.job_id)
    with reading(engine) as connection:
        return connection.execute(query.where(IS_LEASED, job.c.line == line)).scalar_one()


@pytest.fixture
def flood(engine, submit):
    """A job of ten batches of a line that may have two in work."""
    lines.set_quota(engine, Quota("press-3", batches=2))
    return submit(10, batch_size=1, line="press-3")


def test_a_quota_is_kept_changed_and_forgotten(engine):
    lines.set_quota(engine, Quota("a", batches=2))
    lines.set_quota(engine, Quota("b", items_per_day=7))
    lines.set_quota(engine, Quota("a", batches=3, items_per_day=5))
    assert lines.list_quotas(engine) == {"a": Quota("a", 3, 5), "b": Quota("b", None, 7)}
    lines.set_quota(engine, Quota("a"))
    assert list(lines.list_quotas(engine)) == ["b"]


def test_beyond_the_quota_nothing_is_claimed_and_the_next_is_told_of_when_one_ends(engine, flood, submit):
    other = submit(2, batch_size=1, line="press-4")
    assert told(engine) == [(flood.id, 1), (other.id, 1), (flood.id, 2), (other.id, 2)]
    first, second = claimed(engine, flood, 1), claimed(engine, flood, 2)
    assert batches.claim_batch(engine, flood.id, 3, "me", 60.0) is None
    assert due.most_urgent(engine) is None
    assert told(engine) == []
    finish(engine, first)
    assert due.most_urgent(engine) == 5
    assert told(engine) == [(flood.id, 3)]
    batches.release_batch(engine, second, "no memory", count_attempt=True)
    assert sorted(told(engine)) == [(flood.id, 2), (flood.id, 4)]


def test_a_message_that_met_a_full_line_is_not_lost(engine, flood):
    lines.set_quota(engine, Quota("press-3", batches=3))
    assert len(told(engine)) == 3
    lines.set_quota(engine, Quota("press-3", batches=1))  # as the messages are on their way
    claim = claimed(engine, flood, 1)
    for number in (2, 3):
        assert batches.claim_batch(engine, flood.id, number, "me", 60.0) is None
    finish(engine, claim)
    assert told(engine) == [(flood.id, 2)]


def test_one_call_after_the_other_tells_of_no_more_than_the_line_has_room_for(engine, flood):
    room = due.room_of_lines(engine)
    found = due.due_for_publishing(engine, older_than_seconds=None, limit=100, line_room=room)
    assert [number for _, number, _ in found] == [1, 2]
    assert due.due_for_publishing(engine, older_than_seconds=None, limit=100, line_room=room) == []


def test_many_claimers_at_once_never_exceed_it_and_the_job_is_done(engine, flood):
    over, gate = [], threading.Barrier(6)

    def work(name):
        gate.wait()
        while jobs.get_job(engine, flood.id).finished_at is None:
            for of, number in told(engine, 4):
                claim = batches.claim_batch(engine, of, number, name, 60.0)
                if claim is not None:
                    over.append(in_work(engine, "press-3"))
                    finish(engine, claim)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, map(str, range(6))))
    done = jobs.get_job(engine, flood.id)
    assert (done.state, done.scored, done.unaccounted) == (JobState.DONE, 10, 0)
    assert max(over) <= 2


def test_dead_leases_hold_the_quota_until_they_are_put_back_and_no_longer(engine, flood):
    claims = [batches.claim_batch(engine, flood.id, number, "dead", -1.0) for number in (1, 2)]
    assert batches.claim_batch(engine, flood.id, 3, "me", 60.0) is None  # their owners may still be at it
    sweeping.sweep(engine, max_attempts=3)
    rounds = 0
    while jobs.get_job(engine, flood.id).finished_at is None:
        rounds += 1
        assert rounds <= 5
        for of, number in told(engine):
            finish(engine, batches.claim_batch(engine, of, number, "me", 60.0))
    assert jobs.get_job(engine, flood.id).scored == 10
    assert not batches.renew_lease(engine, claims[0], 60.0)


def test_a_line_without_a_quota_and_jobs_without_a_line_are_not_counted(engine, flood, submit):
    unnamed = submit(3, batch_size=1)
    claimed(engine, flood, 1)
    claimed(engine, flood, 2)
    assert told(engine) == [(unnamed.id, 1), (unnamed.id, 2), (unnamed.id, 3)]
    assert all(batches.claim_batch(engine, unnamed.id, number, "me", 60.0) for number in (1, 2, 3))


def test_a_job_that_waits_for_its_line_says_so(engine, flood):
    waiting = liveness.open_jobs(engine, max_attempts=3)[0]
    assert (waiting.line, waiting.line_batches) == ("press-3", None)
    claimed(engine, flood, 1)
    claimed(engine, flood, 2)
    assert liveness.open_jobs(engine, max_attempts=3)[0].line_batches == 2


def test_what_a_camera_brings_beyond_its_items_of_a_night_is_done_last(engine, submit):
    lines.set_quota(engine, Quota("press-3", items_per_day=12))
    within, beyond = submit(10, line="press-3"), submit(3, line="press-3", priority=9)
    elsewhere = submit(30, line="press-4")
    assert [row.priority for row in (within, beyond, elsewhere)] == [5, 0, 5]
    assert [of for of, _ in told(engine)][-1] == beyond.id
    health = {one.job_id: one.line_items for one in liveness.open_jobs(engine, max_attempts=3)}
    assert health == {within.id: None, beyond.id: 12, elsewhere.id: None}


def test_what_was_cancelled_and_other_nights_do_not_count(engine, submit):
    lines.set_quota(engine, Quota("press-3", items_per_day=12))
    endings.cancel_job(engine, submit(10, line="press-3").id)
    assert submit(10, line="press-3").priority == 5
    yesterday = jobs.get_job(engine, "last").night.replace(year=2001)
    assert submit(10, line="press-3", night=yesterday).priority == 5


def test_the_lines_at_a_glance(engine, flood, submit):
    submit(6, batch_size=2, line="press-4")
    submit(1)
    lines.set_quota(engine, Quota("spare", batches=1))
    claimed(engine, flood, 1)
    found = {row.line: row for row in line_overview.list_lines(engine)}
    assert list(found) == ["press-3", "press-4", "spare", None]
    press = found["press-3"]
    assert (press.items, press.waiting_batches, press.waiting_items, press.in_work, press.share) == (10, 9, 10, 1, 1.0)
    assert (press.last_night, press.quota) == (flood.night, Quota("press-3", 2))
    assert (found["press-4"].waiting_batches, found["press-4"].waiting_items, found["press-4"].share) == (3, 6, 0.0)
    assert (found["spare"].last_night, found["spare"].quota) == (None, Quota("spare", 1))
