"""Counters of what has come to an end: they say what SQL says, and never go down."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from making import claimed, finish, scored
from sqlalchemy import select

from db import batches, endings, jobs, pruning, sweeping, tallies, validity
from db.engine import reading
from db.schema import job as jobs_table
from db.tallies import Tally
from oddlot.words import ItemState, JobState


def every(engine) -> list[Tally]:
    with reading(engine) as connection:
        return tallies.tallies(connection)


def only(engine) -> Tally:
    (found,) = every(engine)
    return found


def record(engine, number) -> dict[str, int]:
    row = jobs.get_job(engine, number)
    return {name: getattr(row, name) for name in ("scored", "flagged", "unreadable", "quarantined", "cancelled")}


def unreadable(item):
    return replace(scored(item), state=ItemState.UNREADABLE, flagged=None)


def counted(engine) -> dict[str, int]:
    found = dict(only(engine).counts)
    del found["batches"]
    return found


def test_a_submitted_job_has_its_counters_at_zero(engine, submit):
    submit(line="press-3")
    assert only(engine) == Tally(
        "flange", "press-3", dict.fromkeys(only(engine).counts, 0), dict.fromkeys(only(engine).seconds, 0.0)
    )


def test_each_batch_that_ends_is_counted_with_its_items_and_its_time(engine, submit):
    job = submit(6, 4)
    claim = claimed(engine, job, 1)
    outcomes = [scored(claim.items[0], 0.9), *(scored(item) for item in claim.items[1:3]), unreadable(claim.items[3])]
    spent = {"loading": 2.0, "reading": 3.0, "scoring": 4.0}
    batches.finish_batch(engine, claim, outcomes, host="here", code_version="0", seconds=spent)
    assert only(engine).line == ""
    assert only(engine).counts == {
        "batches": 1, "scored": 3, "flagged": 1, "unreadable": 1, "quarantined": 0, "cancelled": 0
    }  # fmt: skip
    assert {name: only(engine).seconds[name] for name in spent} == spent
    assert only(engine).seconds["writing"] > 0
    finish(engine, claimed(engine, job, 2))
    assert counted(engine) == record(engine, job.id)


def test_late_results_are_not_counted(engine, submit):
    job = submit(4)
    late = claimed(engine, job, 1)
    batches.release_batch(engine, late, "given back", count_attempt=True)
    finish(engine, claimed(engine, job, 1))
    with pytest.raises(Exception, match="somebody else"):
        finish(engine, late)
    assert only(engine).counts["scored"] == 4


@pytest.mark.parametrize(("end", "state"), [(endings.cancel_job, "cancelled"), (None, "quarantined")])
def test_what_ends_with_its_job_is_counted_once(engine, submit, end, state):
    job = submit(10, 4)
    held = claimed(engine, job, 1)
    if end is None:
        endings.fail_job(engine, job.id, "no bundle")
    else:
        end(engine, job.id)
    sweeping.sweep(engine, max_attempts=3)
    assert counted(engine)[state] == 6
    finish(engine, held)
    assert counted(engine) == record(engine, job.id) == {
        "scored": 4, "flagged": 0, "unreadable": 0, "quarantined": 0, "cancelled": 0, state: 6
    }  # fmt: skip


def test_a_picture_that_is_set_aside_is_counted(engine, submit):
    job = submit(1)
    for _ in range(3):
        batches.release_batch(engine, claimed(engine, job, 1), "crash", count_attempt=True)
    sweeping.sweep(engine, max_attempts=3)
    assert counted(engine) == record(engine, job.id)
    assert only(engine).counts["quarantined"] == 1


def test_nothing_goes_down_when_a_job_is_retried_released_or_pruned(engine, submit):
    job = submit(4)
    claim = claimed(engine, job, 1)
    finish(engine, claim, [scored(claim.items[0], 0.9), scored(claim.items[1]), *map(unreadable, claim.items[2:])])
    before = counted(engine)
    endings.retry_job(engine, job.id, 4)
    assert counted(engine) == before
    finish(engine, claimed(engine, job, 2))
    after = counted(engine)
    assert after == before | {"scored": 4}, "both came to an end again"
    assert record(engine, job.id)["unreadable"] == 0
    with reading(engine) as connection:
        if connection.execute(select(jobs_table.c.state)).scalar() == JobState.HELD:
            validity.discard_job(engine, job.id, by="Ada")
    rule = pruning.Rule(jobs.get_job(engine, job.id).finished_at.replace(year=2100))
    assert pruning.begin(engine, job.id, rule)
    assert sum(results for results, _ in pruning.remove_rows(engine, job.id, keep_verdicts=False)) == 4
    assert counted(engine) == after


def test_versions_of_a_model_are_summed_and_lines_are_not(engine, submit, register):
    for version in (1, 2):
        model = register("gearbox", bundle_uri=f"gearbox/{version}")
        for line in ("press-1", "press-2"):
            finish(engine, claimed(engine, submit(2, model=model, line=line), 1))
    found = [(one.model, one.line, one.counts["scored"]) for one in every(engine)]
    assert found == [("gearbox", "press-1", 4), ("gearbox", "press-2", 4)]


def test_an_empty_job_counts_nothing(engine, submit):
    assert submit(0).state == JobState.DONE
    assert set(only(engine).counts.values()) == {0}


def test_many_at_the_same_moment_count_into_one_row(engine, submit):
    def night():
        job = submit(8, 2, line="press-3")
        for number in range(1, 5):
            finish(engine, claimed(engine, job, number))

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(night) for _ in range(4)]:
            done.result()
    assert (only(engine).counts["batches"], only(engine).counts["scored"]) == (16, 32)
