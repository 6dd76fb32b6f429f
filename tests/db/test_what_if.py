"""History with another threshold: compared with looking at every row."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from making import finish, scored
from shop_floor import judge
from sqlalchemy import select, update

from db import batches
from db.engine import reading, writing
from db.models import register_model
from db.results import ResultFilter, iter_results
from db.schema import job, result
from db.what_if import Judged, judged_says, last_nights, replay, says
from oddlot.words import JobState, Verdict

NIGHTS = [date(2026, 11, 20) + timedelta(days=i) for i in range(4)]
THEN = 0.6


@pytest.fixture
def scores(engine, submit):
    """Score a job with random raw scores, flagged above 0.6; returns the numbers of its items."""
    rng = np.random.default_rng(3)

    def score(night, count=40, **values):
        opened = submit(count, batch_size=count, night=night, **values)
        claim = batches.claim_batch(engine, opened.id, 1, "me", 60.0)
        raw = rng.random(count).round(2)
        outcomes = [
            replace(scored(item), raw_score=float(r), flagged=bool(r > THEN))
            for item, r in zip(claim.items, raw, strict=True)
        ]
        finish(engine, claim, outcomes)
        return [item.id for item in claim.items]

    return score


@pytest.fixture
def history(engine, scores, model):
    """Four nights, half of them judged at random."""
    items = [scores(night, line=f"press {i % 2}") for i, night in enumerate(NIGHTS)]
    rng = np.random.default_rng(5)
    for ids in items:
        chosen = rng.permutation(ids)[:20]
        judge(engine, chosen.tolist(), [list(Verdict)[i] for i in rng.integers(0, 3, 20)])
    return items


def by_hand(engine, threshold, wanted=lambda row: True, then=lambda row: row["flagged"]):
    rows = [row for row in iter_results(engine, ResultFilter()) if wanted(row)]
    kinds = {}
    for word in (Verdict.DEFECT, Verdict.GOOD):
        judged = [(r["item"], then(r), r["raw_score"] > threshold) for r in rows if r["verdict"] == word]
        kinds[word] = Judged(
            *(
                tuple(i for i, was, now in judged if (was, now) == pair)
                for pair in ((True, True), (True, False), (False, True), (False, False))
            )
        )
    return (
        len(rows), sum(then(r) for r in rows), sum(r["raw_score"] > threshold for r in rows),
        sum(r["raw_score"] > threshold and not then(r) for r in rows), kinds[Verdict.DEFECT], kinds[Verdict.GOOD],
    )  # fmt: skip


def told(found):
    return found.scored, found.flagged, found.would_flag, found.newly, found.defects, found.alarms


@pytest.mark.parametrize("threshold", [0.1, 0.6, 0.61, 0.8, 2.0])
def test_a_threshold_is_replayed_as_looking_at_every_row_would(engine, model, history, threshold):
    found = replay(engine, [model.id], threshold)
    assert told(found) == by_hand(engine, threshold)
    assert [night.night for night in found.nights] == NIGHTS
    for night in found.nights:
        rows = [row for row in iter_results(engine, ResultFilter()) if row["night"] == night.night]
        assert night.would_flag == sum(row["raw_score"] > threshold for row in rows)


def test_against_another_threshold_instead_of_what_was_flagged(engine, model, history):
    found = replay(engine, [model.id], 0.8, instead_of=0.3)
    assert told(found) == by_hand(engine, 0.8, then=lambda row: row["raw_score"] > 0.3)


def test_lines_moments_and_nights_choose(engine, model, history):
    assert told(replay(engine, [model.id], 0.8, line="press 1")) == by_hand(
        engine, 0.8, lambda row: row["line"] == "press 1"
    )
    assert told(replay(engine, [model.id], 0.8, first_night=NIGHTS[2])) == by_hand(
        engine, 0.8, lambda row: row["night"] >= NIGHTS[2]
    )
    with reading(engine) as connection:
        third = connection.execute(select(result.c.scored_at).where(result.c.item_id == history[2][0])).scalar_one()
    assert replay(engine, [model.id], 0.8, since=third).scored == 80
    assert replay(engine, [model.id], 0.8, until=third).scored == 80
    assert replay(engine, [], 0.8).scored == 0


def test_a_night_that_is_not_believed_and_another_model_are_left_out(engine, model, history, scores):
    other = register_model(
        engine, name="other", bundle_uri="o", bundle_sha256="1" * 64, architecture="paper", threshold=1.0,
        false_alarms=0.1, card={},
    )  # fmt: skip
    scores(NIGHTS[0], model=other)
    with writing(engine) as connection:
        connection.execute(update(job).where(job.c.night == NIGHTS[3]).values(state=JobState.HELD))
        connection.execute(update(job).where(job.c.night == NIGHTS[2]).values(state=JobState.DISCARDED))
    found = replay(engine, [model.id], 0.8)
    assert [night.night for night in found.nights] == NIGHTS[:2]
    assert found.scored == 80
    assert last_nights(engine, [model.id], 1) == NIGHTS[1]
    assert last_nights(engine, [model.id], 7) == NIGHTS[0]
    assert last_nights(engine, [other.id + 1], 7) is None


def test_the_sentences(engine, model):
    assert says(replay(engine, [model.id], 0.8)) == ["Nothing that was scored is there to be replayed."]
    assert judged_says(Judged((1,) * 11, (17,), (), (4,)), Judged((2,) * 8, (3,) * 22, (5, 6), ())) == [
        "Of 12 confirmed defects it would have lost 1 (item 17).",
        "Of 1 defect not flagged it would have found none.",
        "Of 30 false alarms (flagged, confirmed good) 22 would be gone.",
        "2 confirmed good items would be flagged, not flagged before.",
    ]
    (unknown,) = judged_says(Judged((), (), (), ()), Judged((), (), (), ()))
    assert "Nobody has called any of them" in unknown
    many = judged_says(Judged((), tuple(range(1, 31)), (), ()), Judged((), (), (), ()))
    assert many == ["Of 30 confirmed defects it would have lost 30 (items 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 20 more)."]
