"""Jobs: from the listing of a folder to the completeness record."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from sqlalchemy import Connection, Engine, RowMapping, and_, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from db.engine import now, reading, writing
from db.schema import IS_FLAGGED, item, job, model, result
from db.types import LONGEST_NAME, check_name
from oddlot.errors import NotFoundError
from oddlot.processes import identity
from oddlot.words import ItemState, JobState

Listed: TypeAlias = tuple[str, int, int] | tuple[str, int, int, str | None]
"""A file as it was listed: path, size in bytes, mtime in ns and, of an object, its etag."""

_NIGHT_BEGINS = dt.timedelta(hours=12)


@dataclass(frozen=True)
class JobRow:
    """One submission of a folder. While it is open, the counts are taken from its items as they are now."""

    id: int
    model_id: int
    model_name: str
    model_version: int
    source: str
    line: str | None
    lot: str
    key: str | None
    priority: int
    recursive: bool
    glob: str | None
    only_new: bool
    state: JobState
    night: dt.date
    found: int
    seen_before: int
    left_out: dict[str, int]
    listed: int
    scored: int
    flagged: int
    unreadable: int
    quarantined: int
    cancelled: int
    validity: dict[str, Any] | None
    error: str | None
    created_at: dt.datetime
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    pruned_at: dt.datetime | None

    @property
    def unaccounted(self) -> int:
        """Listed items that are in no terminal state (yet); 0 in every finished job."""
        return self.listed - self.scored - self.unreadable - self.quarantined - self.cancelled

    @property
    def is_empty(self) -> bool:
        """It found nothing, where something was to be expected."""
        return self.state == JobState.DONE and self.found == 0 and not self.only_new


_NOT_SHOWN = (
    "submitter", "listing_at", "listed_at", "deferred", "pruning", "first_item", "last_item", "passed_over", "told_at",
)  # fmt: skip
_SHOWN = [column for column in job.c if column.name not in _NOT_SHOWN]
_JOBS = select(*_SHOWN, model.c.name.label("model_name"), model.c.version.label("model_version")).join(
    model, model.c.id == job.c.model_id
)


def night_of(moment: dt.datetime) -> dt.date:
    """The local day on which the night of that moment began: 02:00 belongs to the day before."""
    return (moment.replace(tzinfo=None) - _NIGHT_BEGINS).date()


def create_job(
    engine: Engine, *, model_id: int, source: str, line: str | None, lot: str, priority: int, recursive: bool,
    glob: str | None, only_new: bool, key: str | None, night: dt.date | None = None,
) -> tuple[int, bool]:  # fmt: skip
    """Open a job in state `listing`. Returns its number and True, or those of the job that has the same key and False.

    Without a `night` it belongs to the present one. Raises OddlotError where line or key are too long.
    """
    check_name(line, "the line")
    check_name(key, "the key", 2 * LONGEST_NAME)
    night = night or night_of(dt.datetime.now().astimezone())
    nothing = dict.fromkeys(
        ("found", "seen_before", "listed", "scored", "flagged", "unreadable", "quarantined", "cancelled"), 0
    )
    try:
        with writing(engine) as connection:
            moment = now(connection)
            new = insert(job).values(
                model_id=model_id, source=source, line=line, lot=lot, key=key, priority=priority, recursive=recursive,
                glob=glob, only_new=only_new, state=JobState.LISTING, night=night, submitter=identity(),
                listing_at=moment, left_out={}, deferred=[], created_at=moment, **nothing,
            )  # fmt: skip
            return connection.execute(new.returning(job.c.id)).scalar_one(), True
    except IntegrityError:
        with reading(engine) as connection:
            existing = connection.execute(select(job.c.id).where(job.c.key == key)).scalar()
        if key is None or existing is None:
            raise
        return existing, False


def submitted_before(engine: Engine, row: JobRow) -> int | None:
    """The last job before this one that looks for the same files in the same folder, in the same night and with the
    same model; None where there is none that counts."""
    with reading(engine) as connection:
        same = (job.c.model_id == row.model_id, job.c.night == row.night, job.c.source == row.source,
                job.c.recursive == row.recursive, job.c.glob.is_not_distinct_from(row.glob))  # fmt: skip
        counts = job.c.state.not_in([JobState.CANCELLED, JobState.DISCARDED, JobState.FAILED])
        query = select(func.max(job.c.id)).where(*same, job.c.id < row.id, job.c.listed > 0, counts)
        return connection.execute(query).scalar()


def get_job(engine: Engine, job_id: int | Literal["last"]) -> JobRow:
    """Raises NotFoundError."""
    with reading(engine) as connection:
        if job_id != "last":
            return read_job(connection, job_id)
        row = connection.execute(_JOBS.order_by(job.c.id.desc()).limit(1)).mappings().one_or_none()
        if row is None:
            raise NotFoundError("there are no jobs yet: submit a folder with `oddlot submit NAME FOLDER`")
        return _row(connection, row)


def read_job(connection: Connection, job_id: int) -> JobRow:
    """`get_job` inside a transaction. Raises NotFoundError."""
    row = connection.execute(_JOBS.where(job.c.id == job_id)).mappings().one_or_none()
    if row is None:
        raise NotFoundError(f"there is no job {job_id}: `oddlot jobs` lists them")
    return _row(connection, row)


def list_jobs(engine: Engine, *, limit: int) -> list[JobRow]:
    """The newest jobs, newest first."""
    return find_jobs(engine, limit=limit)


def find_jobs(
    engine: Engine, *, state: JobState | None = None, model_name: str | None = None, line: str | None = None,
    lot: str | None = None, night: dt.date | None = None, since: dt.date | None = None, before: int | None = None,
    limit: int | None,
) -> list[JobRow]:  # fmt: skip
    """The newest jobs of a filter, newest first, from those with a number below `before` on; `since` is the first night
    that is wanted."""
    same = {job.c.state: state, model.c.name: model_name, job.c.line: line, job.c.lot: lot, job.c.night: night}
    query = _JOBS.where(*(column == value for column, value in same.items() if value is not None))
    if since is not None:
        query = query.where(job.c.night >= since)
    if before is not None:
        query = query.where(job.c.id < before)
    with reading(engine) as connection:
        rows = connection.execute(query.order_by(job.c.id.desc()).limit(limit)).mappings().all()
        counted = count_items_of(connection, [row["id"] for row in rows if row["finished_at"] is None])
        return [JobRow(**{**row, **counted.get(row["id"], {})}) for row in rows]


def deferred_files(engine: Engine, job_id: int) -> list[str]:
    """Paths that were still being written when the folder was listed."""
    with reading(engine) as connection:
        return connection.execute(select(job.c.deferred).where(job.c.id == job_id)).scalar() or []


def unseen(engine: Engine, model_id: int, files: Sequence[Listed]) -> list[Listed]:
    """Those of `files` that this model version has not looked at as they are now.

    Looked at means scored, or found unreadable with all bytes in hand; and what still waits in a job that is worked
    on will be. A file that could not be opened, was quarantined or cancelled gets another chance.
    """
    looked_at_now = or_(
        item.c.state == ItemState.SCORED,
        and_(item.c.state == ItemState.UNREADABLE, item.c.sha256.is_not(None)),
        and_(item.c.state == ItemState.WAITING, job.c.state.in_([JobState.QUEUED, JobState.RUNNING])),
    )
    looked_at: set[tuple[object, ...]] = set()
    query = (
        select(item.c.path, item.c.size, item.c.mtime_ns, item.c.etag)
        .join(job, job.c.id == item.c.job_id)
        .where(job.c.model_id == model_id, looked_at_now)
    )
    with reading(engine) as connection:
        for start in range(0, len(files), 500):
            paths = [file[0] for file in files[start : start + 500]]
            looked_at.update(_content(*row) for row in connection.execute(query.where(item.c.path.in_(paths))))
    return [file for file in files if _content(*file) not in looked_at]


def _content(path: str, size: int, mtime_ns: int, etag: str | None = None) -> tuple[object, ...]:
    """What tells a file from another that had its place: of an object its etag, which outlives a copy."""
    return (path, size, mtime_ns) if etag is None else (path, etag)


def count_items(connection: Connection, job_id: int) -> dict[str, int]:
    """Items of a job by terminal state, and `flagged`: the columns of the completeness record."""
    return count_items_of(connection, [job_id])[job_id]


def count_items_of(connection: Connection, job_ids: Sequence[int]) -> dict[int, dict[str, int]]:
    """`count_items` of many jobs, in two statements for some hundred of them."""
    nothing = dict.fromkeys(("scored", "unreadable", "quarantined", "cancelled", "flagged"), 0)
    counts = {job_id: dict(nothing) for job_id in job_ids}
    for start in range(0, len(job_ids), 500):
        some = job_ids[start : start + 500]
        by_state = select(item.c.job_id, item.c.state, func.count()).where(item.c.job_id.in_(some))
        for job_id, state, count in connection.execute(by_state.group_by(item.c.job_id, item.c.state)):
            if state != ItemState.WAITING:
                counts[job_id][str(state)] = count
        flagged = select(result.c.job_id, func.count()).where(and_(result.c.job_id.in_(some), IS_FLAGGED))
        for job_id, count in connection.execute(flagged.group_by(result.c.job_id)):
            counts[job_id]["flagged"] = count
    return counts


def set_state(connection: Connection, job_id: int, state: JobState, **changes: Any) -> None:
    """Change the state of a job, and more columns with it."""
    connection.execute(update(job).where(job.c.id == job_id).values(state=state, **changes))


def _row(connection: Connection, row: RowMapping) -> JobRow:
    values = dict(row)
    if values["finished_at"] is None:
        values |= count_items(connection, values["id"])
    return JobRow(**values)
