"""What a person looks at on the review page: flagged items page by page, and the queue in which audit items hide.

Pages are found by key (score and item), never by counting rows from the beginning, and each job is asked by its own
index; so neither a deep page nor a large table costs more than the first.
"""

import datetime as dt
import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    and_,
    exists,
    func,
    literal_column,
    select,
    true,
    tuple_,
)

from db.engine import reading
from db.review_places import ladder, place_of
from db.schema import IS_FLAGGED, audit, item, job, model, result, verdict
from oddlot.words import DOUBTED_JOB_STATES, Verdict

ASKED_APART = 60
"""Up to so many jobs are asked one by one, each by its index, and merged; more are sorted together."""
UNREVIEWED, REVIEWED = "unreviewed", "reviewed"
VERDICT_CHOICES = (UNREVIEWED, REVIEWED, *(str(word) for word in Verdict))

Key = tuple[float, int]
"""Where a page ends: the score, or place in the queue, of its last item, and its number."""


@dataclass(frozen=True)
class Choice:
    """Which items; what is None does not filter. `verdict` is one of VERDICT_CHOICES.

    Held and discarded jobs are left out unless `job_id` names one: their flags are not to be believed.
    """

    job_id: int | None = None
    model: str | None = None
    line: str | None = None
    night: dt.date | None = None
    since: dt.date | None = None
    verdict: str | None = None
    min_score: float | None = None


@dataclass(frozen=True)
class Seen:
    """One item on a page. `place` is where it stands in the order: its score, but for an audit item in the queue."""

    item_id: int
    job_id: int
    path: str
    source: str
    line: str | None
    lot: str
    sha256: str | None
    score: float
    p_value: float
    flagged: bool
    has_map: bool
    place: float

    @property
    def key(self) -> Key:
        return self.place, self.item_id


def newest_night(engine: Engine) -> dt.date | None:
    """The last night with a job whose results count; None where there is none."""
    with reading(engine) as connection:
        believed = job.c.state.not_in(DOUBTED_JOB_STATES)
        night: dt.date | None = connection.execute(select(func.max(job.c.night)).where(believed)).scalar()
        return night


def flagged_page(engine: Engine, choice: Choice, after: Key | None, limit: int) -> list[Seen]:
    """The next flagged items after `after`, the most suspicious first."""
    with reading(engine) as connection:
        return _flagged(connection, choice, _jobs_in(connection, choice), after, limit)


def queue_page(engine: Engine, choice: Choice, after: Key | None, limit: int) -> list[Seen]:
    """The next items to be judged after `after`: flagged ones, the most suspicious first, and the audit items of the
    same jobs among them, each at a place that looks like any other."""
    with reading(engine) as connection:
        jobs = _jobs_in(connection, choice)
        flagged = _flagged(connection, choice, jobs, after, limit)
        hidden = [one for one in _audited(connection, choice, jobs) if after is None or one.key < after]
        return sorted([*flagged, *hidden], key=lambda one: one.key, reverse=True)[:limit]


def progress(engine: Engine, choice: Choice) -> tuple[int, int]:
    """How many of the items of the queue have a verdict, and how many there are; `choice.verdict` does not count."""
    choice = replace(choice, verdict=None)
    with reading(engine) as connection:
        jobs = _jobs_in(connection, choice)
        if not jobs:
            return 0, 0
        flagged = select(func.count()).where(IS_FLAGGED, _of_jobs(result.c.job_id, jobs), *_scores(choice))
        drawn = (
            select(audit.c.item_id)
            .join(result, and_(result.c.item_id == audit.c.item_id, ~result.c.flagged))
            .where(_of_jobs(audit.c.job_id, jobs))
        )
        if choice.min_score is not None:  # by their places, which only reading them tells
            drawn = drawn.where(audit.c.item_id.in_([one.item_id for one in _audited(connection, choice, jobs)]))
        hidden = connection.execute(select(func.count()).select_from(drawn.subquery())).scalar_one()
        total = connection.execute(flagged).scalar_one() + hidden
        judged = (
            select(func.count(verdict.c.item_id.distinct()))
            .join(result, result.c.item_id == verdict.c.item_id)
            .where(IS_FLAGGED, _of_jobs(result.c.job_id, jobs), *_scores(choice))
        )
        reviewed = connection.execute(judged).scalar_one()
        if hidden:
            of_hidden = select(func.count(verdict.c.item_id.distinct())).where(verdict.c.item_id.in_(drawn))
            reviewed += connection.execute(of_hidden).scalar_one()
        return reviewed, total


def choices(engine: Engine) -> tuple[list[str], list[str]]:
    """The lines and the models that ever had a job, in order: what a filter can be set to."""
    with reading(engine) as connection:
        lines = connection.execute(select(job.c.line).distinct().where(job.c.line.is_not(None)).order_by(job.c.line))
        used = connection.execute(
            select(model.c.name).distinct().where(exists().where(job.c.model_id == model.c.id)).order_by(model.c.name)
        )
        return list(lines.scalars()), list(used.scalars())


def latest_words(engine: Engine, items: Sequence[int]) -> dict[int, tuple[Verdict, str | None]]:
    """The verdict that stands and its kind, of those of the items that have one."""
    latest = select(func.max(verdict.c.id)).where(verdict.c.item_id.in_(items)).group_by(verdict.c.item_id)
    query = select(verdict.c.item_id, verdict.c.verdict, verdict.c.kind).where(verdict.c.id.in_(latest))
    with reading(engine) as connection:
        return {row.item_id: (row.verdict, row.kind) for row in connection.execute(query)}


def _jobs_in(connection: Connection, choice: Choice) -> list[int]:
    query = select(job.c.id).order_by(job.c.id)
    if choice.job_id is not None:
        query = query.where(job.c.id == choice.job_id)
    else:
        query = query.where(job.c.state.not_in(DOUBTED_JOB_STATES))
    if choice.model is not None:
        query = query.join(model, model.c.id == job.c.model_id).where(model.c.name == choice.model)
    if choice.line is not None:
        query = query.where(job.c.line == choice.line)
    if choice.night is not None:
        query = query.where(job.c.night == choice.night)
    if choice.since is not None:
        query = query.where(job.c.night >= choice.since)
    return list(connection.execute(query).scalars())


def _of_jobs(column: ColumnElement[int], jobs: Sequence[int]) -> ColumnElement[bool]:
    """Thousands of numbers as parameters would be refused: they stand in the statement itself."""
    if len(jobs) == 1:
        return column == jobs[0]
    return column.in_(jobs) if len(jobs) <= 5000 else column.in_([literal_column(str(one)) for one in jobs])


def _scores(choice: Choice) -> list[ColumnElement[bool]]:
    return [] if choice.min_score is None else [result.c.score >= choice.min_score]


def _judged(choice: Choice) -> ColumnElement[bool]:
    said = exists().where(verdict.c.item_id == result.c.item_id)
    if choice.verdict is None:
        return true()
    if choice.verdict == UNREVIEWED:
        return ~said
    if choice.verdict == REVIEWED:
        return said
    latest = (
        select(verdict.c.verdict).where(verdict.c.item_id == result.c.item_id).order_by(verdict.c.id.desc()).limit(1)
    ).scalar_subquery()
    return latest == Verdict(choice.verdict)


def _columns() -> Select:
    return (
        select(
            result.c.item_id, result.c.job_id, item.c.path, job.c.source, job.c.line, job.c.lot, item.c.sha256,
            result.c.score, result.c.p_value, result.c.flagged, result.c.map_uri.is_not(None).label("has_map"),
        )
        .join(item, item.c.id == result.c.item_id)
        .join(job, job.c.id == result.c.job_id)
    )  # fmt: skip


def _flagged(connection: Connection, choice: Choice, jobs: Sequence[int], after: Key | None, limit: int) -> list[Seen]:
    # First the keys alone, by the index; then the rows of those that are shown.
    wanted = select(result.c.score, result.c.item_id).where(IS_FLAGGED, _judged(choice), *_scores(choice))
    if after is not None:
        wanted = wanted.where(tuple_(result.c.score, result.c.item_id) < tuple_(*after))
    wanted = wanted.order_by(result.c.score.desc(), result.c.item_id.desc()).limit(limit)
    if not jobs:
        return []
    if len(jobs) <= ASKED_APART:
        parts: Iterable[list[Key]] = (
            [(row[0], row[1]) for row in connection.execute(wanted.where(result.c.job_id == one))] for one in jobs
        )
        keys = list(heapq.merge(*parts, reverse=True))[:limit]
    else:
        keys = [(row[0], row[1]) for row in connection.execute(wanted.where(_of_jobs(result.c.job_id, jobs)))]
    rows = connection.execute(_columns().where(result.c.item_id.in_([number for _, number in keys])))
    found = {row.item_id: Seen(**row._mapping, place=row.score) for row in rows}
    return [found[number] for _, number in keys]


def _audited(connection: Connection, choice: Choice, jobs: Sequence[int]) -> list[Seen]:
    """Audit items with their places in the queue. A share of them goes by the number of their jobs, not of items."""
    if not jobs:
        return []
    query = (
        _columns()
        .join(audit, audit.c.item_id == result.c.item_id)
        .where(_of_jobs(audit.c.job_id, jobs), ~result.c.flagged, _judged(choice))
    )
    found = []
    ladders: dict[int, tuple[float, ...]] = {}
    for row in connection.execute(query):
        if row.job_id not in ladders:
            ladders[row.job_id] = ladder(connection, row.job_id)
        place = place_of(ladders[row.job_id], row.item_id)
        if choice.min_score is None or place >= choice.min_score:
            found.append(Seen(**row._mapping, place=place))
    return found
