"""Verdicts as the review page gives them: answers that were lost are asked for again, and fingers slip."""

import datetime as dt

from sqlalchemy import Engine, RowMapping, delete, insert, select

from db.engine import now, reading, writing
from db.items import no_such_item
from db.schema import item, verdict
from db.verdict_marks import mark
from oddlot.errors import NotFoundError, StateError
from oddlot.words import Verdict

SLIP = dt.timedelta(minutes=15)
"""For so long its giver may take a word back. Later, and for anybody else, only another word can follow."""
KINDS_LOOKED_AT = 500


def give_verdict(
    engine: Engine, item_id: int, word: Verdict, *, kind: str | None, note: str | None, reviewer: str
) -> int:
    """Add a verdict and return its number. The word that its giver has just said of the item is not said twice: a
    page that got no answer asks again. Raises NotFoundError."""
    said = {"verdict": word, "kind": kind, "note": note, "reviewer": reviewer}
    with writing(engine) as connection:
        if connection.execute(select(item.c.id).where(item.c.id == item_id).with_for_update()).first() is None:
            raise no_such_item(item_id)
        moment = now(connection)
        latest = select(verdict).where(verdict.c.item_id == item_id).order_by(verdict.c.id.desc()).limit(1)
        last = connection.execute(latest).mappings().first()
        if last is not None and _same(last, said) and moment - last["at"] < SLIP:
            return int(last["id"])
        new = insert(verdict).values(item_id=item_id, at=moment, **said).returning(verdict.c.id)
        number = int(connection.execute(new).scalar_one())
        mark(connection, [item_id])
        return number


def take_back(engine: Engine, verdict_id: int, *, item_id: int, reviewer: str) -> int:
    """Remove a verdict that its giver gave by a slip of the finger, and return the number of its item; what was said
    before stands again.

    Raises NotFoundError, and StateError where somebody else gave it, another one followed, or SLIP has passed.
    """
    with writing(engine) as connection:
        connection.execute(select(item.c.id).where(item.c.id == item_id).with_for_update())
        row = connection.execute(select(verdict).where(verdict.c.id == verdict_id)).mappings().first()
        # A number that became free is given again on SQLite, so the item must be the same.
        if row is None or row["item_id"] != item_id:
            raise NotFoundError(f"there is no verdict {verdict_id}: it may have been taken back already")
        of_item = verdict.c.item_id == row["item_id"]
        if connection.execute(select(verdict.c.id).where(of_item, verdict.c.id > verdict_id).limit(1)).first():
            raise StateError("another verdict followed: say anew what you think of the picture")
        if row["reviewer"] != _stored(reviewer):
            raise StateError(f"{row['reviewer'] or 'somebody else'} gave this verdict: give one of your own")
        if now(connection) - row["at"] >= SLIP:
            raise StateError("this verdict has stood too long to be taken back: give another one")
        connection.execute(delete(verdict).where(verdict.c.id == verdict_id))
        mark(connection, [item_id])
        return int(row["item_id"])


def recent_kinds(engine: Engine, limit: int = 9) -> list[str]:
    """The kinds of defects that were named last, the latest first."""
    query = select(verdict.c.kind).where(verdict.c.kind.is_not(None)).order_by(verdict.c.id.desc())
    with reading(engine) as connection:
        found = dict.fromkeys(connection.execute(query.limit(KINDS_LOOKED_AT)).scalars())
        return [kind for kind in found if kind][:limit]


def _same(row: RowMapping, said: dict[str, str | None]) -> bool:
    return all(row[name] == (_stored(value) if name != "verdict" else value) for name, value in said.items())


def _stored(text: str | None) -> str | None:
    """As the column gives it back."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
