"""What a report says of a night as a whole, and of the nights before it."""

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import Engine, func, select

from db.engine import reading
from db.jobs import JobRow
from db.schema import item, job, model, result, verdict
from oddlot.words import JobState, Verdict

_NOT_WHOLE = {JobState.CANCELLED: "incomplete", JobState.FAILED: "incomplete"}
_SHOWN = (JobState.DONE, JobState.HELD, JobState.DISCARDED, JobState.CANCELLED, JobState.FAILED)


@dataclass(frozen=True)
class NightRow:
    """The jobs of one line and model in one night together: those that are done, or where there are none, the others.
    `mark` then says what they are (held, discarded, incomplete); else it is None."""

    night: dt.date
    listed: int
    scored: int
    flagged: int
    unreadable: int
    mark: str | None


def scores_in_order(engine: Engine, job_id: int) -> list[float]:
    """The scores of a job's items in the order in which they were listed."""
    query = (
        select(result.c.score)
        .join(item, item.c.id == result.c.item_id)
        .where(item.c.job_id == job_id)
        .order_by(result.c.item_id)
    )
    with reading(engine) as connection:
        return list(connection.execute(query).scalars())


def nights_until(engine: Engine, row: JobRow, limit: int) -> list[NightRow]:
    """The last nights of the job's line and model name up to the job's own, oldest first.

    The job's own night shows jobs like it: where it is held itself, those that are not done.
    """
    same_line = job.c.line.is_(None) if row.line is None else job.c.line == row.line
    counts = (job.c.listed, job.c.scored, job.c.flagged, job.c.unreadable)
    query = (
        select(job.c.night, job.c.state, *counts)
        .join(model, model.c.id == job.c.model_id)
        .where(model.c.name == row.model_name, same_line, job.c.id <= row.id, job.c.night <= row.night)
        .where(job.c.state.in_(_SHOWN), job.c.finished_at.is_not(None))
        .order_by(job.c.night.desc(), job.c.id.desc())
        .limit(10 * limit)
    )
    nights: dict[tuple[dt.date, bool], NightRow] = {}
    with reading(engine) as connection:
        for found in connection.execute(query):
            mark = _NOT_WHOLE.get(found.state, None if found.state == JobState.DONE else str(found.state))
            key = (found.night, mark is None)
            before = nights.get(key) or NightRow(found.night, 0, 0, 0, 0, None)
            nights[key] = NightRow(
                found.night, before.listed + found.listed, before.scored + found.scored,
                before.flagged + found.flagged, before.unreadable + found.unreadable, before.mark or mark,
            )  # fmt: skip
    chosen: dict[dt.date, NightRow] = {}
    for (night, done), shown in nights.items():
        wanted = row.state == JobState.DONE if night == row.night else True
        if night not in chosen or done == wanted:
            chosen[night] = shown
    return [chosen[night] for night in sorted(chosen)][-limit:]


def verdict_counts(engine: Engine, job_id: int) -> dict[tuple[bool, Verdict], int]:
    """How many items of a job stand at each verdict, the latest of each item, by whether the item is flagged."""
    latest = (
        select(func.max(verdict.c.id))
        .join(item, item.c.id == verdict.c.item_id)
        .where(item.c.job_id == job_id)
        .group_by(verdict.c.item_id)
    )
    query = (
        select(result.c.flagged, verdict.c.verdict, func.count())
        .join(verdict, verdict.c.item_id == result.c.item_id)
        .where(verdict.c.id.in_(latest))
        .group_by(result.c.flagged, verdict.c.verdict)
    )
    with reading(engine) as connection:
        return {(bool(row[0]), row[1]): row[2] for row in connection.execute(query)}
