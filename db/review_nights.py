"""Nights, jobs and parts as the review page tells of them."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Integer, case, cast, func, select

from db.engine import reading
from db.items import ItemDetail
from db.jobs import JobRow, find_jobs
from db.schema import item, job, model, result, verdict
from oddlot.places import joined, seen_from
from oddlot.words import ItemState, JobState, Verdict

EARLIER_JOBS = 60
"""Jobs in which an earlier picture of the same name is looked for."""
_WITHOUT_RESULT = (ItemState.UNREADABLE, ItemState.QUARANTINED)


def jobs_since(engine: Engine, night: dt.date) -> list[JobRow]:
    """All jobs of that night and later ones, the newest first."""
    return find_jobs(engine, since=night, limit=None)


def held_jobs(engine: Engine) -> list[JobRow]:
    """The jobs that wait for a decision, the newest first."""
    return find_jobs(engine, state=JobState.HELD, limit=None)


def last_night(engine: Engine) -> dt.date | None:
    """The newest night that has a job, held or not; None where there is none."""
    with reading(engine) as connection:
        night: dt.date | None = connection.execute(select(func.max(job.c.night))).scalar()
        return night


@dataclass(frozen=True)
class Trouble:
    """A file that has no result, and why."""

    item_id: int
    path: str
    state: ItemState
    error: str | None


def without_result(engine: Engine, job_id: int, *, after: int = 0, limit: int) -> list[Trouble]:
    """Files of a job that are unreadable or quarantined, in the order in which they were listed."""
    query = (
        select(item.c.id, item.c.path, item.c.state, item.c.error)
        .where(item.c.job_id == job_id, item.c.state.in_(_WITHOUT_RESULT), item.c.id > after)
        .order_by(item.c.id)
        .limit(limit)
    )
    with reading(engine) as connection:
        return [Trouble(*row) for row in connection.execute(query)]


_histograms: dict[tuple[str, int, dt.datetime], list[int]] = {}


def score_histogram(engine: Engine, row: JobRow, bins: int) -> list[int]:
    """How many scores of a job fall into each of so many equal parts of 0..1, counted in SQL and kept for a finished
    job, whose scores do not change any more. The upper end of each part belongs to it, so 0.5 is never flagged."""
    key = (str(engine.url), row.id, row.finished_at) if row.finished_at is not None and row.pruned_at is None else None
    if key is not None and key in _histograms:
        return _histograms[key]
    scaled = result.c.score * bins
    # Casting rounds on one engine and cuts on the other: so it is cut down by hand.
    near = cast(scaled, Integer)
    part = case((near >= scaled, near - 1), else_=near)
    query = (
        select(part, func.count())
        .join(item, item.c.id == result.c.item_id)
        .where(item.c.job_id == row.id, item.c.state == ItemState.SCORED)
        .group_by(part)
    )
    counts = [0] * bins
    with reading(engine) as connection:
        for number, count in connection.execute(query):
            counts[min(max(number, 0), bins - 1)] += count
    if key is not None:
        if len(_histograms) > 500:
            _histograms.clear()
        _histograms[key] = counts
    return counts


@dataclass(frozen=True)
class Earlier:
    """A picture of the same name in another job."""

    item_id: int
    job_id: int
    night: dt.date
    lot: str
    state: ItemState
    score: float | None
    flagged: bool | None
    verdict: Verdict | None
    kind: str | None


def same_name(engine: Engine, of: ItemDetail, limit: int = 12) -> list[Earlier]:
    """Pictures of the same name below the folders of the latest jobs of the same model and line, newest first.

    The name tells the part, or the place, where a camera numbers them so. Asked by whole paths, which have an index.
    """
    name = seen_from(of.path, of.source)
    others = (
        select(job.c.id, job.c.source)
        .join(model, model.c.id == job.c.model_id)
        .where(model.c.name == of.model_name, job.c.line == of.line if of.line is not None else job.c.line.is_(None))
        .order_by(job.c.id.desc())
        .limit(EARLIER_JOBS)
    )
    with reading(engine) as connection:
        folders: dict[str, None] = dict.fromkeys(row.source for row in connection.execute(others))
        paths = [joined(folder, name) for folder in folders]
        latest = select(func.max(verdict.c.id)).where(verdict.c.item_id == item.c.id).correlate(item).scalar_subquery()
        query: Any = (
            select(
                item.c.id, item.c.job_id, job.c.night, job.c.lot, item.c.state, result.c.score, result.c.flagged,
                verdict.c.verdict, verdict.c.kind,
            )
            .join(job, job.c.id == item.c.job_id)
            .join(result, result.c.item_id == item.c.id, isouter=True)
            .join(verdict, verdict.c.id == latest, isouter=True)
            .where(item.c.path.in_(paths), item.c.id != of.item_id)
            .order_by(item.c.id.desc())
            .limit(limit)
        )  # fmt: skip
        return [Earlier(*row) for row in connection.execute(query)]
