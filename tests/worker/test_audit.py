"""The blind audit: a fair draw among the unflagged, the same whenever a batch is done again, recorded once."""

from dataclasses import replace

import pytest
from shop import ONE_DATABASE, batch_row, rows, work_off
from sqlalchemy import select

from db import batches, jobs
from db.engine import reading
from db.schema import audit, result
from worker import inspection
from worker.audit import AuditDraw
from worker.submission import Submission, submit


def audited(engine, job_id):
    with reading(engine) as connection:
        found = connection.execute(select(audit.c.item_id, audit.c.share).where(audit.c.job_id == job_id))
        return dict(found.tuples().all())


def maps(engine, job_id):
    with reading(engine) as connection:
        found = connection.execute(select(result.c.item_id, result.c.map_uri).where(result.c.job_id == job_id))
        return {item for item, uri in found if uri is not None}


def test_every_unflagged_item_is_audited_where_as_many_are_asked_for_and_has_a_heat_map(
    engine, locating_settings, locating_job
):
    work_off(engine, locating_settings, locating_job.id)
    found = {row["item"]: row["flagged"] for row in rows(engine, locating_job.id)}
    unflagged = {item for item, flagged in found.items() if not flagged}
    assert 0 < len(unflagged) < len(found) == 20
    assert audited(engine, locating_job.id) == dict.fromkeys(unflagged, 1.0)
    assert maps(engine, locating_job.id) == set(found)


@ONE_DATABASE
def test_none_is_audited_where_none_is_asked_for(engine, locating_settings, locating_job):
    work_off(engine, replace(locating_settings, audit_items=0), locating_job.id)
    assert audited(engine, locating_job.id) == {}
    assert maps(engine, locating_job.id) == {row["item"] for row in rows(engine, locating_job.id) if row["flagged"]}


def test_a_batch_that_is_done_again_draws_the_same_and_records_them_once(engine, settings, job, monkeypatch):
    settings = replace(settings, audit_items=8)
    drawn = []
    finish = batches.finish_batch

    def lose(engine, claim, outcomes, **values):
        drawn.append({one.item_id for one in outcomes if one.audit_share is not None})
        if len(drawn) == 1:
            raise LookupError("killed before anything was recorded")
        return finish(engine, claim, outcomes, **values)

    monkeypatch.setattr(batches, "finish_batch", lose)
    inspection.inspect_batch(engine, settings, job.id, 1)
    assert audited(engine, job.id) == {}
    inspection.inspect_batch(engine, settings, job.id, 1)
    assert batch_row(engine, job.id, 1).attempts == 2
    assert drawn[0] == drawn[1]
    inspection.inspect_batch(engine, settings, job.id, 1)  # another message for what is done
    assert audited(engine, job.id) == dict.fromkeys(drawn[0], 0.4)


@ONE_DATABASE
def test_another_job_over_the_same_folder_draws_others(engine, settings, model, lot):
    made = [submit(engine, settings, Submission(model="flange", folder=lot)) for _ in range(2)]
    places = []
    for job in made:
        draw = AuditDraw(batches.claim_batch(engine, job.id, 1, "me", 60.0), 1)
        draw.share = 0.5
        places.append([draw.draws(item_id) for item_id in range(1, 201)])
    assert places[0] != places[1]


@pytest.fixture
def claim(engine, job):
    return batches.claim_batch(engine, job.id, 1, "me", 60.0)


@ONE_DATABASE
@pytest.mark.parametrize(("wanted", "listed", "share"), [(20, 1000, 0.02), (20, 20, 1.0), (20, 7, 1.0), (0, 9, 0.0)])
def test_the_draw_has_the_share_that_it_states(claim, wanted, listed, share):
    draw = AuditDraw(replace(claim, listed=listed), wanted)
    assert draw.share == share
    n = 100_000
    drawn = sum(draw.draws(item_id) for item_id in range(1, n + 1))
    assert abs(drawn - share * n) <= 4 * (n * share * (1 - share)) ** 0.5


@ONE_DATABASE
def test_what_cannot_be_read_is_never_audited(engine, settings, model, lot):
    (lot / "notes.txt").write_text("not a picture")
    job = submit(engine, settings, Submission(model="flange", folder=lot))
    work_off(engine, settings, job.id)
    done = jobs.get_job(engine, job.id)
    assert done.unreadable == 1
    assert len(audited(engine, job.id)) <= done.scored - done.flagged
    assert set(audited(engine, job.id)) <= {r["item"] for r in rows(engine, job.id) if r["flagged"] is False}
