"""Executed at least once, recorded exactly once: claims, leases, fencing numbers."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise

import pytest
from making import claimed, finish, scored

from db import batches, due, endings, jobs, splitting, sweeping
from db.engine import reading
from db.results import ResultFilter, iter_results
from db.schema import batch
from oddlot.errors import LateResult
from oddlot.words import BatchState, JobState

MAX_ATTEMPTS = 3


def sweep(engine):
    return sweeping.sweep(engine, max_attempts=MAX_ATTEMPTS)


def results(engine, job):
    return [row for row in iter_results(engine, ResultFilter(job_id=job.id)) if row["raw_score"] is not None]


def test_a_batch_is_claimed_by_one(engine, submit):
    job = submit(40, batch_size=4)
    with ThreadPoolExecutor(8) as pool:
        claims = list(
            pool.map(lambda i: batches.claim_batch(engine, job.id, i % 10 + 1, f"worker {i}", 60.0), range(80))
        )
    got = [claim for claim in claims if claim is not None]
    assert sorted(claim.number for claim in got) == list(range(1, 11))


def test_nobody_claims_what_is_done_cancelled_or_not_there(engine, submit):
    job = submit(8, batch_size=4)
    finish(engine, claimed(engine, job, 1))
    assert batches.claim_batch(engine, job.id, 1, "me", 60.0) is None
    assert batches.claim_batch(engine, job.id, 77, "me", 60.0) is None
    endings.cancel_job(engine, job.id)
    assert batches.claim_batch(engine, job.id, 2, "me", 60.0) is None


def test_workers_that_close_the_last_batches_together_finish_the_job_once(engine, submit):
    job = submit(24, batch_size=2)
    claims = [claimed(engine, job, number) for number in range(1, 13)]
    with ThreadPoolExecutor(12) as pool:
        finished = [row for row in pool.map(lambda claim: finish(engine, claim), claims) if row is not None]
    assert len(finished) == 1
    assert (finished[0].state, finished[0].scored, finished[0].unaccounted) == (JobState.DONE, 24, 0)


def test_a_worker_that_was_frozen_past_its_lease_writes_nothing(engine, submit):
    job = submit(4, batch_size=4)
    frozen = claimed(engine, job, 1, "frozen", lease=-1.0)
    assert sweep(engine).put_back == 1
    with pytest.raises(LateResult):
        finish(engine, frozen)
    assert not batches.renew_lease(engine, frozen, 60.0)
    assert not batches.release_batch(engine, frozen, "too late", count_attempt=True)
    successor = claimed(engine, job, 1, "successor")
    assert successor.fencing > frozen.fencing
    with pytest.raises(LateResult):
        finish(engine, frozen)
    assert results(engine, job) == []
    done = finish(engine, successor)
    assert done is not None
    assert done.scored == len(results(engine, job)) == 4
    with pytest.raises(LateResult):
        finish(engine, successor)


def test_a_renewed_lease_is_not_swept(engine, submit):
    job = submit(4, batch_size=4)
    claim = claimed(engine, job, 1, lease=-1.0)
    assert batches.renew_lease(engine, claim, 60.0)
    assert not sweep(engine).anything
    assert finish(engine, claim) is not None


def test_leases_of_a_dead_owner_end_at_once(engine, submit):
    job = submit(8, batch_size=4)
    claimed(engine, job, 1, "dead")
    living = claimed(engine, job, 2, "living")
    assert sorted(sweeping.lease_owners(engine)) == ["dead", "living"]
    assert sweeping.expire_leases(engine, "dead") == 1
    assert sweep(engine).put_back == 1
    assert sweeping.lease_owners(engine) == ["living"]
    finish(engine, living)
    assert finish(engine, claimed(engine, job, 1)) is not None


def test_results_must_be_those_of_the_batch(engine, submit):
    job = submit(8, batch_size=4)
    claim, other = claimed(engine, job, 1), claimed(engine, job, 2)
    for wrong in ([], claim.items[:3], other.items, [*claim.items, other.items[0]], [*claim.items[:3], claim.items[0]]):
        with pytest.raises(ValueError, match="do not match"):
            finish(engine, claim, [scored(item) for item in wrong])
    assert results(engine, job) == []


@pytest.mark.parametrize("count", [1, 2, 5, 64])
def test_the_picture_that_breaks_workers_is_found_and_quarantined_alone(engine, submit, count):
    """Every worker that meets the poison dies without a word; its lease is ended."""
    job = submit(count, batch_size=64)
    poison = claimed(engine, job, 1, lease=-1.0).items[count // 3].id
    rounds = 0
    while jobs.get_job(engine, job.id).finished_at is None:
        sweep(engine)
        for job_id, number, _ in due.due_for_publishing(engine, older_than_seconds=None, limit=100):
            claim = batches.claim_batch(engine, job_id, number, "worker", -1.0)
            if claim is not None and poison not in {item.id for item in claim.items}:
                finish(engine, claim)
        rounds += 1
        assert rounds < 40
    done = jobs.get_job(engine, job.id)
    assert (done.state, done.scored, done.quarantined, done.unaccounted) == (JobState.DONE, count - 1, 1, 0)
    (row,) = [row for row in iter_results(engine, ResultFilter(job_id=job.id)) if row["state"] == "quarantined"]
    assert row["item"] == poison
    assert "also alone" in row["error"]


def test_a_picture_that_is_known_to_break_workers_is_set_apart_by_its_holder_and_by_nobody_else(engine, submit):
    job = submit(9, batch_size=64)
    late = claimed(engine, job, 1, lease=-1.0)
    sweep(engine)
    claim = claimed(engine, job, 1)
    poison = claim.items[4].id
    hung = partial(splitting.fail_batch, error="hangs", max_attempts=MAX_ATTEMPTS, split=True, alone=poison)
    assert [hung(engine, one) for one in (late, claim, claim)] == ["", "split", ""]
    others = claimed(engine, job, 2)
    assert len(others.items) == 8
    finish(engine, others)
    for became in ("waiting", "quarantined"):
        assert not sweep(engine).anything
        alone = claimed(engine, job, 3)
        assert [item.id for item in alone.items] == [poison]
        assert hung(engine, alone) == became
    done = jobs.get_job(engine, job.id)
    assert (done.state, done.scored, done.quarantined, done.unaccounted) == (JobState.DONE, 8, 1, 0)


def test_who_holds_a_batch_that_fails_once_too_often_ends_it_himself(engine, submit):
    """Put back, it would be published at once, and tried again until a sweeper came by."""
    job = submit(2, batch_size=2)
    for became in ("waiting", "waiting", "split"):
        assert splitting.fail_batch(engine, claimed(engine, job, 1), "boom", max_attempts=MAX_ATTEMPTS) == became
    finish(engine, claimed(engine, job, 2))
    for became in ("waiting", "quarantined"):
        assert splitting.fail_batch(engine, claimed(engine, job, 3), "boom", max_attempts=MAX_ATTEMPTS) == became
    assert due.due_for_publishing(engine, older_than_seconds=None, limit=10) == []
    done = jobs.get_job(engine, job.id)
    assert (done.state, done.scored, done.quarantined, done.unaccounted) == (JobState.DONE, 1, 1, 0)
    assert not sweep(engine).anything


def test_a_batch_whose_last_attempt_fell_silent_is_never_put_back_in_between(engine, submit):
    job = submit(2, batch_size=2)
    for _ in range(MAX_ATTEMPTS - 1):
        claimed(engine, job, 1, lease=-1.0)
        assert sweep(engine).as_dict() == {"put_back": 1, "split": 0, "quarantined": 0, "closed": 0}
    silent = claimed(engine, job, 1, lease=-1.0)
    assert sweep(engine).as_dict() == {"put_back": 0, "split": 1, "quarantined": 0, "closed": 0}
    with pytest.raises(LateResult):
        finish(engine, silent)


def test_a_batch_that_fails_for_the_last_time_in_a_cancelled_job_ends_with_it(engine, submit):
    job = submit(2, batch_size=2)
    for _ in range(MAX_ATTEMPTS - 1):
        splitting.fail_batch(engine, claimed(engine, job, 1), "boom", max_attempts=MAX_ATTEMPTS)
    claim = claimed(engine, job, 1)
    endings.cancel_job(engine, job.id)
    assert splitting.fail_batch(engine, claim, "boom", max_attempts=MAX_ATTEMPTS) == "split"
    assert sweep(engine).closed == 1
    done = jobs.get_job(engine, job.id)
    assert (done.state, done.cancelled, done.unaccounted) == (JobState.CANCELLED, 2, 0)


def test_a_batch_given_back_counts_as_an_attempt_only_where_it_may_be_at_fault(engine, submit):
    job = submit(1)
    for _ in range(10):
        claim = claimed(engine, job, 1)
        batches.release_batch(engine, claim, "the worker was told to stop", count_attempt=False)
        assert not sweep(engine).anything
    for _ in range(MAX_ATTEMPTS):
        assert not sweep(engine).anything
        claim = claimed(engine, job, 1)
        batches.release_batch(engine, claim, "boom", count_attempt=True)
    assert sweep(engine).quarantined == 1  # as where the setting was lowered meanwhile
    (row,) = iter_results(engine, ResultFilter(job_id=job.id))
    assert "boom" in row["error"]


def test_publishing_hands_out_each_batch_once_the_urgent_first(engine, submit):
    night = submit(8, batch_size=2, priority=2)
    urgent = submit(4, batch_size=2, priority=9)
    assert due.due_for_publishing(engine, older_than_seconds=None, limit=3) == [
        (urgent.id, 1, 9), (urgent.id, 2, 9), (night.id, 1, 2)
    ]  # fmt: skip
    rest = due.due_for_publishing(engine, older_than_seconds=None, limit=10)
    assert rest == [(night.id, 2, 2), (night.id, 3, 2), (night.id, 4, 2)]
    assert due.due_for_publishing(engine, older_than_seconds=None, limit=10) == []
    assert due.due_for_publishing(engine, older_than_seconds=60.0, limit=10) == []
    due.unpublish(engine, rest[:1])
    assert due.due_for_publishing(engine, older_than_seconds=None, limit=10) == rest[:1]
    assert len(due.due_for_publishing(engine, older_than_seconds=0.0, limit=10)) == 6


def test_two_publishers_do_not_hand_out_the_same(engine, submit):
    submit(60, batch_size=1)
    with ThreadPoolExecutor(6) as pool:
        shares = pool.map(lambda _: due.due_for_publishing(engine, older_than_seconds=None, limit=7), range(30))
        handed_out = [one for share in shares for one in share]
    # SKIP LOCKED may leave some for a later round, but gives none twice
    handed_out += due.due_for_publishing(engine, older_than_seconds=None, limit=100)
    assert sorted(number for _, number, _ in handed_out) == list(range(1, 61))


def test_a_cancel_that_was_killed_half_way_is_completed_by_the_sweeper(engine, submit):
    from db.engine import writing
    from db.jobs import set_state

    job = submit(8, batch_size=4)
    with writing(engine) as connection:
        set_state(connection, job.id, JobState.CANCELLED)
    assert sweep(engine).closed == 1
    done = jobs.get_job(engine, job.id)
    assert (done.state, done.cancelled, done.unaccounted) == (JobState.CANCELLED, 8, 0)


def test_a_lease_in_a_cancelled_job_is_closed_when_its_worker_dies(engine, submit):
    job = submit(8, batch_size=4)
    claimed(engine, job, 1, lease=-1.0)
    endings.cancel_job(engine, job.id)
    sweep(engine)
    done = jobs.get_job(engine, job.id)
    assert (done.cancelled, done.unaccounted, sweeping.lease_owners(engine)) == (8, 0, [])


def test_many_workers_and_sweepers_with_random_deaths_account_for_every_item(engine, submit):
    """Six workers of which every third claim dies, and a sweeper between them, until the job is done."""
    job = submit(120, batch_size=5)

    def work(seed):
        done = 0
        for round_ in range(400):
            if seed == 0:
                sweep(engine)
            for job_id, number, _ in due.due_for_publishing(engine, older_than_seconds=None, limit=2):
                dies = (number * 7 + round_ + seed) % 3 == 0
                claim = batches.claim_batch(engine, job_id, number, f"w{seed}", -1.0 if dies else 60.0)
                if claim is not None and not dies:
                    finish(engine, claim)
                    done += len(claim.items)
            if jobs.get_job(engine, job.id).finished_at is not None:
                break
        return done

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    for _ in range(20):
        sweep(engine)
        work(1)
    end = jobs.get_job(engine, job.id)
    assert end.finished_at is not None
    assert (end.unaccounted, end.unreadable, end.cancelled) == (0, 0, 0)
    assert end.scored + end.quarantined == 120
    assert len(results(engine, job)) == end.scored
    with reading(engine) as connection:
        assert not connection.execute(batch.select().where(batch.c.state == BatchState.LEASED)).all()


def test_fencing_numbers_of_a_batch_only_grow(engine, submit):
    job = submit(1)
    numbers = []
    for _ in range(5):
        claim = claimed(engine, job, 1)
        numbers.append(claim.fencing)
        batches.release_batch(engine, claim, "again", count_attempt=False)
    assert all(a < b for a, b in pairwise(numbers))
