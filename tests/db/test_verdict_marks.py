"""Filters and counts that go by the copies of the latest word follow every word that is said or taken back."""

from dataclasses import replace

import pytest
from making import claimed, finish, scored

from db import endings
from db.batches import Outcome
from db.quality import quality
from db.results import ResultFilter, iter_results
from db.review import Choice, flagged_page
from db.review_words import give_verdict, take_back
from db.verdicts import add_verdict
from oddlot.words import ItemState, Verdict


@pytest.fixture
def item(engine, submit):
    """A flagged item of a finished job."""
    job = submit(1)
    claim = claimed(engine, job, 1)
    finish(engine, claim, [scored(claim.items[0], 0.9)])
    return claim.items[0].id


def unreviewed(engine):
    by_command = [row["item"] for row in iter_results(engine, ResultFilter(flagged_only=True, unreviewed=True))]
    by_page = [one.item_id for one in flagged_page(engine, Choice(verdict="unreviewed"), None, 9)]
    assert by_command == by_page
    return by_page


def counts(engine):
    total = quality(engine).total
    return total.defects, total.good


def test_the_word_that_stands_is_followed_also_when_it_is_taken_back(engine, item):
    assert unreviewed(engine) == [item]
    add_verdict(engine, item, Verdict.GOOD, reviewer="Ada")
    second = give_verdict(engine, item, Verdict.DEFECT, kind=None, note=None, reviewer="Bob")
    assert (unreviewed(engine), counts(engine)) == ([], (1, 0))
    take_back(engine, second, item_id=item, reviewer="Bob")
    assert (unreviewed(engine), counts(engine)) == ([], (0, 1))
    assert [one.item_id for one in flagged_page(engine, Choice(verdict="good"), None, 9)] == [item]


def test_an_only_word_that_is_taken_back_leaves_none(engine, item):
    word = give_verdict(engine, item, Verdict.DEFECT, kind=None, note=None, reviewer="Bob")
    take_back(engine, word, item_id=item, reviewer="Bob")
    assert (unreviewed(engine), counts(engine)) == ([item], (0, 0))


def test_what_was_judged_before_it_could_be_read_is_not_unreviewed_afterwards(engine, submit):
    job = submit(2, batch_size=2)
    claim = claimed(engine, job, 1)
    broken = Outcome(claim.items[1].id, ItemState.UNREADABLE, error="the disk was away")
    finish(engine, claim, [scored(claim.items[0], 0.1), broken])
    add_verdict(engine, broken.item_id, Verdict.DEFECT, reviewer="Ada")
    assert endings.retry_job(engine, job.id, 10) == 1
    again = claimed(engine, job, 2)
    finish(engine, again, [replace(scored(again.items[0], 0.9), audit_share=None)])
    assert (unreviewed(engine), counts(engine)) == ([], (1, 0))


def test_the_word_on_an_audited_item_counts_in_the_audit(engine, submit):
    job = submit(2, batch_size=2)
    claim = claimed(engine, job, 1)
    finish(engine, claim, [replace(scored(one, 0.1), audit_share=0.5) for one in claim.items])
    add_verdict(engine, claim.items[0].id, Verdict.DEFECT, reviewer="Ada")
    total = quality(engine).total
    assert (total.audited, total.audit_defects, total.audit_good) == (2, 1, 0)
