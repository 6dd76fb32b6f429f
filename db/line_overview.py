"""All lines at a glance: what each brought last, what waits of it, and how much of the workers it has."""

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import Engine, and_, case, func, select

from db.batches import WORKED_ON
from db.engine import reading
from db.lines import Quota, quotas_of
from db.schema import IS_OPEN, batch, item, job, schedule
from oddlot.words import BatchState, ItemState, JobState


@dataclass(frozen=True)
class LineRow:
    """A line that has jobs, a schedule or a quota; None is what was submitted without one.

    `items` were listed in `last_night`; `share` is its part of all batches in work, None where there are none.
    """

    line: str | None
    last_night: dt.date | None
    items: int
    waiting_batches: int
    waiting_items: int
    in_work: int
    share: float | None
    quota: Quota | None


def list_lines(engine: Engine) -> list[LineRow]:
    """By name, what has none last. So many queries, however many lines there are."""
    listed = func.sum(case((job.c.state == JobState.CANCELLED, 0), else_=job.c.listed))
    named = job.c.line.is_not(None)
    latest = select(job.c.line, func.max(job.c.night).label("night")).where(named).group_by(job.c.line).subquery()
    last = (
        select(latest.c.line, latest.c.night, listed)
        .join(job, and_(job.c.line == latest.c.line, job.c.night == latest.c.night))
        .group_by(latest.c.line, latest.c.night)
    )
    last_unnamed = select(job.c.line, job.c.night, listed).where(~named).group_by(job.c.line, job.c.night)
    last_unnamed = last_unnamed.order_by(job.c.night.desc()).limit(1)
    waiting, leased = batch.c.state == BatchState.WAITING, batch.c.state == BatchState.LEASED
    batches = (
        select(job.c.line, func.count(case((waiting, 1))), func.count(case((leased, 1))))
        .join(batch, batch.c.job_id == job.c.id)
        .where(IS_OPEN)
        .group_by(job.c.line)
    )
    items = (
        select(job.c.line, func.count())
        .join(item, and_(item.c.job_id == job.c.id, item.c.state == ItemState.WAITING))
        .where(job.c.state.in_(WORKED_ON))
        .group_by(job.c.line)
    )
    with reading(engine) as connection:
        found_last = [*connection.execute(last), *connection.execute(last_unnamed)]
        nights = {line: (night, brought) for line, night, brought in found_last}
        open_batches = {line: (waits, works) for line, waits, works in connection.execute(batches)}
        waiting_items: dict[str | None, int] = dict(connection.execute(items).tuples().all())
        scheduled = connection.execute(select(schedule.c.line).distinct()).scalars().all()
        quotas = quotas_of(connection)
    in_work = sum(works for _, works in open_batches.values())
    found = []
    names: set[str | None] = {*nights, *open_batches, *quotas, *(line for line in scheduled if line is not None)}
    for line in sorted(names, key=lambda name: (name is None, name or "")):
        night, brought = nights.get(line, (None, 0))
        waits, works = open_batches.get(line, (0, 0))
        found.append(LineRow(
            line, night, brought, waits, waiting_items.get(line, 0), works, works / in_work if in_work else None,
            None if line is None else quotas.get(line),
        ))  # fmt: skip
    return found
