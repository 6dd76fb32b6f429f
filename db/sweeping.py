"""Putting back what nobody holds any more: the healing half of exactly-once."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from sqlalchemy import Connection, Engine, and_, exists, func, not_, or_, select, update

from db import leases
from db.batches import WORKED_ON, Claim, held_under, release_batch, waiting_again
from db.engine import now, reading, writing
from db.listing import add_batches, change_items, next_number
from db.schema import IS_LEASED, IS_OPEN, IS_WAITING, batch, item, job
from db.settling import close_waiting, lock_job, settle_job
from oddlot.words import BatchState, ItemState, JobState


@dataclass
class SweepReport:
    """What one round did: batches put back, split, quarantined; jobs closed."""

    put_back: int = 0
    split: int = 0
    quarantined: int = 0
    closed: int = 0

    @property
    def anything(self) -> bool:
        return any(self.as_dict().values())

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


def lease_owners(engine: Engine) -> list[str]:
    """Everybody who holds a batch."""
    return leases.owners(engine, batch, BatchState.LEASED)


def expire_leases(engine: Engine, owner: str) -> int:
    """End all leases of an owner who is known to be dead; returns how many."""
    return leases.expire(engine, batch, BatchState.LEASED, owner)


def give_back(engine: Engine, owner: str) -> int:
    """Put back what a dead owner held who was stopped on purpose: those attempts do not count. Returns how many."""
    with writing(engine) as connection:
        return connection.execute(
            update(batch)
            .where(IS_LEASED, batch.c.owner == owner)
            .values(**waiting_again(connection), error="the worker was stopped", attempts=batch.c.attempts - 1)
        ).rowcount


def sweep(engine: Engine, *, max_attempts: int, hold: bool = True) -> SweepReport:
    """One round. Any number of sweepers may run at once: each change is conditional on what it was decided on."""
    report = SweepReport(put_back=_put_back_expired(engine))
    with reading(engine) as connection:
        worn_out = connection.execute(select(batch.c.id).where(IS_WAITING, batch.c.attempts >= max_attempts))
        worn_out_ids = worn_out.scalars().all()
    for batch_id in worn_out_ids:
        match _split(engine, batch_id, max_attempts, hold):
            case "split":
                report.split += 1
            case "quarantined":
                report.quarantined += 1
    for job_id in _to_be_closed(engine):
        with writing(engine) as connection:
            close_waiting(connection, job_id)
            report.closed += settle_job(connection, job_id, hold=hold) is not None
    return report


def _put_back_expired(engine: Engine) -> int:
    with reading(engine) as connection:
        over = and_(IS_LEASED, batch.c.lease_expires_at <= now(connection))
        if connection.execute(select(batch.c.id).where(over).limit(1)).scalar() is None:
            return 0  # the usual case takes no write lock
    with writing(engine) as connection:
        return connection.execute(
            update(batch)
            .where(IS_LEASED, batch.c.lease_expires_at <= now(connection))
            .values(**waiting_again(connection), error=func.coalesce(batch.c.error, "the worker died or fell silent"))
        ).rowcount


def _split(engine: Engine, batch_id: int, max_attempts: int, hold: bool) -> Literal["", "split", "quarantined"]:
    """Make two batches of one that failed too often; quarantine the item of one that holds a single item."""
    with writing(engine) as connection:
        # Says also whether another sweeper, or a worker, was faster.
        row = connection.execute(
            update(batch)
            .where(
                batch.c.id == batch_id, batch.c.state == BatchState.WAITING, batch.c.attempts >= max_attempts,
                exists().where(job.c.id == batch.c.job_id, job.c.state.in_(WORKED_ON)),
            )
            .values(state=BatchState.SPLIT, finished_at=now(connection))
            .returning(batch.c.job_id, batch.c.error)
        ).one_or_none()  # fmt: skip
        if row is None:
            return ""
        ids = (
            connection.execute(
                select(item.c.id)
                .where(item.c.batch_id == batch_id, item.c.state == ItemState.WAITING)
                .order_by(item.c.id)
            )
            .scalars()
            .all()
        )
        if len(ids) <= 1:
            reason = f"inspecting it failed each time, also alone: {row.error}"
            change_items(connection, ids, state=ItemState.QUARANTINED, error=reason)
            settle_job(connection, row.job_id, hold=hold)
            return "quarantined"
        half = len(ids) // 2
        _make_batches(connection, row.job_id, (ids[:half], ids[half:]), row.error, max_attempts)
        return "split"


def split_claimed(engine: Engine, claim: Claim, error: str, *, max_attempts: int, alone: int | None = None) -> bool:
    """Give a batch back as two, with the reason; False where it is somebody else's by now.

    For a failure that the same batch would most likely meet again. `alone` is the item that gets a batch for itself;
    without one, each gets half. A batch of one item is given back as it is, and the attempt counts.
    """
    ids = [row.id for row in claim.items]
    if len(ids) == 1:
        return release_batch(engine, claim, error, count_attempt=True)
    half = len(ids) // 2
    parts = (ids[:half], ids[half:]) if alone is None else ([item_id for item_id in ids if item_id != alone], [alone])
    with writing(engine) as connection:
        ended = update(batch).where(*held_under(claim))
        ended = ended.values(
            state=BatchState.SPLIT, owner=None, lease_expires_at=None, error=error, finished_at=now(connection)
        )
        if connection.execute(ended).rowcount != 1:
            return False
        _make_batches(connection, claim.job_id, parts, error, max_attempts)
        return True


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


def _to_be_closed(engine: Engine) -> Sequence[int]:
    """Jobs that ended before their time with batches still waiting, and open ones with no batch open.

    Both are what a kill between two transactions leaves.
    """
    waiting = exists().where(batch.c.job_id == job.c.id, IS_WAITING)
    still_open = exists().where(batch.c.job_id == job.c.id, IS_OPEN)
    left_waiting = and_(job.c.state.in_([JobState.CANCELLED, JobState.FAILED]), waiting)
    unfinished = and_(job.c.finished_at.is_(None), job.c.state != JobState.LISTING, not_(still_open))
    with reading(engine) as connection:
        return connection.execute(select(job.c.id).where(or_(left_waiting, unfinished))).scalars().all()
