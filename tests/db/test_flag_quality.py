"""Precision and miss rate: from verdicts on flags and on the audit, by night, and right as often as they say."""

from datetime import date, timedelta

import numpy as np
import pytest
from making import claimed, finish, scored
from shop_floor import judge, night_of_scores
from sqlalchemy import update

from db.engine import writing
from db.quality import quality, says
from db.schema import job
from db.verdicts import add_verdict
from oddlot.intervals import share_of
from oddlot.words import JobState, Verdict

MONDAY, TUESDAY = date(2026, 11, 23), date(2026, 11, 24)
ODD, FINE = 0.9, 0.1


@pytest.fixture
def night(engine, submit):
    """Score a job of that night; returns its items: flagged ones, audited ones, the rest."""
    return lambda *args, **values: night_of_scores(engine, submit, *args, **values)


def test_a_night_is_counted_and_the_latest_verdict_stands(engine, night):
    flagged, audited, rest = night(MONDAY, flagged=6, audited=8, others=26)
    judge(engine, flagged[:5], [Verdict.DEFECT, Verdict.DEFECT, Verdict.GOOD, Verdict.UNSURE, Verdict.GOOD])
    add_verdict(engine, flagged[0], Verdict.GOOD, reviewer="Ben")
    add_verdict(engine, flagged[0], Verdict.DEFECT, reviewer="Ada")
    judge(engine, audited[:6], [Verdict.GOOD] * 4 + [Verdict.DEFECT, Verdict.UNSURE])
    judge(engine, rest[:3], [Verdict.DEFECT] * 3)  # found by other ways than chance: they tell nothing of the rest
    report = quality(engine)
    (found,) = report.nights
    assert (found.night, found.jobs, found.scored, found.flagged, found.unflagged) == (MONDAY, 1, 40, 6, 34)
    assert (found.defects, found.good, found.unsure) == (2, 2, 1)
    assert found.precision == share_of(2, 4)
    assert (found.audited, found.audit_defects, found.audit_good, found.audit_unsure) == (8, 1, 4, 1)
    assert found.covered == 34
    assert found.missed_share.value == pytest.approx(1 / 5)
    assert found.missed.value == pytest.approx(34 / 5)
    assert found.missed_share.high == pytest.approx(min(share_of(1, 5).high, 30 / 34))
    # Caught: two defects, and of the two flags without a clear verdict perhaps as many.
    assert found.miss_rate.value == pytest.approx(6.8 / (6.8 + 3))
    assert found.miss_rate.low == pytest.approx(found.missed.low / (found.missed.low + 4))
    assert found.miss_rate.high == pytest.approx(found.missed.high / (found.missed.high + 2))
    assert report.total.missed == found.missed
    assert report.total.night is None


def test_nights_and_their_sum_and_what_filters_choose(engine, night, register):
    night(MONDAY, flagged=2, audited=3, others=5, line="press 1")
    flagged, audited, _ = night(TUESDAY, flagged=1, audited=4, others=5, line="press 2")
    judge(engine, [*flagged, *audited], [Verdict.GOOD] * 5)
    report = quality(engine, model_name="flange")
    assert [(one.night, one.scored, one.flagged, one.audited) for one in report.nights] == [
        (MONDAY, 10, 2, 3), (TUESDAY, 10, 1, 4),
    ]  # fmt: skip
    assert (report.total.scored, report.total.flagged, report.total.audited) == (20, 3, 7)
    assert report.nights[0].missed is None
    assert (report.total.covered, report.total.unflagged) == (9, 17)
    assert quality(engine, line="press 1").total.scored == 10
    assert quality(engine, model_name="other").nights == ()
    with writing(engine) as connection:
        ended = connection.execute(
            update(job).where(job.c.night == TUESDAY).values(finished_at=job.c.created_at).returning(job.c.finished_at)
        ).scalar_one()
        connection.execute(update(job).where(job.c.night == MONDAY).values(finished_at=ended - timedelta(days=1)))
    assert [one.night for one in quality(engine, since=ended).nights] == [TUESDAY]
    assert [one.night for one in quality(engine, until=ended).nights] == [MONDAY]


@pytest.mark.parametrize("state", [JobState.HELD, JobState.DISCARDED])
def test_a_night_that_is_not_believed_counts_nowhere(engine, night, state):
    flagged, audited, _ = night(MONDAY, flagged=2, audited=3, others=5)
    judge(engine, [*flagged, *audited], [Verdict.DEFECT] * 5)
    with writing(engine) as connection:
        connection.execute(update(job).values(state=state))
    assert quality(engine).nights == ()
    assert says(quality(engine).total) == ["Nothing was scored in a finished job that counts."]


def test_a_job_that_is_still_worked_on_does_not_count_yet(engine, submit):
    opened = submit(8, batch_size=4)
    finish(engine, claimed(engine, opened, 1))
    assert quality(engine).nights == ()
    claim = claimed(engine, opened, 2)
    finish(engine, claim, [scored(item) for item in claim.items])
    assert quality(engine).total.scored == 8


def test_words_where_there_are_few_audits(engine, night):
    flagged, audited, _ = night(MONDAY, flagged=1, audited=20, others=980)
    assert "None of 20 audited items was judged good or defect: the miss rate is not known." in says(
        quality(engine).total
    )
    judge(engine, audited, [Verdict.GOOD] * 20)
    judge(engine, flagged, [Verdict.DEFECT])
    lines = says(quality(engine).total)
    assert lines[0] == (
        "1 of 1001 scored items flagged, 1 of those reviewed: 1 defect, 0 good. "
        "Precision 100 % (2.5 % to 100 % with 95 % confidence)."
    )
    assert lines[1] == (
        "0 of 20 judged items of the audit were defects: at most 14 % of the 1000 unflagged items, that is 139, with "
        "95 % confidence."
    )
    assert lines[2].startswith("Of all defects at most 99 % were missed")


def test_shares_that_differ_within_a_job_are_weighted(engine, night):
    """Two workers with other settings: what the second drew stands for four times as many each."""
    _, audited, _ = night(MONDAY, flagged=0, audited=20, others=80, shares=[0.4] * 10 + [0.1] * 10)
    judge(engine, audited, [Verdict.GOOD] * 9 + [Verdict.DEFECT] + [Verdict.GOOD] * 8 + [Verdict.DEFECT] * 2)
    found = quality(engine).total
    assert found.missed.value == pytest.approx(100 * (1 / 0.4 + 2 / 0.1) / (10 / 0.4 + 10 / 0.1))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_interval_of_the_miss_rate_holds_the_truth(engine, night):
    """Nights of known parts, audited by chance again and again; judged as they are."""
    rng = np.random.default_rng(7)
    rounds, within, below = 150, 0, 0
    for round_ in range(rounds):
        line, missed, caught = f"line {round_}", 0, 0
        for size, odd, share in ((60, 6, 0.3), (90, 5, 0.1)):
            drawn = rng.random(size) < share
            hidden = rng.permutation(size) < odd
            picked = np.flatnonzero(drawn)
            flagged, audited, _ = night(
                MONDAY, flagged=3, audited=len(picked), others=size - len(picked), line=line,
                shares=[share] * len(picked),
            )  # fmt: skip
            judge(engine, audited, [Verdict.DEFECT if hidden[i] else Verdict.GOOD for i in picked])
            judge(engine, flagged, [Verdict.DEFECT] * 3)
            missed, caught = missed + odd, caught + 3
        found = quality(engine, line=line).total
        truth = missed / (missed + caught)
        within += found.miss_rate.low <= truth <= found.miss_rate.high
        below += truth <= found.miss_rate.at_most
    # 150 rounds of exactly 0.95 stay above this with probability 0.999.
    assert min(within, below) / rounds >= 0.95 - 3.1 * (0.95 * 0.05 / rounds) ** 0.5
