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
    latest = select(job.c.line, func.max(job.c.night)).group_by(job.c.line)
    listed = select(job.c.line, job.c.night, func.sum(job.c.listed)).where(job.c.state != JobState.CANCELLED)
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
        nights: dict[str | None, dt.date] = dict(connection.execute(latest).tuples().all())
        # By the nights, of which few are somebody's last: to join jobs with nights of lines takes seconds.
        of_nights = listed.where(job.c.night.in_(set(nights.values()))).group_by(job.c.line, job.c.night)
        brought = {(line, night): count for line, night, count in connection.execute(of_nights)}
        open_batches = {line: (waits, works) for line, waits, works in connection.execute(batches)}
        waiting_items: dict[str | None, int] = dict(connection.execute(items).tuples().all())
        scheduled = connection.execute(select(schedule.c.line).distinct()).scalars().all()
        quotas = quotas_of(connection)
    in_work = sum(works for _, works in open_batches.values())
    found = []
    names: set[str | None] = {*nights, *open_batches, *quotas, *(line for line in scheduled if line is not None)}
    for line in sorted(names, key=lambda name: (name is None, name or "")):
        night = nights.get(line)
        waits, works = open_batches.get(line, (0, 0))
        found.append(LineRow(
            line, night, brought.get((line, night), 0), waits, waiting_items.get(line, 0), works,
            works / in_work if in_work else None, None if line is None else quotas.get(line),
        ))  # fmt: skip
    return found
