"""One item with all that SQL knows about it."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, func, select

from db.engine import reading
from db.schema import batch, item, job, model, result
from oddlot.errors import NotFoundError
from oddlot.words import ItemState, JobState


@dataclass(frozen=True)
class ItemDetail:
    """A picture of a job, the model that looked at it or will, and what it found.

    `source` is the job's folder; `card` the model's, which says how it looks at pictures also where its bundle is gone,
    and may hold anything where that was carried here; `host`, `code_version` and `scored_on` say where and by what its
    batch was computed. Everything from `raw_score` on is None unless `state` is `scored`, and where the result was
    pruned; so is `map_uri` where no heat map is stored. `pruned_at` is when the pruning of its job began.
    """

    item_id: int
    job_id: int
    job_state: JobState
    source: str
    line: str | None
    lot: str
    night: date
    path: str
    state: ItemState
    error: str | None
    note: str | None
    sha256: str | None
    model_name: str
    model_version: int
    architecture: str
    bundle_uri: str
    bundle_sha256: str
    threshold: float
    card: dict[str, Any]
    host: str | None
    code_version: str | None
    scored_on: str | None
    pruned_at: datetime | None
    raw_score: float | None
    score: float | None
    p_value: float | None
    flagged: bool | None
    parts: dict[str, float] | None
    map_uri: str | None
    scored_at: datetime | None


def get_item(engine: Engine, item_id: int) -> ItemDetail:
    """Raises NotFoundError."""
    query = (
        select(
            item.c.id.label("item_id"), item.c.job_id, job.c.state.label("job_state"), job.c.source, job.c.line,
            job.c.lot, job.c.night, item.c.path, item.c.state, item.c.error, item.c.note, item.c.sha256,
            model.c.name.label("model_name"), model.c.version.label("model_version"), model.c.architecture,
            model.c.bundle_uri, model.c.bundle_sha256, model.c.threshold, model.c.card, batch.c.host,
            batch.c.code_version, batch.c.scored_on, job.c.pruned_at, result.c.raw_score, result.c.score,
            result.c.p_value, result.c.flagged, result.c.parts, result.c.map_uri, result.c.scored_at,
        )
        .join(job, job.c.id == item.c.job_id)
        .join(batch, batch.c.id == item.c.batch_id)
        .join(result, result.c.item_id == item.c.id, isouter=True)
        .join(model, model.c.id == func.coalesce(result.c.model_id, job.c.model_id))
        .where(item.c.id == item_id)
    )  # fmt: skip
    with reading(engine) as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        raise no_such_item(item_id)
    return ItemDetail(**row._mapping)


def in_range(connection: Connection, column: ColumnElement[int], job_id: int) -> list[ColumnElement[bool]]:
    """The range of numbers that a job's items have, for a column of item numbers; beside, not in place of, the job.

    PostgreSQL takes the items of a job for spread over the whole table, and looks for the first from its beginning.
    """
    ends = ends_of(connection, job_id)
    return [] if ends is None else [column.between(*ends)]


def ends_of(connection: Connection, job_id: int) -> tuple[int, int] | None:
    """The lowest and the highest number that a job's items may have; None where it, or the job, has none."""
    ends = connection.execute(select(job.c.first_item, job.c.last_item).where(job.c.id == job_id)).one_or_none()
    return None if ends is None or None in ends else (ends[0], ends[1])


def no_such_item(item_id: int) -> NotFoundError:
    return NotFoundError(f"there is no item {item_id}: `oddlot flagged` and `oddlot results` show their numbers")
