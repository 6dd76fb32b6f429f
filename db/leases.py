"""Leases of batches and of fits: both tables have the columns state, owner and lease_expires_at."""

from datetime import timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, Engine, Table, and_, select, update

from db.engine import now, reading, writing
from db.schema import IS_OPEN, batch


def owners(engine: Engine, table: Table, held: StrEnum) -> list[str]:
    """Everybody who holds a row of `table`, whose state is `held` then."""
    with reading(engine) as connection:
        found = connection.execute(select(table.c.owner).where(_held(table, held)).distinct()).scalars()
        return [owner for owner in found if owner is not None]


def expire(engine: Engine, table: Table, held: StrEnum, owner: str) -> int:
    """End all leases of an owner who is known to be dead; returns how many."""
    with writing(engine) as connection:
        past = now(connection) - timedelta(seconds=1)
        return connection.execute(
            update(table)
            .where(_held(table, held), table.c.owner == owner, table.c.lease_expires_at > past)
            .values(lease_expires_at=past)
        ).rowcount


def _held(table: Table, held: StrEnum) -> ColumnElement[bool]:
    return and_(table.c.state == held, IS_OPEN) if table is batch else table.c.state == held
