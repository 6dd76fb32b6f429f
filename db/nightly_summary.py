"""What each night came to, on each line and by each model version: rows of the view of that name, by pages."""

import datetime as dt
from typing import Any

from sqlalchemy import BigInteger, Date, Engine, Integer, Text, and_, case, column, func, or_, select, table

from db.engine import reading

Place = tuple[dt.date, str | None, str, int]
"""Night, line, model and version: what names a row."""

COUNTS = (
    "jobs", "listed", "scored", "flagged", "unreadable", "quarantined", "cancelled", "unaccounted", "held", "discarded",
    "pruned", "reviewed", "confirmed_defects",
)  # fmt: skip
_summary = table(
    "nightly_summary",
    column("night", Date), column("line", Text), column("model", Text), column("model_version", Integer),
    *(column(name, BigInteger) for name in COUNTS),
)  # fmt: skip


def list_nights(
    engine: Engine, *, since: dt.date | None = None, until: dt.date | None = None, line: str | None = None,
    model: str | None = None, after: Place | None = None, limit: int | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """The latest night first, then by line, model and version; `since` and `until` are both included.

    `after` is the place of the last row that was seen.
    """
    columns = _summary.c
    query = select(_summary)
    if since is not None:
        query = query.where(columns.night >= since)
    if until is not None:
        query = query.where(columns.night <= until)
    if line is not None:
        query = query.where(columns.line == line)
    if model is not None:
        query = query.where(columns.model == model)
    # A line of no name stands behind those that have one, also one that is empty.
    unnamed = case((columns.line.is_(None), 1), else_=0)
    order = [unnamed, func.coalesce(columns.line, ""), columns.model, columns.model_version]
    if after is not None:
        night, *others = after[0], int(after[1] is None), after[1] or "", after[2], after[3]
        later = [and_(*(order[i] == others[i] for i in range(n)), order[n] > others[n]) for n in range(len(order))]
        query = query.where(or_(columns.night < night, and_(columns.night == night, or_(*later))))
    with reading(engine) as connection:
        rows = connection.execute(query.order_by(columns.night.desc(), *order).limit(limit)).mappings()
        return [dict(row) for row in rows]
