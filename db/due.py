"""Which waiting batches the queue is told of next: the most urgent jobs' first, and of equally urgent ones in turn.

None of a line that has its quota in work: who ends one of its batches tells of the next.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain, groupby, islice, zip_longest
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, bindparam, case, exists, func, null, or_, select, update

from db import lines
from db.batches import CLOCK_SLACK, WORKED_ON
from db.engine import now, reading, writing
from db.schema import IS_WAITING, batch, job
from oddlot.words import BatchState

Told = tuple[int, int, int]
"""A batch that the queue is told of: job, number, priority."""


def most_urgent(engine: Engine) -> int | None:
    """The highest priority of which a batch waits that the queue is to be told of; None where there is none."""
    with reading(engine) as connection:
        found = _jobs(connection, batch.c.published_at.is_(None), 1, lines.room(connection))
        return found[0].priority if found else None


def room_of_lines(engine: Engine) -> dict[str, int]:
    """How many batches the queue is to be told of each line with a quota."""
    with reading(engine) as connection:
        return lines.room(connection)


def due_for_publishing(
    engine: Engine, *, older_than_seconds: float | None, limit: int, room: Sequence[int] | None = None,
    line_room: dict[str, int] | None = None,
) -> list[Told]:  # fmt: skip
    """Waiting batches that the queue was not told of, the most urgent first; those of equally urgent jobs in turn, so
    that no job waits for the end of a larger one.

    `room[p]` says how many messages the queue is to take of priority p and all above it together; `line_room` how many
    of each line with a quota, and is counted down: left out, as many as these may take now. With `older_than_seconds`,
    also batches that it was told of longer ago than that, or later than now: then the clock was set back. They count as
    published from now on; `unpublish` takes that back.
    """
    left_of = room_of_lines(engine) if line_room is None else line_room
    with reading(engine) as connection:
        if not _jobs(connection, _to_be_told(connection, older_than_seconds), 1, left_of):
            return []  # the usual case takes no write lock
    with writing(engine) as connection:
        told, moment = _to_be_told(connection, older_than_seconds), now(connection)
        due: list[Told] = []
        for priority, group in groupby(
            _jobs(connection, told, limit, left_of, moment), key=lambda found: found.priority
        ):
            fits = limit if room is None else min(limit, room[max(0, min(priority, len(room) - 1))])
            if (left := fits - len(due)) <= 0:
                continue
            jobs = list(group)[:left]  # the others have their turn before these have another
            share = -(-left // len(jobs))
            in_turn = zip_longest(*(_batches(connection, found, told, share) for found in jobs))
            waiting = (found for found in chain.from_iterable(in_turn) if found is not None)
            due += [(job_id, number, priority) for job_id, number in islice(_within(waiting, left_of), left)]
        _mark_published(connection, due, moment)
        _mark_turns(connection, [job_id for job_id, _, _ in due], moment)
        return due


def _within(waiting: Iterable[tuple[Row[Any], int]], left_of: dict[str, int]) -> Iterator[tuple[int, int]]:
    """Those of the batches, as (job, number), for which their lines have room; what is taken is counted down."""
    for found, number in waiting:
        if found.line in left_of:
            if left_of[found.line] <= 0:
                continue
            left_of[found.line] -= 1
        yield found.id, number


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
        _mark_published(connection, told, None)


def _to_be_told(connection: Connection, older_than_seconds: float | None) -> ColumnElement[bool]:
    untold: ColumnElement[bool] = batch.c.published_at.is_(None)
    if older_than_seconds is None:
        return untold
    moment = now(connection)
    long_ago = batch.c.published_at <= moment - timedelta(seconds=older_than_seconds)
    return or_(untold, long_ago, batch.c.published_at > moment + CLOCK_SLACK)


def _jobs(
    connection: Connection, told: ColumnElement[bool], limit: int, left_of: Mapping[str, int],
    moment: datetime | None = None,
) -> list[Row[Any]]:  # fmt: skip
    """Jobs with such batches, with their priority and line: the most urgent first; with the present `moment`, then
    whose last turn was the longest ago, or never."""
    of_job = exists().where(batch.c.job_id == job.c.id, IS_WAITING, told)
    query = select(job.c.id, job.c.priority, job.c.line).where(job.c.state.in_(WORKED_ON), of_job)
    if full := [line for line, left in left_of.items() if left <= 0]:
        query = query.where(or_(job.c.line.is_(None), job.c.line.not_in(full)))
    query = query.order_by(job.c.priority.desc())
    if moment is not None:
        ahead = job.c.told_at > moment + CLOCK_SLACK  # written before the clock was set back
        query = query.order_by(case((ahead, null()), else_=job.c.told_at).asc().nulls_first())
    return [*connection.execute(query.order_by(job.c.id).limit(limit))]


def _batches(
    connection: Connection, found: Row[Any], told: ColumnElement[bool], limit: int
) -> list[tuple[Row[Any], int]]:
    """The first such batches of a job, as (job, number); held until the transaction ends."""
    query = (
        select(batch.c.number)
        .where(batch.c.job_id == found.id, IS_WAITING, told)
        .order_by(batch.c.id)
        .limit(limit)
        .with_for_update(of=batch, skip_locked=True)
    )
    return [(found, number) for number in connection.execute(query).scalars()]


def _mark_turns(connection: Connection, turns: Sequence[int], moment: datetime) -> None:
    """Write down in which order the jobs had their turns, just now.

    But of those that somebody else changes just now: who cancels a job waits for its batches, which are held here. Such
    a job is only asked earlier again.
    """
    if not turns:
        return
    last = {job_id: moment + timedelta(microseconds=turn) for turn, job_id in enumerate(turns)}
    ours = select(job.c.id).where(job.c.id.in_(last)).with_for_update(key_share=True, skip_locked=True)
    free = [*connection.execute(ours).scalars()]
    if free:
        connection.execute(
            update(job).where(job.c.id == bindparam("of_job")).values(told_at=bindparam("moment")),
            [{"of_job": job_id, "moment": last[job_id]} for job_id in free],
        )


def _mark_published(connection: Connection, told: Sequence[Told], moment: datetime | None) -> None:
    if told:
        connection.execute(
            update(batch)
            .where(
                batch.c.job_id == bindparam("of_job"), batch.c.number == bindparam("of_number"),
                batch.c.state == BatchState.WAITING,
            )
            .values(published_at=bindparam("moment")),
            [{"of_job": job_id, "of_number": number, "moment": moment} for job_id, number, _ in told],
        )  # fmt: skip
