"""Removing the results of old jobs from SQL, in small steps (docs/decisions/0022-retention.md).

A job says that it is pruned before the first of its rows goes, and that somebody is still at it until the last row and
file are gone: whoever dies in between is followed by the next one.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Engine, Table, and_, delete, exists, func, not_, or_, select, update

from db.engine import now, reading, writing
from db.items import ends_of
from db.schema import IS_OPEN, audit, batch, job, result, schedule, schedule_run, verdict
from db.settling import lock_job
from oddlot.words import JobState

STEP = 1000
"""Rows that one transaction removes at most."""

_PRUNABLE = (JobState.DONE, JobState.DISCARDED, JobState.CANCELLED, JobState.FAILED)
"""Not `held`: nobody has said yet what its results are worth."""


@dataclass(frozen=True)
class Rule:
    """Jobs that finished before `before`, of one schedule or, without, all; `keep_verdicts`: what was judged stays."""

    before: dt.datetime
    schedule_id: int | None = None
    keep_verdicts: bool = False


@dataclass(frozen=True)
class Removable:
    """What of a job's rows would go: `results` and `audits`, counted."""

    job_id: int
    results: int
    audits: int


def older_than(engine: Engine, days: float, *, keep_verdicts: bool) -> Rule:
    """The rule for all jobs that finished so many days ago, by the clock of the database."""
    with reading(engine) as connection:
        return Rule(now(connection) - dt.timedelta(days=days), keep_verdicts=keep_verdicts)


def rules_of_schedules(engine: Engine, *, keep_verdicts: bool) -> list[Rule]:
    """One rule for each schedule that says how long its results are to be kept."""
    keeps = select(schedule.c.id, schedule.c.keep_days).where(schedule.c.keep_days.is_not(None)).order_by("id")
    with reading(engine) as connection:
        moment = now(connection)
        return [
            Rule(moment - dt.timedelta(days=row.keep_days), row.id, keep_verdicts) for row in connection.execute(keeps)
        ]


def due_jobs(engine: Engine, rule: Rule) -> list[int]:
    """Jobs of which something is to be removed, or whose pruning somebody has left half done; the oldest first."""
    with reading(engine) as connection:
        return list(connection.execute(select(job.c.id).where(_due(rule)).order_by(job.c.id)).scalars())


def half_done(engine: Engine) -> list[int]:
    """Jobs that somebody began to prune and did not finish, or is at just now."""
    with reading(engine) as connection:
        return list(connection.execute(select(job.c.id).where(job.c.pruning).order_by(job.c.id)).scalars())


def begin(engine: Engine, job_id: int, rule: Rule) -> bool:
    """Say that the job is pruned from now on; False where it is not to be pruned any more.

    Under the lock that `oddlot retry` takes, too: it does not begin what is pruned, and what it began is not pruned.
    """
    with writing(engine) as connection:
        lock_job(connection, job_id)
        changed = update(job).where(job.c.id == job_id, _due(rule)).values(pruned_at=now(connection), pruning=True)
        return connection.execute(changed).rowcount == 1


def remove_rows(engine: Engine, job_id: int, *, keep_verdicts: bool) -> Iterator[tuple[int, int]]:
    """Remove results and audits of a job that is being pruned; yields after each transaction how many of both went.

    Two at once do no harm: each row is removed, and counted, by one of them.
    """
    with reading(engine) as connection:
        bounds = ends_of(connection, job_id)
    if bounds is not None:
        # By ranges of numbers: a job's items were numbered one after the other, and a range needs no sorting.
        for start in range(bounds[0], bounds[1] + 1, STEP):
            end = min(start + STEP - 1, bounds[1])
            going = [(table, _going(table, job_id, start, end, keep_verdicts)) for table in (result, audit)]
            with reading(engine) as connection:  # after a kill, most ranges are empty: no need for the write lock
                if not any(connection.execute(select(exists().where(which))).scalar_one() for _, which in going):
                    continue
            with writing(engine) as connection:
                removed = [connection.execute(delete(table).where(which)).rowcount for table, which in going]
            yield removed[0], removed[1]
    yield from _forget_looks(engine, job_id)


def finish(engine: Engine, job_id: int, *, keep_verdicts: bool) -> bool:
    """Say that the pruning of a job is at its end; False where something is left after all."""
    with writing(engine) as connection:
        lock_job(connection, job_id)
        bounds = ends_of(connection, job_id)
        left = bounds is not None and any(
            connection.execute(select(exists().where(_going(table, job_id, *bounds, keep_verdicts)))).scalar_one()
            for table in (result, audit)
        )
        if not left:
            connection.execute(update(job).where(job.c.id == job_id).values(pruning=False))
        return not left


def removable(engine: Engine, job_id: int, *, keep_verdicts: bool) -> Removable:
    """What `remove_rows` would remove."""
    with reading(engine) as connection:
        bounds = ends_of(connection, job_id)
        if bounds is None:
            return Removable(job_id, 0, 0)
        counts = [
            connection.execute(select(func.count()).where(_going(table, job_id, *bounds, keep_verdicts))).scalar_one()
            for table in (result, audit)
        ]
    return Removable(job_id, *counts)


def pruned_among(engine: Engine, job_ids: Sequence[int]) -> set[int]:
    """Those of the jobs that are pruned."""
    found: set[int] = set()
    with reading(engine) as connection:
        for start in range(0, len(job_ids), 500):
            some = job.c.id.in_(job_ids[start : start + 500])
            found.update(connection.execute(select(job.c.id).where(some, job.c.pruned_at.is_not(None))).scalars())
    return found


def without_result(engine: Engine, item_ids: Sequence[int]) -> set[int]:
    """Those of the items that have no result: no file belongs to them any more."""
    left = set(item_ids)
    with reading(engine) as connection:
        for start in range(0, len(item_ids), 500):
            some = result.c.item_id.in_(item_ids[start : start + 500])
            left.difference_update(connection.execute(select(result.c.item_id).where(some)).scalars())
    return left


def judged_among(engine: Engine, item_ids: Sequence[int]) -> set[int]:
    """Those of the items of which somebody has said something."""
    found: set[int] = set()
    with reading(engine) as connection:
        for start in range(0, len(item_ids), 500):
            some = verdict.c.item_id.in_(item_ids[start : start + 500])
            found.update(connection.execute(select(verdict.c.item_id).where(some)).scalars())
    return found


def free_bytes(engine: Engine) -> int | None:
    """Bytes inside of SQLite's file that hold nothing and are used for the next rows; None on PostgreSQL."""
    if engine.dialect.name != "sqlite":
        return None
    with reading(engine) as connection:
        pages = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
        return int(pages) * int(connection.exec_driver_sql("PRAGMA page_size").scalar_one())


def _due(rule: Rule) -> ColumnElement[bool]:
    still_open = exists().where(batch.c.job_id == job.c.id, IS_OPEN)
    to_do = or_(job.c.pruned_at.is_(None), job.c.pruning)
    if not rule.keep_verdicts:
        # What an earlier pruning has kept for its verdict.
        to_do = or_(to_do, exists().where(result.c.job_id == job.c.id, result.c.verdict.is_not(None)))
    due = and_(job.c.finished_at < rule.before, job.c.state.in_(_PRUNABLE), to_do, not_(still_open))
    if rule.schedule_id is None:
        return due
    return and_(due, job.c.id.in_(select(schedule_run.c.job_id).where(schedule_run.c.schedule_id == rule.schedule_id)))


def _going(table: Table, job_id: int, start: int, end: int, keep_verdicts: bool) -> ColumnElement[bool]:
    which = and_(table.c.job_id == job_id, table.c.item_id.between(start, end))
    return and_(which, not_(_judged(table.c.item_id))) if keep_verdicts else which


def _judged(item_id: ColumnElement[int]) -> ColumnElement[bool]:
    return exists().where(verdict.c.item_id == item_id)


def _forget_looks(engine: Engine, job_id: int) -> Iterator[tuple[int, int]]:
    seen = and_(batch.c.job_id == job_id, batch.c.look.is_not(None))
    with reading(engine) as connection:
        low, high = connection.execute(select(func.min(batch.c.number), func.max(batch.c.number)).where(seen)).one()
    if low is None:
        return
    for start in range(low, high + 1, STEP):
        with writing(engine) as connection:
            some = batch.c.number.between(start, start + STEP - 1)
            connection.execute(update(batch).where(seen, some).values(look=None))
        yield 0, 0
