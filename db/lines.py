"""Lines and their quotas: how many batches of a line may be in work at once, and how many items a night is to bring."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from db.engine import reading, writing
from db.schema import IS_LEASED, batch, job, line_quota
from oddlot.words import JobState


@dataclass(frozen=True)
class Quota:
    """What a line may take; None where that has no bound.

    `batches` of it are in work at most. What brings more than `items_per_day` items into one night waits until there is
    nothing else to do.
    """

    line: str
    batches: int | None = None
    items_per_day: int | None = None


def set_quota(engine: Engine, quota: Quota) -> None:
    """Store the quota of a line in place of the one that it had; one without any bound is forgotten."""
    bounds = {"batches": quota.batches, "items_per_day": quota.items_per_day}
    with writing(engine) as connection:
        here = line_quota.c.line == quota.line
        if all(bound is None for bound in bounds.values()):
            connection.execute(delete(line_quota).where(here))
        elif not connection.execute(update(line_quota).where(here).values(**bounds)).rowcount:
            connection.execute(insert(line_quota).values(line=quota.line, **bounds))


def list_quotas(engine: Engine) -> dict[str, Quota]:
    """The quotas by line; no line without one."""
    with reading(engine) as connection:
        return quotas_of(connection)


def quotas_of(connection: Connection) -> dict[str, Quota]:
    """`list_quotas` inside a transaction."""
    return {row.line: Quota(*row) for row in connection.execute(select(line_quota))}


def locked_quota(connection: Connection, line: str | None) -> Quota | None:
    """The quota of a line, held until the transaction ends: nobody else takes a batch of that line meanwhile."""
    if line is None:
        return None
    row = connection.execute(select(line_quota).where(line_quota.c.line == line).with_for_update()).one_or_none()
    return None if row is None else Quota(*row)


def room(connection: Connection) -> dict[str, int]:
    """How many more batches of each line with such a quota may be taken; 0 or less where it is full.

    What is leased counts until it is put back, whatever the clock says of its lease: its owner may still be at it.
    """
    bounds = {line: quota.batches for line, quota in quotas_of(connection).items() if quota.batches is not None}
    if not bounds:
        return {}
    taken = select(job.c.line, func.count()).join(batch, batch.c.job_id == job.c.id)
    taken = taken.where(IS_LEASED, job.c.line.is_not(None)).group_by(job.c.line)
    in_work: dict[str | None, int] = dict(connection.execute(taken).tuples().all())
    return {line: bound - in_work.get(line, 0) for line, bound in bounds.items()}


def full_lines(connection: Connection) -> list[str]:
    """Lines of which no batch may be taken now."""
    return [line for line, left in room(connection).items() if left <= 0]


def may_take(connection: Connection, line: str | None) -> bool:
    """Whether one more batch of the line may be taken. True stays true until this transaction ends."""
    quota = locked_quota(connection, line)
    if quota is None or quota.batches is None:
        return True
    query = select(func.count()).select_from(batch).join(job, job.c.id == batch.c.job_id)
    return connection.execute(query.where(IS_LEASED, job.c.line == line)).scalar_one() < quota.batches


def too_many_items(
    connection: Connection, nights: Collection[dt.date], line: str | None = None
) -> dict[tuple[str, dt.date], int]:
    """Lines and nights, of these, with more items than the line's quota of a night, which is the value; of one line
    where that is given. What was cancelled brought none.
    """
    query = (
        select(line_quota.c.line, job.c.night, line_quota.c.items_per_day)
        .join(job, job.c.line == line_quota.c.line)
        .where(
            line_quota.c.items_per_day.is_not(None), job.c.night.in_(list(nights)), job.c.state != JobState.CANCELLED
        )
        .group_by(line_quota.c.line, job.c.night, line_quota.c.items_per_day)
        .having(func.sum(job.c.listed) > line_quota.c.items_per_day)
    )
    if line is not None:
        query = query.where(line_quota.c.line == line)
    return {(row.line, row.night): row.items_per_day for row in connection.execute(query)}
