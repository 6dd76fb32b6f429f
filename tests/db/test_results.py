"""What `flagged` and `results` read, and who is seen alive."""

import datetime as dt
from dataclasses import replace

import pytest
from making import claimed, finish, scored

from db import fits, workers
from db.batches import Outcome
from db.engine import now, reading
from db.results import ResultFilter, calibration_sizes, count_p_values, iter_results
from db.verdicts import add_verdict
from oddlot.errors import LateResult
from oddlot.processes import identity
from oddlot.words import ItemState, Verdict

SCORES = [0.2, 0.7, 0.51, 0.99, 0.5]


@pytest.fixture
def job(engine, submit):
    """Five scored items, three of them flagged, and one that could not be read, on line `press 3`."""
    job = submit(6, batch_size=6, line="press 3", lot="lot 7")
    claim = claimed(engine, job, 1)
    outcomes = [scored(item, score) for item, score in zip(claim.items, SCORES, strict=False)]
    outcomes.append(Outcome(claim.items[5].id, ItemState.UNREADABLE, error="the file is empty"))
    return finish(engine, claim, outcomes)


def scores(engine, **wanted):
    return [row["score"] for row in iter_results(engine, ResultFilter(**wanted))]


def test_the_flagged_come_most_suspicious_first(engine, job):
    rows = list(iter_results(engine, ResultFilter(flagged_only=True)))
    assert [row["score"] for row in rows] == [0.99, 0.7, 0.51]
    assert rows[0]["path"].endswith("00003.jpg")
    assert (rows[0]["model"], rows[0]["version"], rows[0]["line"], rows[0]["lot"]) == ("flange", 1, "press 3", "lot 7")
    assert rows[0]["night"] == job.night


def test_results_have_every_item_in_the_order_of_the_listing(engine, job):
    assert scores(engine) == [*SCORES, None]
    last = list(iter_results(engine, ResultFilter()))[-1]
    assert (last["state"], last["error"], last["flagged"]) == (ItemState.UNREADABLE, "the file is empty", None)


def test_filters(engine, job, submit):
    other = submit(1, line="press 4", lot="lot 8")
    finish(engine, claimed(engine, other, 1), None)
    assert scores(engine, job_id=other.id) == [0.1]
    assert scores(engine, line="press 4") == [0.1]
    assert scores(engine, line="press 3", flagged_only=True) == [0.99, 0.7, 0.51]
    assert scores(engine, line="press 4", flagged_only=True) == []
    assert scores(engine, lot="lot 7", min_score=0.7) == [0.7, 0.99]
    assert scores(engine, model="gearbox") == []
    assert len(scores(engine, model="flange")) == 7
    assert scores(engine, state=ItemState.UNREADABLE) == [None]
    assert scores(engine, limit=2) == SCORES[:2]
    with reading(engine) as connection:
        moment = now(connection)
    hour = dt.timedelta(hours=1)
    assert len(scores(engine, since=moment - hour)) == 7  # the unreadable one, too
    assert scores(engine, since=moment - hour, state=ItemState.UNREADABLE) == [None]
    assert scores(engine, since=moment + hour) == []
    assert scores(engine, until=moment - hour) == []
    east = dt.timezone(dt.timedelta(hours=9))
    assert len(scores(engine, since=(moment - hour).astimezone(east), until=(moment + hour).astimezone(east))) == 7


def test_the_latest_verdict_is_shown_and_reviewed_items_can_be_left_out(engine, job):
    first = next(iter_results(engine, ResultFilter(flagged_only=True)))["item"]
    for word in (Verdict.UNSURE, Verdict.DEFECT):
        add_verdict(engine, first, word, reviewer="Ada")
    rows = list(iter_results(engine, ResultFilter(flagged_only=True)))
    assert [row["verdict"] for row in rows] == [Verdict.DEFECT, None, None]
    assert scores(engine, flagged_only=True, unreviewed=True) == [0.7, 0.51]


def test_p_values_are_counted_and_the_smallest_come_most_suspicious_first(engine, submit):
    job = submit(7, batch_size=7)
    claim = claimed(engine, job, 1)
    p_values = [1 / 3, 0.01, 1 / 3, 0.2, 0.01, 1.0]
    outcomes = [replace(scored(item, 1 - p), p_value=p) for item, p in zip(claim.items, p_values, strict=False)]
    finish(engine, claim, [*outcomes, Outcome(claim.items[6].id, ItemState.UNREADABLE, error="the file is empty")])
    counted = sorted(count_p_values(engine, ResultFilter(job_id=job.id)))
    assert counted == [(0.01, 2), (0.2, 1), (1 / 3, 2), (1.0, 1)]
    rows = list(iter_results(engine, ResultFilter(job_id=job.id, max_p_value=1 / 3)))
    assert [row["p_value"] for row in rows] == [0.01, 0.01, 0.2, 1 / 3, 1 / 3]
    assert count_p_values(engine, ResultFilter(job_id=job.id + 1)) == []


def test_calibration_sizes_are_those_of_the_models_that_scored(engine, register, submit):
    register("gearbox", card={"pictures": {"calibration": 300}})
    assert calibration_sizes(engine, ResultFilter()) == []
    job = submit(1, model=register("flange", card={"pictures": {"calibration": 80}}))
    finish(engine, claimed(engine, job, 1))
    assert calibration_sizes(engine, ResultFilter()) == [80]
    finish(engine, claimed(engine, submit(1), 1))  # of a model whose card does not say
    for pictures in ([1], "80", 3, {"calibration": "many"}, {"calibration": True}, {"calibration": -1}):
        finish(engine, claimed(engine, submit(1, model=register("flange", card={"pictures": pictures})), 1))
    assert calibration_sizes(engine, ResultFilter()) == [80]


def test_more_rows_than_are_held_at_a_time_are_streamed_whole(engine, submit):
    job = submit(2500, batch_size=2500)
    finish(engine, claimed(engine, job, 1))
    items = [row["item"] for row in iter_results(engine, ResultFilter(job_id=job.id))]
    assert len(set(items)) == len(items) == 2500
    assert items == sorted(items)


def beat(engine, name, silent_seconds=60.0, progress=False):
    workers.beat(engine, name, "host", 1, workers.SUPERVISOR, progress=progress, silent_seconds=silent_seconds)


def test_workers_are_alive_until_they_stop_fall_silent_or_are_seen_dead(engine):
    beat(engine, "a")
    beat(engine, "b", silent_seconds=-1.0)
    beat(engine, identity())
    host, space, _, started = identity().split("|")
    beat(engine, "|".join((host, space, "999999999", started)))
    assert {row.name for row in workers.living(engine)} == {"a", identity()}
    assert workers.living(engine, workers.CHILD) == []
    beat(engine, "a", progress=True)
    (row,) = [row for row in workers.living(engine) if row.name == "a"]
    assert row.progress_at is not None
    workers.stop(engine, "a")
    assert [row.name for row in workers.living(engine)] == [identity()]


def test_a_fit_is_claimed_once_put_back_when_its_trainer_dies_and_given_up_in_the_end(engine, model):
    fit_id = fits.ask_fit(engine, "flange", {"size": 64})
    assert fits.due_for_publishing(engine, older_than_seconds=None, limit=10) == [fit_id]
    assert fits.due_for_publishing(engine, older_than_seconds=None, limit=10) == []
    fits.unpublish(engine, [fit_id])
    assert fits.due_for_publishing(engine, older_than_seconds=None, limit=10) == [fit_id]
    first = fits.claim_fit(engine, fit_id, "trainer", -1.0)
    assert first.options == {"size": 64}
    assert fits.claim_fit(engine, fit_id, "other", 60.0) is None
    assert fits.lease_owners(engine) == ["trainer"]
    assert fits.sweep(engine, max_attempts=2) == 1
    second = fits.claim_fit(engine, fit_id, "trainer", 60.0)
    with pytest.raises(LateResult):
        fits.finish_fit(engine, first, model.id)
    assert fits.renew(engine, second, 60.0)
    assert not fits.fail_fit(engine, first, "late")
    fits.finish_fit(engine, second, model.id)
    given_up = fits.ask_fit(engine, "flange", {})
    for _ in range(2):
        assert fits.claim_fit(engine, given_up, "dies", 60.0) is not None
        assert fits.expire_leases(engine, "dies") == 1
        assert fits.sweep(engine, max_attempts=2) == 1
    assert fits.claim_fit(engine, given_up, "me", 60.0) is None
    assert fits.due_for_publishing(engine, older_than_seconds=0.0, limit=10) == []
