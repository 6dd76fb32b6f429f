"""What was found: rows of `flagged` and `results`, streamed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Engine, Select, exists, func, or_, select

from db.engine import reading
from db.schema import IS_FLAGGED, batch, item, job, model, result, verdict
from oddlot.words import DOUBTED_JOB_STATES, ItemState, JobState, Verdict

CHUNK = 1000
"""Rows that are held in memory at a time."""


@dataclass(frozen=True)
class ResultFilter:
    """Which items; what is None (or False) does not filter. `since` is included, `until` is not; both aware.

    `flagged_only` are those above their model's threshold, `max_p_value` those with a p-value of at most that;
    `verdict` is the latest one; `believed_only` leaves out jobs that are held or discarded. `after` is the place of the
    last row that was seen, in the order of `iter_results`: its score and its item, or its item alone.
    """

    job_id: int | None = None
    model: str | None = None
    line: str | None = None
    lot: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    night: date | None = None
    min_score: float | None = None
    state: ItemState | None = None
    flagged_only: bool = False
    max_p_value: float | None = None
    unreviewed: bool = False
    verdict: Verdict | None = None
    believed_only: bool = False
    after: tuple[float, int] | int | None = None
    limit: int | None = None


def iter_results(engine: Engine, wanted: ResultFilter) -> Iterator[dict[str, Any]]:
    """Items as records: flagged ones, by either way, by score, the highest first; all items in the order in which they
    were listed."""
    query = _query(wanted)
    # The cursor is closed also where the reader stops half way: one of PostgreSQL's lives in the server.
    with reading(engine) as connection, connection.execution_options(yield_per=CHUNK).execute(query) as rows:
        for row in rows:
            yield dict(row._mapping)


def count_p_values(engine: Engine, wanted: ResultFilter) -> list[tuple[float, int]]:
    """The distinct p-values of the scored items, each with how many have it, counted in SQL."""
    p_value = result.c.p_value
    query = _query(replace(wanted, state=ItemState.SCORED, limit=None))
    query = query.with_only_columns(p_value, func.count()).order_by(None).group_by(p_value)
    query = query.where(p_value.is_not(None))  # as of an item whose result was pruned
    with reading(engine) as connection:
        return [(row[0], row[1]) for row in connection.execute(query)]


def calibration_sizes(engine: Engine, wanted: ResultFilter) -> list[int]:
    """How many calibration pictures the models of the scored items have, as their cards say."""
    query = _query(replace(wanted, state=ItemState.SCORED, limit=None))
    used = query.with_only_columns(model.c.id).order_by(None)
    with reading(engine) as connection:
        cards = connection.execute(select(model.c.card).where(model.c.id.in_(used))).scalars().all()
    counts = [card.get("pictures") for card in cards]  # of a bundle that was carried here, a card may hold anything
    sizes = [count.get("calibration") for count in counts if isinstance(count, dict)]
    return [size for size in sizes if type(size) is int and size > 0]


def pruned_jobs(engine: Engine, wanted: ResultFilter) -> tuple[int, int, datetime] | None:
    """How many jobs among those of the filter were pruned, the number of the newest and when that was; None where none
    was. What the filter finds of them is not all that there was."""
    query = select(job.c.id, job.c.pruned_at, func.count().over()).join(model, model.c.id == job.c.model_id)
    query = query.where(job.c.pruned_at.is_not(None))
    same = {job.c.id: wanted.job_id, model.c.name: wanted.model, job.c.line: wanted.line, job.c.lot: wanted.lot,
            job.c.night: wanted.night}  # fmt: skip
    query = query.where(*(column == value for column, value in same.items() if value is not None))
    if wanted.since is not None:
        query = query.where(job.c.finished_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(job.c.created_at < wanted.until)
    with reading(engine) as connection:
        row = connection.execute(query.order_by(job.c.id.desc()).limit(1)).one_or_none()
    return None if row is None else (row[2], row[0], row[1])


def held_jobs(engine: Engine, wanted: ResultFilter) -> list[int]:
    """The jobs that are held, of the model, line and lot that are wanted, newest first."""
    query = select(job.c.id).join(model, model.c.id == job.c.model_id).where(job.c.state == JobState.HELD)
    asked = ((model.c.name, wanted.model), (job.c.line, wanted.line), (job.c.lot, wanted.lot))
    query = query.where(*(column == value for column, value in asked if value is not None))
    with reading(engine) as connection:
        return list(connection.execute(query.order_by(job.c.id.desc())).scalars())


def _query(wanted: ResultFilter) -> Select[Any]:
    ranked = wanted.flagged_only or wanted.max_p_value is not None
    latest_verdict = (
        select(verdict.c.verdict)
        .where(verdict.c.item_id == item.c.id)
        .order_by(verdict.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = (
        select(
            item.c.id.label("item"), item.c.job_id.label("job"), item.c.path, item.c.state, result.c.raw_score,
            result.c.score, result.c.p_value, result.c.flagged, item.c.error, item.c.note, job.c.line, job.c.lot,
            model.c.name.label("model"), model.c.version, item.c.sha256, result.c.scored_at, job.c.night,
            latest_verdict.label("verdict"), job.c.state.label("job_state"), job.c.pruned_at,
        )
        .select_from(item)
        .join(job, job.c.id == item.c.job_id)
        .join(model, model.c.id == job.c.model_id)
        .join(result, result.c.item_id == item.c.id, isouter=not ranked)
    )  # fmt: skip
    # On a table with an index for the flagged, the flagged ask that table.
    job_id = result.c.job_id if wanted.flagged_only else item.c.job_id
    line = result.c.line if wanted.flagged_only else job.c.line
    if wanted.flagged_only:
        query = query.where(IS_FLAGGED)
    if wanted.max_p_value is not None:
        query = query.where(result.c.p_value <= wanted.max_p_value)
    if wanted.job_id is not None:
        query = query.where(job_id == wanted.job_id)
    if wanted.model is not None:
        query = query.where(model.c.name == wanted.model)
    if wanted.line is not None:
        query = query.where(line == wanted.line)
    if wanted.lot is not None:
        query = query.where(job.c.lot == wanted.lot)
    if wanted.since is not None or wanted.until is not None:
        looked_at: ColumnElement[datetime | None] = result.c.scored_at
        if not wanted.flagged_only:  # what was not scored has a time, too: that of its batch, or of its job
            query = query.join(batch, batch.c.id == item.c.batch_id)
            looked_at = func.coalesce(result.c.scored_at, batch.c.finished_at, job.c.created_at)
        if wanted.since is not None:
            query = query.where(looked_at >= wanted.since)
        if wanted.until is not None:
            query = query.where(looked_at < wanted.until)
    if wanted.min_score is not None:
        query = query.where(result.c.score >= wanted.min_score)
    if wanted.state is not None:
        query = query.where(item.c.state == wanted.state)
    if wanted.unreviewed:
        query = query.where(~exists().where(verdict.c.item_id == item.c.id))
    if wanted.night is not None:
        query = query.where((result.c.night if wanted.flagged_only else job.c.night) == wanted.night)
    if wanted.verdict is not None:
        query = query.where(latest_verdict == wanted.verdict)
    if wanted.believed_only:
        query = query.where(job.c.state.not_in(DOUBTED_JOB_STATES))
    if isinstance(wanted.after, tuple):
        score, item_id = wanted.after
        query = query.where(result.c.score <= score, or_(result.c.score < score, item.c.id > item_id))
    elif wanted.after is not None:
        query = query.where(item.c.id > wanted.after)
    order = [result.c.score.desc(), item.c.id] if ranked else [item.c.id]
    return query.order_by(*order).limit(wanted.limit)
