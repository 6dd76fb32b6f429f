"""What a person looks at on the review page: flagged items page by page, and the queue in which audit items hide.

Pages are found by key (score and item), never by counting rows from the beginning, and by the index that is the short
way for the jobs in question (`db.flagged`); so neither a deep page nor a large table costs more than the first.
"""

import datetime as dt
import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    exists,
    func,
    select,
    true,
    tuple_,
)

from db.engine import reading
from db.flagged import Jobs, find, highest_of
from db.review_places import ladder, place_of
from db.schema import IS_FLAGGED, audit, item, job, model, result, verdict
from oddlot.words import DOUBTED_JOB_STATES, Verdict

ASKED_APART = 6
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
        return _seen(connection, _flagged_keys(connection, choice, _jobs_in(connection, choice), after, limit))


def queue_page(engine: Engine, choice: Choice, after: Key | None, limit: int) -> list[Seen]:
    """The next items to be judged after `after`: flagged ones, the most suspicious first, and the audit items of the
    same jobs among them, each at a place that looks like any other."""
    with reading(engine) as connection:
        jobs = _jobs_in(connection, choice)
        places = _flagged_keys(connection, choice, jobs, after, limit)
        hidden = [key for key in _audited(connection, choice, jobs) if after is None or key < after]
        return _seen(connection, sorted([*places, *hidden], reverse=True)[:limit])


def progress(engine: Engine, choice: Choice) -> tuple[int, int]:
    """How many of the items of the queue have a verdict, and how many there are; `choice.verdict` does not count."""
    choice = replace(choice, verdict=None)
    with reading(engine) as connection:
        jobs = _jobs_in(connection, choice)
        flagged = select(func.count(), func.count(result.c.verdict)).where(
            IS_FLAGGED, jobs.have(result.c.job_id), *_scores(choice)
        )
        total, reviewed = connection.execute(flagged).one()
        if choice.min_score is None:
            drawn = select(func.count(), func.count(audit.c.verdict)).where(jobs.have(audit.c.job_id))
            hidden, judged = connection.execute(drawn).one()
            return reviewed + judged, total + hidden
        # By their places, which only reading them tells.
        hidden = len(_audited(connection, choice, jobs))
        judged = len(_audited(connection, replace(choice, verdict=REVIEWED), jobs))
        return reviewed + judged, total + hidden


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


def _jobs_in(connection: Connection, choice: Choice) -> Jobs:
    asked = {job.c.line: choice.line, job.c.night: choice.night}
    wanted = [column == value for column, value in asked.items() if value is not None]
    wanted.append(job.c.state.not_in(DOUBTED_JOB_STATES) if choice.job_id is None else job.c.id == choice.job_id)
    if choice.since is not None:
        wanted.append(job.c.night >= choice.since)
    return find(connection, *wanted, model_name=choice.model)


def _scores(choice: Choice) -> list[ColumnElement[bool]]:
    return [] if choice.min_score is None else [result.c.score >= choice.min_score]


def _judged(column: ColumnElement[Verdict | None], choice: Choice) -> ColumnElement[bool]:
    if choice.verdict is None:
        return true()
    if choice.verdict == UNREVIEWED:
        return column.is_(None)
    if choice.verdict == REVIEWED:
        return column.is_not(None)
    return column == Verdict(choice.verdict)


def _flagged_keys(connection: Connection, choice: Choice, jobs: Jobs, after: Key | None, limit: int) -> list[Key]:
    wanted = select(result.c.score, result.c.item_id).where(
        IS_FLAGGED, _judged(result.c.verdict, choice), *_scores(choice)
    )
    if after is not None:
        wanted = wanted.where(tuple_(result.c.score, result.c.item_id) < tuple_(*after))
    wanted = wanted.order_by(result.c.score.desc(), result.c.item_id.desc()).limit(limit)
    if len(jobs.numbers) > ASKED_APART:
        return [(row[0], row[1]) for row in connection.execute(wanted.where(highest_of(jobs)))]
    parts: Iterable[list[Key]] = (
        [(row[0], row[1]) for row in connection.execute(wanted.where(result.c.job_id == one))] for one in jobs.numbers
    )
    return list(heapq.merge(*parts, reverse=True))[:limit]


def _audited(connection: Connection, choice: Choice, jobs: Jobs) -> list[Key]:
    """Audit items by their places in the queue. A share of them goes by the number of their jobs, not of items."""
    query = select(audit.c.item_id, audit.c.job_id).where(jobs.have(audit.c.job_id), _judged(audit.c.verdict, choice))
    found = []
    ladders: dict[int, tuple[float, ...]] = {}
    for item_id, job_id in connection.execute(query).tuples():
        if job_id not in ladders:
            ladders[job_id] = ladder(connection, job_id)
        place = place_of(ladders[job_id], item_id)
        if choice.min_score is None or place >= choice.min_score:
            found.append((place, item_id))
    return found


def _seen(connection: Connection, keys: Sequence[Key]) -> list[Seen]:
    """What is shown of the items at these places, in the same order."""
    query = (
        select(
            result.c.item_id, result.c.job_id, item.c.path, job.c.source, job.c.line, job.c.lot, item.c.sha256,
            result.c.score, result.c.p_value, result.c.flagged, result.c.map_uri.is_not(None).label("has_map"),
        )
        .join(item, item.c.id == result.c.item_id)
        .join(job, job.c.id == result.c.job_id)
        .where(result.c.item_id.in_([number for _, number in keys]))
    )  # fmt: skip
    found = {row.item_id: row._mapping for row in connection.execute(query)} if keys else {}
    # On PostgreSQL, a result may have been pruned since its place was read.
    return [Seen(**found[number], place=place) for place, number in keys if number in found]
