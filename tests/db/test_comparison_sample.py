"""The pictures that are looked at again: all confirmed defects, and a fair share of everything else."""

from collections import Counter
from dataclasses import replace
from datetime import date

import pytest
from making import finish, scored
from shop_floor import judge
from sqlalchemy import update

from db import batches
from db.comparison_sample import Kind, draw_sample
from db.engine import writing
from db.schema import job
from oddlot.words import JobState, Verdict

NIGHT = date(2026, 11, 25)


@pytest.fixture
def items(engine, submit):
    """60 items with raw scores 0.00 to 0.59; of every tenth somebody said defect, good or unsure in turns."""
    opened = submit(60, batch_size=60, night=NIGHT)
    claim = batches.claim_batch(engine, opened.id, 1, "me", 60.0)
    finish(engine, claim, [replace(scored(item), raw_score=i / 100) for i, item in enumerate(claim.items)])
    ids = [item.id for item in claim.items]
    judge(engine, ids[::10], [Verdict.DEFECT, Verdict.GOOD, Verdict.UNSURE] * 2)
    return ids


def test_with_room_for_all_everything_is_taken_with_what_is_known_of_it(engine, model, items):
    sample = draw_sample(engine, [model.id], 0.395, first_night=NIGHT, most=500)
    assert sample.sizes == {Kind.DEFECT: 2, Kind.GOOD: 2, Kind.FLAGGED: 19, Kind.UNFLAGGED: 37}
    assert sample.flagged == 20
    assert [one.id for one in sample.items] == items
    assert [one.id for one in sample.items if one.kind == Kind.DEFECT] == [items[0], items[30]]
    assert [one.id for one in sample.items if one.kind == Kind.GOOD] == [items[10], items[40]]
    assert [one.flagged for one in sample.items] == [i >= 40 for i in range(60)]
    first = sample.items[0]
    assert (first.path, first.size, first.source, len(first.sha256)) == ("/data/lot/00000.jpg", 1000, "/data/lot", 64)


def test_with_little_room_the_defects_come_first_and_no_kind_is_forgotten(engine, model, items):
    drawn = [draw_sample(engine, [model.id], 0.395, first_night=NIGHT, most=14) for _ in range(12)]
    for sample in drawn:
        assert Counter(one.kind for one in sample.items) == {
            Kind.DEFECT: 2, Kind.GOOD: 2, Kind.FLAGGED: 4, Kind.UNFLAGGED: 6,
        }  # fmt: skip
        assert sample.sizes == drawn[0].sizes
    assert len({tuple(one.id for one in sample.items) for sample in drawn}) > 1
    assert [one.id for one in draw_sample(engine, [model.id], 0.395, first_night=NIGHT, most=2).items] == [
        items[0], items[30],
    ]  # fmt: skip


def test_earlier_nights_other_models_and_held_jobs_are_left_out(engine, model, items):
    assert draw_sample(engine, [model.id + 1], 0.3, first_night=NIGHT, most=9).items == ()
    assert draw_sample(engine, [model.id], 0.3, first_night=date(2026, 11, 26), most=9).items == ()
    with writing(engine) as connection:
        connection.execute(update(job).values(state=JobState.HELD))
    assert draw_sample(engine, [model.id], 0.3, first_night=NIGHT, most=9).items == ()
