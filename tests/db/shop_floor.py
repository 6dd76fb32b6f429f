"""Nights whose items are flagged, audited or neither, and people who judge them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date

from making import finish, scored
from sqlalchemy import Engine

from db import batches
from db.jobs import JobRow
from db.verdicts import add_verdict
from oddlot.words import Verdict


def night_of_scores(
    engine: Engine, submit: Callable[..., JobRow], night: date, *, flagged: int, audited: int, others: int,
    shares: Sequence[float] | None = None, **values: object,
) -> tuple[list[int], list[int], list[int]]:  # fmt: skip
    """A finished job; the numbers of its flagged, its audited and its other items."""
    count = flagged + audited + others
    job = submit(count, batch_size=count, night=night, **values)
    claim = batches.claim_batch(engine, job.id, 1, "me", 60.0)
    assert claim is not None
    shares = shares or [0.25] * audited
    outcomes = [scored(item, 0.9 if i < flagged else 0.1) for i, item in enumerate(claim.items)]
    for i, share in enumerate(shares, start=flagged):
        outcomes[i] = replace(outcomes[i], audit_share=share)
    finish(engine, claim, outcomes)
    ids = [item.id for item in claim.items]
    return ids[:flagged], ids[flagged : flagged + audited], ids[flagged + audited :]


def judge(engine: Engine, items: Sequence[int], words: Sequence[Verdict]) -> None:
    for item_id, word in zip(items, words, strict=True):
        add_verdict(engine, item_id, word, reviewer="Ada")
