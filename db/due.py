"""Which waiting batches the queue is told of next: the most urgent jobs' first, and of equally urgent ones in turn."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import chain, groupby, zip_longest

from sqlalchemy import ColumnElement, Connection, Engine, bindparam, exists, func, or_, select, update

from db.batches import CLOCK_SLACK, WORKED_ON
from db.engine import now, reading, writing
from db.schema import IS_WAITING, batch, job
from oddlot.words import BatchState

Told = tuple[int, int, int]
"""A batch that the queue is told of: job, number, priority."""


def most_urgent(engine: Engine) -> int | None:
    """The highest priority of which a batch waits that the queue was not told of; None where there is none."""
    with reading(engine) as connection:
        found = _jobs(connection, batch.c.published_at.is_(None), 1)
        return found[0][1] if found else None


def due_for_publishing(
    engine: Engine, *, older_than_seconds: float | None, limit: int, room: Sequence[int] | None = None
) -> list[Told]:
    """Waiting batches that the queue was not told of, the most urgent first; those of equally urgent jobs in turn, so
    that no job waits for the end of a larger one.

    `room[p]` says how many messages the queue is to take of priority p and all above it together. With
    `older_than_seconds`, also batches that it was told of longer ago than that, or later than now: then the clock was
    set back. They count as published from now on; `unpublish` takes that back.
    """
    with reading(engine) as connection:
        if not _jobs(connection, _to_be_told(connection, older_than_seconds), 1):
            return []  # the usual case takes no write lock
    with writing(engine) as connection:
        told = _to_be_told(connection, older_than_seconds)
        due: list[Told] = []
        for priority, group in groupby(_jobs(connection, told, limit), key=lambda found: found[1]):
            fits = limit if room is None else min(limit, room[max(0, min(priority, len(room) - 1))])
            if (left := fits - len(due)) <= 0:
                continue
            job_ids = [job_id for job_id, _ in group][:left]
            share = -(-left // len(job_ids))
            in_turn = zip_longest(*(_batches(connection, job_id, told, share) for job_id in job_ids))
            numbers = [found for found in chain.from_iterable(in_turn) if found is not None]
            due += [(job_id, number, priority) for job_id, number in numbers[:left]]
        _mark_published(connection, due, True)
        return due


def told(engine: Engine, priorities: int) -> list[int]:
    """How many waiting batches the queue was told of, by the priority of their jobs, 0 first."""
    query = (
        select(job.c.priority, func.count())
        .join(batch, batch.c.job_id == job.c.id)
        .where(IS_WAITING, batch.c.published_at.is_not(None), job.c.state.in_(WORKED_ON))
        .group_by(job.c.priority)
    )
    with reading(engine) as connection:
        found: dict[int, int] = dict(connection.execute(query).tuples().all())
    return [found.get(priority, 0) for priority in range(priorities)]


def unpublish(engine: Engine, told: Sequence[Told]) -> None:
    """Take back that batches were published: the queue could not be told."""
    with writing(engine) as connection:
        _mark_published(connection, told, False)


def _to_be_told(connection: Connection, older_than_seconds: float | None) -> ColumnElement[bool]:
    untold: ColumnElement[bool] = batch.c.published_at.is_(None)
    if older_than_seconds is None:
        return untold
    moment = now(connection)
    long_ago = batch.c.published_at <= moment - timedelta(seconds=older_than_seconds)
    return or_(untold, long_ago, batch.c.published_at > moment + CLOCK_SLACK)


def _jobs(connection: Connection, told: ColumnElement[bool], limit: int) -> list[tuple[int, int]]:
    """Jobs with such batches, with their priority: the most urgent first, then the oldest."""
    of_job = exists().where(batch.c.job_id == job.c.id, IS_WAITING, told)
    query = select(job.c.id, job.c.priority).where(job.c.state.in_(WORKED_ON), of_job)
    query = query.order_by(job.c.priority.desc(), job.c.id).limit(limit)
    return [(row.id, row.priority) for row in connection.execute(query)]


def _batches(connection: Connection, job_id: int, told: ColumnElement[bool], limit: int) -> list[tuple[int, int]]:
    """The first such batches of a job, as (job, number); held until the transaction ends."""
    query = (
        select(batch.c.number)
        .where(batch.c.job_id == job_id, IS_WAITING, told)
        .order_by(batch.c.id)
        .limit(limit)
        .with_for_update(of=batch, skip_locked=True)
    )
    return [(job_id, number) for number in connection.execute(query).scalars()]


def _mark_published(connection: Connection, told: Sequence[Told], published: bool) -> None:
    if told:
        moment = now(connection) if published else None
        connection.execute(
            update(batch)
            .where(
                batch.c.job_id == bindparam("of_job"), batch.c.number == bindparam("of_number"),
                batch.c.state == BatchState.WAITING,
            )
            .values(published_at=bindparam("moment")),
            [{"of_job": job_id, "of_number": number, "moment": moment} for job_id, number, _ in told],
        )  # fmt: skip
