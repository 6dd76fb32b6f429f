"""Deliveries: each report owed once, sent by one at a time, tried again for about a day, and no history at once."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from db import deliveries
from db.deliveries import PAUSES, claim, deliveries_of, plan, record_failed, record_sent
from db.endings import cancel_job, fail_job, retry_job
from db.engine import now, reading, writing
from db.schema import delivery, job
from oddlot.words import DeliveryKind, JobState

FOLDER = (DeliveryKind.FOLDER, "/srv/reports")
MAIL = (DeliveryKind.EMAIL, "ada@plant")
BOTH = [FOLDER, MAIL]
LEASE = 60.0


@pytest.fixture
def ended(engine, submit):
    """A job that ended some time ago, as the database has it."""

    def end(ago: timedelta = timedelta(), state: JobState = JobState.DONE) -> int:
        row = submit(0)
        with writing(engine) as connection:
            moment = now(connection) - ago
            connection.execute(update(job).where(job.c.id == row.id).values(state=state, finished_at=moment))
        return row.id

    return end


def shift(engine, **values) -> None:
    with writing(engine) as connection:
        connection.execute(update(delivery).values(**values))


def test_each_target_gets_one_row_for_each_finished_job(engine, ended, submit) -> None:
    jobs = [ended(state=state) for state in (JobState.DONE, JobState.HELD, JobState.FAILED)]
    cancelled, running = submit(3), submit(3)
    cancel_job(engine, cancelled.id)
    assert plan(engine, BOTH) == 6
    assert plan(engine, BOTH) == 0
    for number in jobs:
        assert {(row.kind, row.target, row.state) for row in deliveries_of(engine, number)} == {
            (*FOLDER, "waiting"), (*MAIL, "waiting")
        }  # fmt: skip
    assert deliveries_of(engine, cancelled.id) == deliveries_of(engine, running.id) == []


def test_a_new_target_does_not_get_the_history_and_an_old_one_what_a_crash_left(engine, ended) -> None:
    early, just_now = ended(timedelta(hours=8)), ended(timedelta(minutes=5))
    assert plan(engine, [FOLDER]) == 1
    assert deliveries_of(engine, just_now)
    assert not deliveries_of(engine, early)
    assert plan(engine, [FOLDER]) == 0
    with reading(engine) as connection:
        shift(engine, created_at=now(connection) - timedelta(days=9))
    missed, long_ago = ended(timedelta(hours=20)), ended(timedelta(days=2))
    plan(engine, [FOLDER])
    assert deliveries_of(engine, missed)
    assert not deliveries_of(engine, long_ago)


def test_one_sender_a_row_and_what_came_of_it(engine, ended) -> None:
    number = ended()
    plan(engine, BOTH)
    first, second = claim(engine, BOTH, "me", LEASE), claim(engine, BOTH, "you", LEASE)
    assert first is not None
    assert second is not None
    assert {first.kind, second.kind} == {DeliveryKind.FOLDER, DeliveryKind.EMAIL}
    assert claim(engine, BOTH, "they", LEASE) is None
    assert not deliveries.any_due(engine, BOTH)
    assert not record_sent(engine, first, "you")
    assert record_sent(engine, first, "me")
    assert record_failed(engine, second, "you", "no answer")
    by_kind = {row.kind: row for row in deliveries_of(engine, number)}
    assert by_kind[first.kind].state == "sent"
    assert (by_kind[second.kind].state, by_kind[second.kind].error) == ("waiting", "no answer")
    assert claim(engine, BOTH, "me", LEASE) is None


def test_only_targets_of_these_settings_are_claimed(engine, ended) -> None:
    ended()
    plan(engine, BOTH)
    assert claim(engine, [], "me", LEASE) is None
    assert claim(engine, [(DeliveryKind.EMAIL, "else@plant")], "me", LEASE) is None
    row = claim(engine, [MAIL], "me", LEASE)
    assert row is not None
    assert row.target == "ada@plant"


def test_the_pauses_grow_to_about_a_day_and_then_it_has_failed(engine, ended) -> None:
    assert list(PAUSES) == sorted(PAUSES)
    assert timedelta(hours=20) < sum(PAUSES, timedelta()) < timedelta(hours=30)
    number = ended()
    plan(engine, [FOLDER])
    for attempt in range(1, len(PAUSES) + 2):
        row = claim(engine, [FOLDER], "me", LEASE)
        assert row is not None
        assert row.attempts == attempt
        with reading(engine) as connection:
            before = now(connection)
        assert record_failed(engine, row, "me", f"error {attempt}")
        (row,) = deliveries_of(engine, number)
        if attempt <= len(PAUSES):
            assert row.next_at is not None
            assert row.next_at - before >= PAUSES[attempt - 1]
            shift(engine, next_at=before)
    assert (row.state, row.error) == ("failed", f"error {len(PAUSES) + 1}")
    assert claim(engine, [FOLDER], "me", LEASE) is None
    assert [one.id for one in deliveries.failed_lately(engine, timedelta(days=1))] == [row.id]


def test_a_sender_that_died_is_followed_by_another_and_not_for_ever(engine, ended) -> None:
    number = ended()
    plan(engine, [FOLDER])
    assert claim(engine, [FOLDER], "dead", LEASE) is not None
    assert deliveries.end_leases_of_the_dead(engine, lambda owner: owner == "alive") == 0
    assert deliveries.end_leases_of_the_dead(engine, lambda owner: owner == "dead") == 1
    row = claim(engine, [FOLDER], "me", LEASE)
    assert row is not None
    assert (row.attempts, row.error) == (2, "the attempt before did not come to an end")
    with reading(engine) as connection:
        shift(engine, attempts=len(PAUSES) + 1, next_at=now(connection))
    assert claim(engine, [FOLDER], "me", LEASE) is None
    assert deliveries_of(engine, number)[0].state == "failed"


def test_a_job_that_was_opened_and_finished_again_is_reported_again(engine, submit) -> None:
    row = submit(2)
    fail_job(engine, row.id, "the bundle is gone")
    plan(engine, [FOLDER])
    first = claim(engine, [FOLDER], "me", LEASE)
    assert first is not None
    record_sent(engine, first, "me")
    retry_job(engine, row.id, 10)
    assert plan(engine, [FOLDER]) == 0
    fail_job(engine, row.id, "still gone")
    assert plan(engine, [FOLDER]) == 1
    second = claim(engine, [FOLDER], "me", LEASE)
    assert second is not None
    assert second.attempts == 1
    assert second.number != first.number
    assert not record_sent(engine, first, "me")
