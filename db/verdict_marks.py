"""The word that stands, written beside the result and the draw of its item.

`verdict` has every word that was ever said and is what counts; these copies are for pages and counts over millions of
results, which find by their indexes what was judged, and how. Whoever changes `verdict` marks in the same transaction.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, select, update

from db.schema import audit, result, verdict


def mark(connection: Connection, items: Sequence[int]) -> None:
    """Copy the latest word on each of the items; where nothing (any more) was said, there is none."""
    for table in (result, audit):
        said = select(verdict.c.verdict).where(verdict.c.item_id == table.c.item_id)
        stands = said.order_by(verdict.c.id.desc()).limit(1).scalar_subquery()
        connection.execute(update(table).where(table.c.item_id.in_(items)).values(verdict=stands))


def mark_judged(connection: Connection, items: Sequence[int]) -> None:
    """The same for those results that are new: most were never judged, and are left as they are."""
    said = select(verdict.c.item_id).distinct().where(verdict.c.item_id.in_(items))
    if judged := connection.execute(said).scalars().all():
        mark(connection, judged)
