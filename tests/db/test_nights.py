"""What is said of a night and of those before it."""

import datetime as dt

import pytest
from finished_jobs import change_job, finished_job, some_model

from db.nights import NightRow, nights_until, scores_in_order, verdict_counts
from db.results import ResultFilter, iter_results
from db.verdicts import add_verdict
from oddlot.words import JobState, Verdict

DAY = dt.date(2026, 11, 20)


@pytest.fixture
def flange(engine):
    return some_model(engine)


def test_scores_come_in_the_order_of_the_files(engine, flange) -> None:
    row = finished_job(engine, flange, [0.3, 0.9, "damaged", 0.1])
    assert scores_in_order(engine, row.id) == [0.3, 0.9, 0.1]


def test_jobs_of_a_night_are_added_and_what_is_held_is_kept_apart(engine, flange) -> None:
    finished_job(engine, flange, [0.9, 0.1], night=DAY)
    finished_job(engine, flange, [0.1, 0.1, "damaged"], night=DAY)
    held = finished_job(engine, flange, [0.9] * 5, night=DAY)
    held = change_job(engine, held.id, state=JobState.HELD)
    alone = change_job(engine, finished_job(engine, flange, [0.9], night=DAY + dt.timedelta(1)).id,
                       state=JobState.DISCARDED)  # fmt: skip
    finished_job(engine, flange, [0.9], night=DAY, line="another")
    last = finished_job(engine, flange, [0.1], night=DAY + dt.timedelta(2))
    done = NightRow(DAY, 5, 4, 1, 1, None)
    assert nights_until(engine, last, 9) == [
        done, NightRow(alone.night, 1, 1, 1, 0, "discarded"), NightRow(last.night, 1, 1, 0, 0, None)
    ]  # fmt: skip
    assert nights_until(engine, held, 9) == [NightRow(DAY, 5, 5, 5, 0, "held")]
    assert nights_until(engine, last, 1) == [NightRow(last.night, 1, 1, 0, 0, None)]


def test_the_latest_verdict_of_an_item_counts(engine, flange) -> None:
    row = finished_job(engine, flange, [0.9, 0.1, 0.8])
    assert verdict_counts(engine, row.id) == {}
    first, second, _ = (one["item"] for one in iter_results(engine, ResultFilter(job_id=row.id)))
    for item, word in ((first, Verdict.GOOD), (second, Verdict.GOOD), (first, Verdict.DEFECT)):
        add_verdict(engine, item, word, reviewer="Ada")
    assert verdict_counts(engine, row.id) == {(True, Verdict.DEFECT): 1, (False, Verdict.GOOD): 1}
