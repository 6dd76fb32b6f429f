"""Reports of finished jobs on their way: which are owed, who sends one just now, and what became of it.

At least once: who dies between sending a report and saying so sends it again. Never by two at a time: a row is claimed
under a lease, and only its holder writes what came of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, and_, exists, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from db.engine import now, reading, writing
from db.schema import delivery, job
from oddlot.words import DeliveryKind, JobState

Target = tuple[DeliveryKind, str]

REPORTED = (JobState.DONE, JobState.HELD, JobState.FAILED)
PAUSES = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 120, 240, 480, 480))
"""Pauses after each attempt that fails; when they are used up, after about a day, the delivery has failed."""
BACK = timedelta(days=1)
"""Jobs that finished longer ago than this are reported to nobody any more."""
BACK_AT_FIRST = timedelta(hours=1)
"""The same, for a target to which nothing was ever sent: it should not get all of yesterday's."""


@dataclass(frozen=True)
class DeliveryRow:
    """One report to one target. `number` names it to the receiver: another one if the job was opened and finished
    again."""

    id: int
    job_id: int
    kind: DeliveryKind
    target: str
    attempts: int
    error: str | None
    next_at: datetime | None
    created_at: datetime
    delivered_at: datetime | None
    owner: str | None

    @property
    def state(self) -> str:
        """`sent`, `sending`, `waiting` (for the first or another attempt) or `failed` (for good)."""
        if self.delivered_at is not None:
            return "sent"
        if self.next_at is None:
            return "failed"
        return "waiting" if self.owner is None else "sending"

    @property
    def number(self) -> str:
        return f"{self.id}-{int(1000 * self.created_at.timestamp())}"


def plan(engine: Engine, targets: Sequence[Target]) -> int:
    """Make a row for each finished job and each of `targets` that has none, and renew those of a job that was opened
    and finished again since; returns how many.

    Only for jobs that finished lately, and to a new target only from the hour before it was first seen on.
    """
    with reading(engine) as connection:
        if not any(_owed(connection, target) for target in targets):
            return 0
    try:
        with writing(engine) as connection:
            return sum(_plan_for(connection, target) for target in targets)
    except IntegrityError:  # another sweeper made them at the same moment
        return 0


def _plan_for(connection: Connection, target: Target) -> int:
    kind, name = target
    owed = _owed(connection, target)
    moment = now(connection)
    fresh = {"attempts": 0, "owner": None, "next_at": moment, "error": None, "created_at": moment,
             "delivered_at": None}  # fmt: skip
    for job_id, outdated in owed:
        if outdated is None:
            connection.execute(insert(delivery).values(job_id=job_id, kind=kind, target=name, **fresh))
        else:
            this = and_(delivery.c.job_id == job_id, delivery.c.kind == kind, delivery.c.target == name)
            connection.execute(update(delivery).where(this, delivery.c.created_at == outdated).values(**fresh))
    return len(owed)


def _owed(connection: Connection, target: Target) -> list[tuple[int, datetime | None]]:
    """Jobs that the target is to hear of, each with when its row was made where it has an outdated one."""
    kind, name = target
    moment = now(connection)
    ours = and_(delivery.c.kind == kind, delivery.c.target == name)
    first = connection.execute(select(func.min(delivery.c.created_at)).where(ours)).scalar()
    since = max(moment - BACK, (first or moment) - BACK_AT_FIRST)
    rows = connection.execute(
        select(job.c.id, delivery.c.created_at)
        .join(delivery, and_(delivery.c.job_id == job.c.id, ours), isouter=True)
        .where(job.c.state.in_(REPORTED), job.c.finished_at >= since)
        .where(or_(delivery.c.id.is_(None), delivery.c.created_at < job.c.finished_at))
        .order_by(job.c.id)
    )
    return [(row[0], row[1]) for row in rows]


def any_due(engine: Engine, targets: Sequence[Target]) -> bool:
    """Whether `claim` would find something."""
    if not targets:
        return False
    with reading(engine) as connection:
        due = select(delivery.c.id).where(_due(targets), delivery.c.next_at <= now(connection)).limit(1)
        return connection.execute(due).first() is not None


def claim(engine: Engine, targets: Sequence[Target], owner: str, lease_seconds: float) -> DeliveryRow | None:
    """Take the next report that is due to one of `targets`, counting the attempt; None where there is none.

    Nobody else gets it until the lease ends. One whose last sender never said what came of it is failed where that was
    its last attempt.
    """
    if not targets:
        return None
    with writing(engine) as connection:
        moment = now(connection)
        while True:
            row = connection.execute(
                select(delivery)
                .where(_due(targets), delivery.c.next_at <= moment)
                .order_by(delivery.c.next_at, delivery.c.id)
                .limit(1)
                .with_for_update(skip_locked=True)
            ).one_or_none()
            if row is None:
                return None
            this = update(delivery).where(delivery.c.id == row.id)
            lost = "the attempt before did not come to an end" if row.owner else row.error
            if row.attempts > len(PAUSES):
                connection.execute(this.values(owner=None, next_at=None, error=lost))
                continue
            until = moment + timedelta(seconds=lease_seconds)
            claimed = this.values(owner=owner, next_at=until, attempts=row.attempts + 1, error=lost)
            found = connection.execute(claimed.returning(delivery)).one()
            return _row(dict(found._mapping))


def end_leases_of_the_dead(engine: Engine, is_dead: Callable[[str], bool]) -> int:
    """End the leases of senders of whom `is_dead` says that they are; returns how many."""
    with reading(engine) as connection:
        query = select(delivery.c.owner).where(delivery.c.owner.is_not(None), delivery.c.next_at.is_not(None))
        dead = [owner for owner in connection.execute(query.distinct()).scalars() if is_dead(owner)]
    if not dead:
        return 0
    with writing(engine) as connection:
        held = and_(delivery.c.owner.in_(dead), delivery.c.next_at.is_not(None))
        return connection.execute(update(delivery).where(held).values(next_at=now(connection))).rowcount


def record_sent(engine: Engine, row: DeliveryRow, owner: str) -> bool:
    """Say that it is there; False where the lease was lost meanwhile."""
    with writing(engine) as connection:
        values = {"owner": None, "next_at": None, "error": None, "delivered_at": now(connection)}
        return _change(connection, row, owner, values)


def record_failed(
    engine: Engine, row: DeliveryRow, owner: str, error: str, pauses: Sequence[timedelta] = PAUSES
) -> bool:
    """Say why it could not be sent; it is tried again after a pause, as long as there is one left."""
    with writing(engine) as connection:
        again = now(connection) + pauses[row.attempts - 1] if row.attempts <= len(pauses) else None
        return _change(connection, row, owner, {"owner": None, "next_at": again, "error": error})


def failed_lately(engine: Engine, within: timedelta) -> list[DeliveryRow]:
    """Reports that were given up, of jobs that finished lately; the newest first."""
    query = select(delivery).where(delivery.c.delivered_at.is_(None), delivery.c.next_at.is_(None))
    with reading(engine) as connection:
        since = now(connection) - within
        rows = connection.execute(query.where(delivery.c.created_at >= since).order_by(delivery.c.id.desc()))
        return [_row(dict(row._mapping)) for row in rows]


def deliveries_of(engine: Engine, job_id: int) -> list[DeliveryRow]:
    """All reports of a job, sent or not."""
    query = select(delivery).where(delivery.c.job_id == job_id).order_by(delivery.c.id)
    with reading(engine) as connection:
        return [_row(dict(row._mapping)) for row in connection.execute(query)]


def _due(targets: Sequence[Target]) -> ColumnElement[bool]:
    # Only what this host's settings name: another host may know of other targets.
    named = or_(*(and_(delivery.c.kind == kind, delivery.c.target == target) for kind, target in targets))
    # A job that is tried again is reported when that has ended.
    ended = exists().where(job.c.id == delivery.c.job_id, job.c.finished_at.is_not(None))
    return and_(delivery.c.delivered_at.is_(None), delivery.c.next_at.is_not(None), named, ended)


def _change(connection: Connection, row: DeliveryRow, owner: str, values: Mapping[str, object]) -> bool:
    # `created_at` too: a row that was renewed meanwhile is another report.
    mine = (delivery.c.id == row.id, delivery.c.owner == owner, delivery.c.created_at == row.created_at)
    return connection.execute(update(delivery).where(*mine).values(**values)).rowcount == 1


def _row(values: Mapping[str, Any]) -> DeliveryRow:
    return DeliveryRow(**{**values, "kind": DeliveryKind(values["kind"])})
