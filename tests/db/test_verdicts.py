"""A person's words on items: kept, in order, and the latest is the one that counts."""

import pytest
from making import claimed, finish

from db.results import ResultFilter, iter_results
from db.verdicts import add_verdict, verdicts_of
from oddlot.errors import NotFoundError
from oddlot.words import Verdict


@pytest.fixture
def items(engine, submit):
    job = submit(2)
    finish(engine, claimed(engine, job, 1), None)
    return [row["item"] for row in iter_results(engine, ResultFilter(job_id=job.id))]


def test_the_latest_word_counts_and_earlier_ones_are_kept_with_who_said_them(engine, items):
    add_verdict(engine, items[0], Verdict.DEFECT, kind="scratch", note="left edge", reviewer="Ada")
    add_verdict(engine, items[0], Verdict.GOOD, reviewer="Ben")
    latest, first = verdicts_of(engine, items[0])
    assert (first.verdict, first.kind, first.note, first.reviewer) == (Verdict.DEFECT, "scratch", "left edge", "Ada")
    assert (latest.verdict, latest.kind, latest.reviewer) == (Verdict.GOOD, None, "Ben")
    assert latest.at >= first.at
    assert [row["verdict"] for row in iter_results(engine, ResultFilter())] == [Verdict.GOOD, None]
    assert [row["item"] for row in iter_results(engine, ResultFilter(unreviewed=True))] == [items[1]]


def test_no_word_on_an_item_that_is_not_there(engine, items):
    with pytest.raises(NotFoundError, match="there is no item 999"):
        add_verdict(engine, 999, Verdict.GOOD, reviewer="Ada")
    assert verdicts_of(engine, 999) == []
