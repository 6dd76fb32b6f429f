"""A job that does not look like what its model knows ends held, once and for good, until a person decides."""

from dataclasses import replace

import pytest
from making import claimed, finish, scored
from sqlalchemy import select

from db import bounds, endings, jobs, results, settling, sweeping
from db.batches import Outcome, finish_batch
from db.engine import reading
from db.schema import batch
from db.validity import discard_job, release_job
from oddlot.appearance import NEAREST, STATISTICS, Reference, sketch
from oddlot.errors import NotFoundError, StateError
from oddlot.words import ItemState, JobState

GOOD = {"brightness": 120.0, "contrast": 30.0, "sharpness": -60.0, "red": 0.0, "blue": 2.0, "width": 640.0,
        "height": 480.0, "likeness": 85.0, NEAREST: 8.0}  # fmt: skip
REFERENCE = Reference(
    pictures=200, sketches={name: sketch([GOOD[name] + i % 5 for i in range(200)]) for name in STATISTICS},
    thumbnail=(0.0,) * 1024, nearest_limit=1.0, repeated=0.0, blank=0.0, blank_limit=2.0, unreadable=0.0,
)  # fmt: skip
CARD = {"appearance": REFERENCE.to_dict(), "pictures": {"calibration": 100}}


@pytest.fixture
def knowing(register):
    """A model whose card says how its pictures look."""
    return register(card=CARD)


def looking(item, **figures):
    return replace(scored(item), appearance=GOOD | figures)


def work_off(engine, job, **figures):
    """Finish all batches, every picture with those figures; returns the job."""
    number = 1
    while (row := jobs.get_job(engine, job.id)).finished_at is None:
        claim = claimed(engine, job, number)
        finish(engine, claim, [looking(item, **figures) for item in claim.items])
        number += 1
    return row


@pytest.fixture
def held(engine, submit, knowing):
    return work_off(engine, submit(20, model=knowing, batch_size=8), brightness=20.0)


def test_a_dark_night_is_held_with_reason_and_evidence(held):
    assert (held.state, held.scored, held.unaccounted) == (JobState.HELD, 20, 0)
    (reason,) = held.validity["reasons"]
    assert reason["what"] == "brightness"
    assert "darker" in reason["text"]
    assert held.validity["evidence"]["brightness"]["tonight"][0] == 1
    assert held.validity["decided"] is None


def test_a_usual_night_is_done(engine, submit, knowing):
    done = work_off(engine, submit(20, model=knowing, batch_size=8))
    assert (done.state, done.validity["reasons"], done.validity["notes"]) == (JobState.DONE, [], [])


def test_what_was_measured_stands_beside_the_items_of_the_batch(engine, submit, knowing):
    job = submit(3, model=knowing)
    claim = claimed(engine, job, 1)
    first, second, third = claim.items
    finish(engine, claim, [
        looking(first, sharpness=None), Outcome(second.id, ItemState.UNREADABLE, error="the file is empty"),
        looking(third, brightness=1.23456),
    ])  # fmt: skip
    with reading(engine) as connection:
        look = connection.execute(select(batch.c.look)).scalar_one()
    assert look["items"] == [first.id, third.id]
    assert (look["brightness"], look["sharpness"]) == ([120.0, 1.23], [None, -60.0])


def test_nobody_sees_a_job_done_before_it_is_held(engine, submit, knowing, monkeypatch):
    """Who dies while he judges leaves the batch as it was; the next one to finish it judges again."""
    job = submit(12, model=knowing, batch_size=12)

    class Killed(BaseException): ...

    def die(*args, **kwargs):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(settling, "judge", die)
        claim = claimed(engine, job, 1, owner="first", lease=-1.0)
        with pytest.raises(Killed):
            finish(engine, claim, [looking(item, brightness=20.0) for item in claim.items])
    assert jobs.get_job(engine, job.id).state == JobState.RUNNING
    assert sweeping.sweep(engine, max_attempts=3).put_back == 1
    assert work_off(engine, job, brightness=20.0).state == JobState.HELD


def test_a_job_whose_last_batch_the_sweeper_closes_is_judged_too(engine, submit, knowing):
    job = submit(21, model=knowing, batch_size=20)
    claim = claimed(engine, job, 1)
    finish(engine, claim, [looking(item, brightness=20.0) for item in claim.items])
    claimed(engine, job, 2, lease=-1.0)
    sweeping.sweep(engine, max_attempts=1)
    row = jobs.get_job(engine, job.id)
    assert (row.state, row.quarantined) == (JobState.HELD, 1)


def test_cancelled_jobs_are_cancelled_however_they_look(engine, submit, knowing):
    job = submit(24, model=knowing, batch_size=20)
    claim = claimed(engine, job, 1)
    finish(engine, claim, [looking(item, brightness=20.0) for item in claim.items])
    row = endings.cancel_job(engine, job.id)
    assert (row.state, row.validity) == (JobState.CANCELLED, None)


def test_where_nothing_is_to_be_held_the_reason_is_a_note(engine, submit, knowing):
    job = submit(12, model=knowing, batch_size=12)
    claim = claimed(engine, job, 1)
    outcomes = [looking(item, brightness=20.0) for item in claim.items]
    row = finish_batch(engine, claim, outcomes, host="here", code_version="0", hold=False)
    assert (row.state, row.validity["reasons"]) == (JobState.DONE, [])
    assert "darker" in row.validity["notes"][0]["text"]


@pytest.mark.parametrize("card", [{}, {"appearance": 7}, {"appearance": {"pictures": 3}, "pictures": "many"}])
def test_a_model_that_knows_nothing_holds_only_what_needs_no_knowledge(engine, submit, register, card):
    model = register(card=card)
    row = work_off(engine, submit(20, model=model, batch_size=20), brightness=20.0)
    assert row.state == JobState.DONE
    assert "earlier version" in row.validity["notes"][0]["text"]
    assert work_off(engine, submit(20, model=model, batch_size=20), contrast=0.0).state == JobState.HELD


def test_results_without_figures_are_judged_by_the_rest(engine, submit, knowing):
    """As a worker of an earlier version writes them."""
    job = submit(20, model=knowing, batch_size=20)
    assert finish(engine, claimed(engine, job, 1)).state == JobState.DONE


def test_released_is_done_and_discarded_is_neither_done_nor_held(engine, held, submit, knowing):
    released = release_job(engine, held.id, by="Ada", note="a new lamp")
    assert (released.state, released.validity["reasons"]) == (JobState.DONE, held.validity["reasons"])
    decided = released.validity["decided"]
    assert (decided["word"], decided["by"], decided["note"]) == ("released", "Ada", "a new lamp")
    other = work_off(engine, submit(20, model=knowing, batch_size=20), brightness=20.0)
    discarded = discard_job(engine, other.id, by="Ben\x1b[2J")
    assert (discarded.state, discarded.validity["decided"]["word"]) == (JobState.DISCARDED, "discarded")
    assert discarded.validity["decided"]["at"].endswith("+00:00")


def test_only_a_held_job_is_released_or_discarded(engine, held, submit):
    release_job(engine, held.id, by="Ada")
    for decide in (release_job, discard_job):
        with pytest.raises(StateError, match="is done, not held"):
            decide(engine, held.id, by="Ada")
        with pytest.raises(StateError, match="is queued, not held"):
            decide(engine, submit(2).id, by="Ada")
        with pytest.raises(NotFoundError, match="no job 999"):
            decide(engine, 999, by="Ada")


def with_one_unread(engine, submit, knowing):
    job = submit(20, model=knowing, batch_size=20)
    claim = claimed(engine, job, 1)
    *rest, last = claim.items
    unread = Outcome(last.id, ItemState.UNREADABLE, error="damaged or truncated")
    return finish(engine, claim, [*(looking(item, brightness=20.0) for item in rest), unread])


def retried(engine, job):
    assert endings.retry_job(engine, job.id, 20) == 1
    claim = claimed(engine, job, 2)
    return finish(engine, claim, [looking(item, brightness=20.0) for item in claim.items])


def test_a_released_job_stays_so_when_it_is_retried_and_a_doubted_one_is_not_retried(engine, submit, knowing):
    first, second, third = (with_one_unread(engine, submit, knowing) for _ in range(3))
    assert first.state == JobState.HELD
    release_job(engine, first.id, by="Ada")
    discard_job(engine, second.id, by="Ada")
    again = retried(engine, first)
    assert (again.state, again.scored, again.validity["decided"]["word"]) == (JobState.DONE, 20, "released")
    for doubted, word in ((second, "was discarded"), (third, "is held")):
        with pytest.raises(StateError, match=word):  # its flags would count while it is worked on
            endings.retry_job(engine, doubted.id, 20)
    assert [jobs.get_job(engine, one.id).state for one in (second, third)] == [JobState.DISCARDED, JobState.HELD]


def test_a_discarded_job_has_nothing_to_cancel_or_to_retry(engine, held):
    discard_job(engine, held.id, by="Ada")
    with pytest.raises(StateError, match="discarded already"):
        endings.cancel_job(engine, held.id)
    assert endings.retry_job(engine, held.id, 20) == 0
    assert jobs.get_job(engine, held.id).state == JobState.DISCARDED


def test_held_jobs_are_found_by_what_is_asked_for(engine, held):
    assert results.held_jobs(engine, results.ResultFilter(model="flange")) == [held.id]
    assert results.held_jobs(engine, results.ResultFilter(line="elsewhere")) == []
    wanted = results.ResultFilter(believed_only=True)
    assert list(results.iter_results(engine, wanted)) == []
    release_job(engine, held.id, by="Ada")
    assert len(list(results.iter_results(engine, wanted))) == 20


def test_a_fault_of_the_check_costs_no_results(engine, submit, knowing, monkeypatch):
    def fail(*args):
        raise ZeroDivisionError

    monkeypatch.setattr(bounds, "judge_night", fail)
    done = work_off(engine, submit(20, model=knowing, batch_size=20))
    assert (done.state, done.scored) == (JobState.DONE, 20)
    assert "could not be checked" in done.validity["notes"][0]["text"]
