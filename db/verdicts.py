"""A person's words on items: only ever added, so that who said what and when stays known. The latest one stands."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, Subquery, func, insert, select

from db.engine import now, reading, writing
from db.items import no_such_item
from db.schema import item, verdict
from oddlot.words import Verdict


@dataclass(frozen=True)
class VerdictRow:
    """`kind` is that of the defect, `reviewer` who said it; all texts as they were given."""

    verdict: Verdict
    kind: str | None
    note: str | None
    reviewer: str | None
    at: datetime


def add_verdict(
    engine: Engine, item_id: int, word: Verdict, *, kind: str | None = None, note: str | None = None, reviewer: str
) -> None:
    """Raises NotFoundError where there is no such item."""
    with writing(engine) as connection:
        if connection.execute(select(item.c.id).where(item.c.id == item_id)).first() is None:
            raise no_such_item(item_id)
        connection.execute(
            insert(verdict).values(
                item_id=item_id, verdict=word, kind=kind, note=note, reviewer=reviewer, at=now(connection)
            )
        )


def verdicts_of(engine: Engine, item_id: int) -> list[VerdictRow]:
    """All that was ever said of an item, the latest first."""
    columns = (verdict.c.verdict, verdict.c.kind, verdict.c.note, verdict.c.reviewer, verdict.c.at)
    query = select(*columns).where(verdict.c.item_id == item_id).order_by(verdict.c.id.desc())
    with reading(engine) as connection:
        return [VerdictRow(**row._mapping) for row in connection.execute(query)]


def latest_verdicts() -> Subquery:
    """A table of the words that stand: `item_id` and `verdict` of each item of which anything was ever said."""
    latest = select(func.max(verdict.c.id)).group_by(verdict.c.item_id)
    return select(verdict.c.item_id, verdict.c.verdict).where(verdict.c.id.in_(latest)).subquery("latest_verdict")
