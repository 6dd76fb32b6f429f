"""A job from its listing to its completeness record."""

import os

import pytest
from making import claimed, files, finish, open_job, scored

from db import endings, jobs, listing
from db.batches import Outcome
from db.results import ResultFilter, iter_results
from oddlot.errors import NotFoundError, StateError
from oddlot.words import ItemState, JobState


def test_listed_items_stand_in_batches_and_are_counted(engine, submit):
    job = submit(10, batch_size=4, line="press 3")
    assert (job.state, job.listed, job.unaccounted, job.line) == (JobState.QUEUED, 10, 10, "press 3")
    sizes = [len(claimed(engine, job, number).items) for number in (1, 2, 3)]
    assert sizes == [4, 4, 2]
    assert jobs.get_job(engine, job.id).state == JobState.RUNNING
    assert jobs.get_job(engine, "last").id == job.id


def test_the_last_batch_closes_the_job_with_the_counts(engine, submit):
    job = submit(5, batch_size=3)
    first, second = claimed(engine, job, 1), claimed(engine, job, 2)
    outcomes = [
        scored(first.items[0], 0.9),
        Outcome(first.items[1].id, ItemState.UNREADABLE, error="the file is empty"),
        Outcome(first.items[2].id, ItemState.QUARANTINED, error="no finite score", sha256="b" * 64),
    ]
    assert finish(engine, first, outcomes) is None
    now = jobs.get_job(engine, job.id)
    assert (now.state, now.scored, now.unreadable, now.quarantined, now.unaccounted) == (JobState.RUNNING, 1, 1, 1, 2)
    done = finish(engine, second)
    assert done is not None
    assert (done.state, done.scored, done.flagged, done.unaccounted) == (JobState.DONE, 3, 1, 0)
    assert done.finished_at is not None
    assert jobs.get_job(engine, job.id) == done


def test_a_job_without_items_is_done(engine, model):
    job_id = open_job(engine, model)
    done = listing.close_listing(
        engine, job_id, found=7, seen_before=7, left_out={"hidden or system file": 2}, deferred=["/data/lot/new.jpg"]
    )
    assert (done.state, done.listed, done.found, done.seen_before) == (JobState.DONE, 0, 7, 7)
    assert done.left_out == {"hidden or system file": 2}
    assert jobs.deferred_files(engine, job_id) == ["/data/lot/new.jpg"]


def test_the_same_key_is_the_same_job(engine, model, submit):
    job = submit(3, key="night 1")
    again, created = jobs.create_job(
        engine, model_id=model.id, source="/elsewhere", line=None, lot="x", priority=5, recursive=True, glob=None,
        only_new=False, key="night 1",
    )  # fmt: skip
    assert (again, created) == (job.id, False)
    assert len(jobs.list_jobs(engine, limit=10)) == 1


def test_names_that_are_no_text_come_back_as_they_were(engine, model):
    odd = [
        os.fsdecode(b"/data/Gr\xf6\xdfe 1.jpg"),
        "/data/Größe µ.jpg",
        "/data/100% \\udcf6 bytes:.jpg",
        "/data/\n.jpg",
    ]
    job_id = open_job(engine, model, source=os.fsdecode(b"/data/\xff"), lot=os.fsdecode(b"lot \xff"))
    listing.add_items(engine, job_id, [(path, 1, 1) for path in odd], 1, 10)
    job = listing.close_listing(engine, job_id, found=4, seen_before=0, left_out={}, deferred=odd)
    assert job.source == os.fsdecode(b"/data/\xff")
    assert job.lot == "lot \\udcff"
    assert [item.path for item in claimed(engine, job, 1).items] == odd
    assert jobs.deferred_files(engine, job_id) == odd
    assert jobs.unseen(engine, model.id, [(odd[0], 1, 1), (odd[0], 1, 2)]) == [(odd[0], 1, 2)]


def test_only_new_means_not_looked_at_by_this_model_at_that_path_size_and_time(engine, register, model, submit):
    job = submit(4, batch_size=4)
    claim = claimed(engine, job, 1)
    outcomes = [
        scored(claim.items[0]),
        Outcome(claim.items[1].id, ItemState.UNREADABLE, error="not a picture", sha256="a" * 64),
        Outcome(claim.items[2].id, ItemState.QUARANTINED, error="no finite score"),
        Outcome(claim.items[3].id, ItemState.UNREADABLE, error="cannot be opened: Stale file handle"),
    ]
    assert jobs.unseen(engine, model.id, files(4)) == []  # somebody is at it
    finish(engine, claim, outcomes)
    path, size, mtime = files(4)[0]
    changed = [(path, size + 1, mtime), (path, size, mtime + 1), ("/data/other.jpg", size, mtime)]
    assert jobs.unseen(engine, model.id, [*files(4), *changed]) == [*files(4)[2:], *changed]
    waiting = submit(2, batch_size=1, source="/data/other")
    assert waiting.state == JobState.QUEUED
    endings.cancel_job(engine, waiting.id)
    assert jobs.unseen(engine, model.id, files(4)) == files(4)[2:]
    assert jobs.unseen(engine, register().id, files(4)) == files(4)  # another version has another eye


def test_cancel_ends_what_waits_and_lets_a_batch_in_work_finish(engine, submit):
    job = submit(10, batch_size=4)
    claim = claimed(engine, job, 2)
    cancelled = endings.cancel_job(engine, job.id)
    assert (cancelled.state, cancelled.cancelled, cancelled.unaccounted) == (JobState.CANCELLED, 6, 4)
    assert endings.cancel_job(engine, job.id) == cancelled
    done = finish(engine, claim)
    assert done is not None
    assert (done.state, done.scored, done.cancelled, done.unaccounted) == (JobState.CANCELLED, 4, 6, 0)
    with pytest.raises(StateError, match="done already"):
        endings.cancel_job(engine, _finished(engine, submit(2)).id)


def test_a_failed_job_keeps_its_results_and_says_why_for_the_rest(engine, submit):
    job = submit(6, batch_size=4)
    finish(engine, claimed(engine, job, 1))
    failed = endings.fail_job(engine, job.id, "the bundle is missing")
    assert (failed.state, failed.scored, failed.quarantined, failed.unaccounted) == (JobState.FAILED, 4, 2, 0)
    assert failed.error == "the bundle is missing"
    rows = list(iter_results(engine, ResultFilter(job_id=job.id, state=ItemState.QUARANTINED)))
    assert {row["error"] for row in rows} == {"the bundle is missing"}


def test_retry_opens_only_what_is_not_scored(engine, submit):
    job = submit(6, batch_size=3)
    claim = claimed(engine, job, 1)
    bad = Outcome(claim.items[0].id, ItemState.UNREADABLE, error="cannot be opened")
    finish(engine, claim, [bad, *map(scored, claim.items[1:])])
    endings.cancel_job(engine, job.id)
    assert endings.retry_job(engine, job.id, batch_size=3) == 4
    again = jobs.get_job(engine, job.id)
    assert (again.state, again.unaccounted, again.finished_at) == (JobState.QUEUED, 4, None)
    for number in (3, 4):
        last = finish(engine, claimed(engine, again, number))
    assert last is not None
    assert (last.state, last.scored, last.unaccounted) == (JobState.DONE, 6, 0)
    assert endings.retry_job(engine, job.id, batch_size=3) == 0
    assert jobs.get_job(engine, job.id) == last


def test_retry_is_refused_while_somebody_works(engine, submit):
    job = submit(2)
    with pytest.raises(StateError, match="wait for it, or cancel it first"):
        endings.retry_job(engine, job.id, batch_size=3)
    with pytest.raises(NotFoundError, match="no job 99"):
        endings.retry_job(engine, 99, batch_size=3)


def test_a_listing_that_died_begins_again_and_a_living_one_is_left_alone(engine, model, monkeypatch):
    job_id = open_job(engine, model)
    listing.add_items(engine, job_id, files(5), 1, 4)
    monkeypatch.setattr(endings, "is_provably_dead", lambda owner: False)
    monkeypatch.setattr(endings, "identity", lambda: "another command")
    with pytest.raises(StateError, match="is being listed"):
        endings.retry_job(engine, job_id, batch_size=4)
    monkeypatch.setattr(endings, "is_provably_dead", lambda owner: True)
    assert endings.retry_job(engine, job_id, batch_size=4) == 0
    listing.add_items(engine, job_id, files(5), 1, 4)
    done = listing.close_listing(engine, job_id, found=5, seen_before=0, left_out={}, deferred=[])
    assert (done.state, done.listed, done.unaccounted) == (JobState.QUEUED, 5, 5)


def test_a_listing_that_was_taken_over_cannot_add_to_the_new_one_or_close_it(engine, model, monkeypatch):
    job_id = open_job(engine, model)
    listing.add_items(engine, job_id, files(2), 1, 4)
    monkeypatch.setattr(listing, "identity", lambda: "another command")
    monkeypatch.setattr(endings, "is_provably_dead", lambda owner: True)
    endings.retry_job(engine, job_id, batch_size=4)
    monkeypatch.undo()
    for late in (
        lambda: listing.add_items(engine, job_id, files(9)[2:], 2, 4),
        lambda: listing.close_listing(engine, job_id, found=9, seen_before=0, left_out={}, deferred=[]),
    ):
        with pytest.raises(StateError, match="is not being listed by this command"):
            late()
    job = jobs.get_job(engine, job_id)
    assert (job.state, job.listed) == (JobState.LISTING, 0)


def test_a_retry_waits_for_what_a_worker_still_has_of_a_cancelled_job(engine, submit):
    job = submit(8, batch_size=4)
    claim = claimed(engine, job, 1)
    endings.cancel_job(engine, job.id)
    with pytest.raises(StateError, match="a worker still has a batch of it"):
        endings.retry_job(engine, job.id, batch_size=4)
    finish(engine, claim)
    assert endings.retry_job(engine, job.id, batch_size=4) == 4


def test_a_job_cancelled_while_it_is_listed_takes_no_more_items(engine, model):
    job_id = open_job(engine, model)
    listing.add_items(engine, job_id, files(5), 1, 4)
    assert endings.cancel_job(engine, job_id).cancelled == 5
    with pytest.raises(StateError, match="is not being listed by this command"):
        listing.add_items(engine, job_id, files(9)[5:], 3, 4)
    assert endings.retry_job(engine, job_id, batch_size=4) == 0  # half a listing is not gone on with
    again = jobs.get_job(engine, job_id)
    assert (again.state, again.listed) == (JobState.LISTING, 0)


def _finished(engine, job):
    return finish(engine, claimed(engine, job, 1))
