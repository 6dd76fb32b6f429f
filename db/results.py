"""What was found: rows of `flagged` and `results`, streamed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, ScalarSelect, Select, exists, func, or_, select

from db.engine import reading
from db.flagged import find, highest_of
from db.items import in_range
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
    with reading(engine) as connection:
        query = _query(connection, wanted).execution_options(yield_per=CHUNK)
        # The cursor is closed also where the reader stops half way: one of PostgreSQL's lives in the server.
        with connection.execute(query) as rows:
            for row in rows:
                yield dict(row._mapping)


def count_p_values(engine: Engine, wanted: ResultFilter) -> list[tuple[float, int]]:
    """The distinct p-values of the scored items, each with how many have it, counted in SQL."""
    p_value = result.c.p_value
    with reading(engine) as connection:
        query = _query(connection, replace(wanted, state=ItemState.SCORED, limit=None))
        query = query.with_only_columns(p_value, func.count()).order_by(None).group_by(p_value)
        query = query.where(p_value.is_not(None))  # as of an item whose result was pruned
        return [(row[0], row[1]) for row in connection.execute(query)]


def calibration_sizes(engine: Engine, wanted: ResultFilter) -> list[int]:
    """How many calibration pictures the models of the scored items have, as their cards say."""
    with reading(engine) as connection:
        query = _query(connection, replace(wanted, state=ItemState.SCORED, limit=None))
        used = query.with_only_columns(model.c.id).order_by(None)
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


def _query(connection: Connection, wanted: ResultFilter) -> Select[Any]:
    if wanted.flagged_only:
        return _flagged(connection, wanted)
    query = _rows(isouter=wanted.max_p_value is None)
    if wanted.max_p_value is not None:
        query = query.where(result.c.p_value <= wanted.max_p_value)
    query = query.where(*_of_job(wanted), *_of_item(wanted))
    if wanted.job_id is not None:
        query = query.where(*in_range(connection, item.c.id, wanted.job_id))
    if wanted.model is not None:
        query = query.where(model.c.name == wanted.model)
    if wanted.since is not None or wanted.until is not None:
        # What was not scored has a time, too: that of its batch, or of its job.
        query = query.join(batch, batch.c.id == item.c.batch_id)
        looked_at = func.coalesce(result.c.scored_at, batch.c.finished_at, job.c.created_at)
        query = query.where(*_when(looked_at, wanted))
    if wanted.min_score is not None:
        query = query.where(result.c.score >= wanted.min_score)
    if wanted.unreviewed:
        query = query.where(~exists().where(verdict.c.item_id == item.c.id))
    if wanted.verdict is not None:
        query = query.where(_latest_verdict() == wanted.verdict)
    ranked = wanted.max_p_value is not None
    query = query.where(*_behind(result.c.score, item.c.id, wanted.after))
    return query.order_by(*[result.c.score.desc()] * ranked, item.c.id).limit(wanted.limit)


def _flagged(connection: Connection, wanted: ResultFilter) -> Select[Any]:
    """First the places of the items, by the indexes of the flagged alone; then the rows of those that are shown."""
    score, item_id = result.c.score, result.c.item_id
    places = select(score, item_id).where(IS_FLAGGED, *_when(result.c.scored_at, wanted))
    of_job = _of_job(wanted)
    by_time = wanted.since is not None or wanted.until is not None
    if of_job or wanted.model is not None:
        jobs = find(connection, *of_job, model_name=wanted.model)
        places = places.where(highest_of(jobs, by_time=by_time))
    if wanted.min_score is not None:
        places = places.where(score >= wanted.min_score)
    if wanted.max_p_value is not None:
        places = places.where(result.c.p_value <= wanted.max_p_value)
    if wanted.unreviewed:
        places = places.where(result.c.verdict.is_(None))
    if wanted.verdict is not None:
        places = places.where(result.c.verdict == wanted.verdict)
    if wanted.state is not None:
        places = places.join(item, item.c.id == item_id).where(*_of_item(wanted))
    places = places.where(*_behind(score, item_id, wanted.after))
    # Found by time, they are sorted: a sum is in no index, so that of the scores is not walked through for old ones.
    highest = (score + 0).desc() if by_time else score.desc()
    found = places.order_by(highest, item_id).limit(wanted.limit).subquery("found")
    query = _rows().join(found, found.c.item_id == item.c.id)
    return query.order_by(found.c.score.desc(), found.c.item_id)


def _rows(*, isouter: bool = False) -> Select[Any]:
    return (
        select(
            item.c.id.label("item"), item.c.job_id.label("job"), item.c.path, item.c.state, result.c.raw_score,
            result.c.score, result.c.p_value, result.c.flagged, item.c.error, item.c.note, job.c.line, job.c.lot,
            model.c.name.label("model"), model.c.version, item.c.sha256, result.c.scored_at, job.c.night,
            _latest_verdict().label("verdict"), job.c.state.label("job_state"), job.c.pruned_at,
        )
        .select_from(item)
        .join(job, job.c.id == item.c.job_id)
        .join(model, model.c.id == job.c.model_id)
        .join(result, result.c.item_id == item.c.id, isouter=isouter)
    )  # fmt: skip


def _latest_verdict() -> ScalarSelect[Any]:
    latest = select(verdict.c.verdict).where(verdict.c.item_id == item.c.id).order_by(verdict.c.id.desc()).limit(1)
    return latest.scalar_subquery()


def _of_job(wanted: ResultFilter) -> list[ColumnElement[bool]]:
    asked = {job.c.id: wanted.job_id, job.c.line: wanted.line, job.c.lot: wanted.lot, job.c.night: wanted.night}
    conditions = [column == value for column, value in asked.items() if value is not None]
    return [*conditions, job.c.state.not_in(DOUBTED_JOB_STATES)] if wanted.believed_only else conditions


def _of_item(wanted: ResultFilter) -> list[ColumnElement[bool]]:
    return [] if wanted.state is None else [item.c.state == wanted.state]


def _when(moment: ColumnElement[datetime | None], wanted: ResultFilter) -> list[ColumnElement[bool]]:
    conditions = [] if wanted.since is None else [moment >= wanted.since]
    return conditions if wanted.until is None else [*conditions, moment < wanted.until]


def _behind(
    score: ColumnElement[float], item_id: ColumnElement[int], after: tuple[float, int] | int | None
) -> list[ColumnElement[bool]]:
    if isinstance(after, tuple):
        return [score <= after[0], or_(score < after[0], item_id > after[1])]
    return [] if after is None else [item_id > after]
