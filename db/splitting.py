"""What becomes of a batch that failed: another attempt, or, when those are used up, two batches of half its items each,
until the picture that breaks it stands alone and is quarantined.

Worker and sweeper do this alike: who holds a batch ends it himself, so that nobody publishes again what is worn out.
"""

from collections.abc import Sequence
from typing import Literal

from sqlalchemy import ColumnElement, Connection, Engine, and_, exists, func, or_, select, update

from db import tallies
from db.batches import WORKED_ON, Claim, held_under, release_batch
from db.engine import now, reading, writing
from db.listing import add_batches, change_items, next_number
from db.schema import IS_LEASED, IS_WAITING, batch, item, job
from db.settling import lock_job, settle_job
from oddlot.words import BatchState, ItemState

FELL_SILENT = "the worker died or fell silent"
STOPPED = "the worker was stopped"
"""Of what was in work then; nothing has failed."""
HAS_FAILED = batch.c.error != STOPPED
"""A batch was tried, and did not end well."""
Became = Literal["", "waiting", "split", "quarantined"]
"""Empty: nothing, because it was somebody else's by then."""


def fail_batch(
    engine: Engine, claim: Claim, error: str, *, max_attempts: int, hold: bool = True, split: bool = False,
    alone: int | None = None,
) -> Became:  # fmt: skip
    """Give back a batch that could not be inspected, with the reason. The attempt counts.

    With `split` it is not tried again as it is, where it holds more than one item: for a failure that it would most
    likely meet again. `alone` is the item that gets a batch for itself then; without one, each gets half.
    """
    if claim.attempts < max_attempts and not (split and len(claim.items) > 1):
        return "waiting" if release_batch(engine, claim, error, count_attempt=True) else ""
    with writing(engine) as connection:
        ours = and_(*held_under(claim))
        return _end(connection, ours, max_attempts, hold=hold, error=error, alone=alone)


def worn_out(engine: Engine, max_attempts: int) -> Sequence[int]:
    """Batches that nobody holds any more and whose attempts are used up."""
    with reading(engine) as connection:
        waiting = select(batch.c.id).where(IS_WAITING, batch.c.attempts >= max_attempts)
        silent = select(batch.c.id).where(
            IS_LEASED, batch.c.attempts >= max_attempts, batch.c.lease_expires_at <= now(connection)
        )
        return [*connection.execute(waiting).scalars(), *connection.execute(silent).scalars()]


def end_worn_out(engine: Engine, batch_id: int, max_attempts: int, *, hold: bool) -> Became:
    """End such a batch, unless another sweeper, or a worker, was faster."""
    with writing(engine) as connection:
        # A waiting one of a job that ended before its time is closed with it.
        waiting = and_(
            batch.c.state == BatchState.WAITING, exists().where(job.c.id == batch.c.job_id, job.c.state.in_(WORKED_ON))
        )
        silent = and_(batch.c.state == BatchState.LEASED, batch.c.lease_expires_at <= now(connection))
        still = and_(batch.c.id == batch_id, batch.c.attempts >= max_attempts, or_(waiting, silent))
        return _end(connection, still, max_attempts, hold=hold, error=func.coalesce(batch.c.error, FELL_SILENT))


def _end(
    connection: Connection, still: ColumnElement[bool], max_attempts: int, *, hold: bool, error: object,
    alone: int | None = None,
) -> Became:  # fmt: skip
    """Make two batches of the one for which `still` is true; quarantine the item of one that holds a single item."""
    row = connection.execute(
        update(batch)
        .where(still)
        .values(state=BatchState.SPLIT, owner=None, lease_expires_at=None, error=error, finished_at=now(connection))
        .returning(batch.c.id, batch.c.job_id, batch.c.error)
    ).one_or_none()
    if row is None:
        return ""
    ids = (
        connection.execute(
            select(item.c.id).where(item.c.batch_id == row.id, item.c.state == ItemState.WAITING).order_by(item.c.id)
        )
        .scalars()
        .all()
    )
    if len(ids) <= 1:
        reason = f"inspecting it failed each time, also alone: {row.error}"
        change_items(connection, ids, state=ItemState.QUARANTINED, error=reason)
        settle_job(connection, row.job_id, hold=hold)
        tallies.add(connection, row.job_id, quarantined=len(ids))
        return "quarantined"
    half = len(ids) // 2
    parts = (ids[:half], ids[half:]) if alone is None else ([item_id for item_id in ids if item_id != alone], [alone])
    _make_batches(connection, row.job_id, parts, row.error, max_attempts)
    return "split"


def _make_batches(
    connection: Connection, job_id: int, parts: Sequence[Sequence[int]], error: str, max_attempts: int
) -> None:
    """A batch of its own for each part of the items of one that failed with that error."""
    lock_job(connection, job_id)
    for number, ids in enumerate(parts, start=next_number(connection, job_id)):
        # One attempt each for the parts, which are many; two for a picture alone, before it is given up.
        attempts = max(0, max_attempts - (1 if len(ids) > 1 else 2))
        made = add_batches(connection, job_id, [number], attempts=attempts, error=error)
        change_items(connection, ids, batch_id=made[number])
