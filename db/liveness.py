"""Whether work goes on, as SQL knows it: who holds which batch, what waits, and what keeps a job from its end."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Engine, and_, case, func, or_, select

from db import lines
from db.batches import WORKED_ON
from db.engine import now, reading
from db.flagged import of_jobs
from db.schema import IS_LEASED, IS_OPEN, IS_WAITING, batch, job, worker
from db.splitting import HAS_FAILED
from db.workers import CHILD, STUCK_AFTER
from oddlot.queue import LOWEST_PRIORITY
from oddlot.words import OPEN_BATCH_STATES, BatchState, JobState

TAKEN_WITHIN = 15.0
"""Seconds in which a worker that has nothing else to do takes a batch; less than until it is told of again as lost."""


@dataclass(frozen=True)
class Held:
    """A batch in somebody's hands, its lease not over; `claim` is another one each time it is taken."""

    owner: str
    job_id: int
    number: int
    claim: tuple[int, int]


@dataclass(frozen=True)
class JobHealth:
    """What is open of one job that is not at its end.

    `unpublished` waiting batches were not put into the queue yet; the lease of `stuck` ones is over, and nobody has put
    them back; `worn` ones have one attempt left, or none. `idle_seconds` is how long ago one of its batches was
    finished; where none was since, how long ago the first that is open could be taken. `leased` counts batches whose
    lease is not over. `error` is of an open batch that was tried before, and failed. `line_batches` is the quota of
    its `line` where that has as many in work, `line_items` the one that made its priority the lowest.
    """

    job_id: int
    state: JobState
    submitter: str
    waiting: int
    unpublished: int
    leased: int
    stuck: int
    worn: int
    oldest_waiting_seconds: float | None
    idle_seconds: float | None
    error: str | None
    line: str | None = None
    line_batches: int | None = None
    line_items: int | None = None


def held_batches(engine: Engine) -> list[Held]:
    """All batches in work."""
    query = select(batch.c.owner, batch.c.job_id, batch.c.number, batch.c.id, batch.c.fencing)
    with reading(engine) as connection:
        alive = and_(IS_LEASED, batch.c.lease_expires_at > now(connection))
        rows = connection.execute(query.where(alive)).all()
    return [Held(row.owner, row.job_id, row.number, (row.id, row.fencing)) for row in rows]


def children_seen(engine: Engine) -> list[tuple[str, datetime]]:
    """Children of pools, of all hosts, with the time at which each last ended a batch, well or not."""
    with reading(engine) as connection:
        query = select(worker.c.name, worker.c.seen_at).where(worker.c.kind == CHILD)
        return [(row.name, row.seen_at) for row in connection.execute(query)]


def anything_overdue(engine: Engine, seconds: float) -> bool:
    """True where a batch that the queue was told of, and not just now, has waited for longer than that."""
    with reading(engine) as connection:
        overdue = (
            select(batch.c.id)
            .join(job, job.c.id == batch.c.job_id)
            .where(
                IS_WAITING, batch.c.published_at.is_not(None), job.c.state.in_(WORKED_ON),
                batch.c.waiting_since < now(connection) - timedelta(seconds=seconds),
                # One that was given back hours after it came is overdue as soon as the queue is told of it again.
                batch.c.published_at < now(connection) - timedelta(seconds=min(seconds, TAKEN_WITHIN)),
            )
            .limit(1)
        )  # fmt: skip
        return connection.execute(overdue).scalar() is not None


def open_jobs(engine: Engine, *, max_attempts: int) -> list[JobHealth]:
    """Every job that is not at its end, or has batches open although it is, the most urgent first."""
    waiting, leased = batch.c.state == BatchState.WAITING, batch.c.state == BatchState.LEASED
    open_batch = batch.c.state.in_(OPEN_BATCH_STATES)
    with_open_batches = select(batch.c.job_id).where(IS_OPEN)
    not_ended = or_(job.c.state.in_([JobState.LISTING, *WORKED_ON]), job.c.id.in_(with_open_batches))
    with reading(engine) as connection:
        moment = now(connection)
        # By their numbers: joined, PostgreSQL would read the batches of all jobs.
        numbers = connection.execute(select(job.c.id).where(not_ended)).scalars().all()
        query = (
            select(
                job.c.id, job.c.state, job.c.submitter, job.c.line, job.c.night, job.c.priority,
                _count(waiting).label("waiting"),
                _count(and_(waiting, batch.c.published_at.is_(None))).label("unpublished"),
                _count(and_(leased, batch.c.lease_expires_at > moment)).label("leased"),
                _count(and_(leased, batch.c.lease_expires_at < moment - STUCK_AFTER)).label("stuck"),
                _count(and_(open_batch, batch.c.attempts >= max(1, max_attempts - 1))).label("worn"),
                func.min(case((waiting, batch.c.waiting_since))).label("oldest"),
                func.min(case((open_batch, batch.c.waiting_since))).label("since"),
                func.max(batch.c.finished_at).label("finished"),
                func.max(case((and_(open_batch, HAS_FAILED), batch.c.error))).label("error"),
            )
            .join(batch, and_(batch.c.job_id == job.c.id, of_jobs(batch.c.job_id, numbers)), isouter=True)
            .where(of_jobs(job.c.id, numbers))
            .group_by(job.c.id, job.c.state, job.c.submitter, job.c.line, job.c.night, job.c.priority)
            .order_by(job.c.priority.desc(), job.c.id)
        )  # fmt: skip
        rows = connection.execute(query).all()
        quotas = lines.quotas_of(connection)
        full = {line: quotas[line].batches for line in lines.full_lines(connection)}
        lowest = {row.id: (row.line, row.night) for row in rows if row.priority == LOWEST_PRIORITY}
        beyond: dict[Any, int] = {}
        if lowest:
            beyond |= lines.too_many_items(connection, {night for _, night in lowest.values()})
    return [_health(row, moment, full.get(row.line), beyond.get(lowest.get(row.id))) for row in rows]


def _health(row: Any, moment: datetime, line_batches: int | None, line_items: int | None) -> JobHealth:
    def age(since: datetime | None) -> float | None:
        return None if since is None else max(0.0, (moment - since).total_seconds())

    last = max((at for at in (row.finished, row.since) if at is not None), default=None)
    return JobHealth(
        row.id, row.state, row.submitter, row.waiting, row.unpublished, row.leased, row.stuck, row.worn,
        age(row.oldest), age(last), row.error, row.line, line_batches, line_items,
    )  # fmt: skip


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count(case((condition, batch.c.id)))
