"""Putting back what nobody holds any more: the healing half of exactly-once."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Engine, and_, exists, func, not_, or_, select, update

from db import leases, splitting
from db.batches import waiting_again
from db.engine import now, reading, writing
from db.schema import IS_LEASED, IS_OPEN, IS_WAITING, batch, job
from db.settling import close_waiting, settle_job
from oddlot.words import BatchState, JobState


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
            .values(**waiting_again(connection), error=splitting.STOPPED, attempts=batch.c.attempts - 1)
        ).rowcount


def sweep(engine: Engine, *, max_attempts: int, hold: bool = True) -> SweepReport:
    """One round. Any number of sweepers may run at once: each change is conditional on what it was decided on."""
    # What is worn out is never put back in between: somebody would try it once more.
    report = SweepReport(put_back=_put_back_expired(engine, max_attempts))
    for batch_id in splitting.worn_out(engine, max_attempts):
        match splitting.end_worn_out(engine, batch_id, max_attempts, hold=hold):
            case "split":
                report.split += 1
            case "quarantined":
                report.quarantined += 1
    for job_id in _to_be_closed(engine):
        with writing(engine) as connection:
            close_waiting(connection, job_id)
            report.closed += settle_job(connection, job_id, hold=hold) is not None
    return report


def _put_back_expired(engine: Engine, max_attempts: int) -> int:
    with reading(engine) as connection:
        over = and_(IS_LEASED, batch.c.attempts < max_attempts, batch.c.lease_expires_at <= now(connection))
        if connection.execute(select(batch.c.id).where(over).limit(1)).scalar() is None:
            return 0  # the usual case takes no write lock
    with writing(engine) as connection:
        return connection.execute(
            update(batch)
            .where(IS_LEASED, batch.c.attempts < max_attempts, batch.c.lease_expires_at <= now(connection))
            .values(**waiting_again(connection), error=func.coalesce(batch.c.error, splitting.FELL_SILENT))
        ).rowcount


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
