"""From the SQLite file of one PC to the PostgreSQL server of many hosts, without losing a row."""

import contextlib
import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import URL, Connection, Engine, Table, func, select
from sqlalchemy.exc import DBAPIError

from db import backup, migrate, workers
from db.engine import MOVED, make_engine, open_database, reading, reason_of, shown, version_of, writing
from db.schema import HEAD, metadata, worker
from oddlot.errors import DatabaseError

ROWS = 10_000
"""Rows that are held in memory at once."""


def move(source: Path, url: str, *, keep: bool = False, told: Callable[[str, int], None] | None = None) -> int:
    """Copy every row of the SQLite database in `source` into the empty PostgreSQL database at `url`.

    One transaction there: all of it arrives or nothing. Every row is read back and compared. What was in work is handed
    out again, because no queue knows of it. The file is marked as moved before its rows are read, so that nobody writes
    behind their back, and stays so, so that nobody goes on with it by mistake; unless `keep`, or where it fails. `told`
    hears of each table and its rows. Returns the number of rows.

    Raises DatabaseError, with nothing changed: the file is in use or not Oddlot's, the other database is not empty.
    """
    _refuse_missing(source)
    if make_engine(url).dialect.name != "postgresql":
        raise DatabaseError("ODDLOT_DATABASE_URL must name the PostgreSQL database to move to: postgresql://...")
    old, new = make_engine(_url(source)), open_database(url)
    moved = False
    try:
        version = _version(source, old)
        _refuse_used(source, old, new)
        with reading(new) as connection:
            _refuse_full(new, connection)  # before the mark: a file that was moved stays marked
        old.dispose()  # else this very process would have the file open
        _set_version(source, MOVED + version)
        try:
            backup.refuse_in_use(source)
            with reading(old) as rows_of, migrate.alone(new), writing(new) as connection:
                _refuse_full(new, connection)
                rows = sum(_copy(table, rows_of, connection, told) for table in metadata.sorted_tables)
                backup.hand_out_again(connection)
            moved = True
        finally:
            if keep or not moved:
                undo(source)
        return rows
    except (DBAPIError, psycopg.Error) as error:
        reason = reason_of(new.url, error) if isinstance(error, DBAPIError) else str(error).splitlines()[0]
        raise DatabaseError(f"{source} cannot be moved to {shown(new.url)}: {reason}; nothing was changed") from error
    finally:
        old.dispose()
        new.dispose()


def undo(source: Path) -> None:
    """Let the file be used again: a move that was killed left it marked, or somebody goes back to it after all."""
    _refuse_missing(source)
    old = make_engine(_url(source))
    try:
        _set_version(source, _version(source, old))
    finally:
        old.dispose()


def _refuse_missing(source: Path) -> None:
    if not source.is_file():
        raise DatabaseError(f"{source} is not a file: name the SQLite database, e.g. oddlot.db in the home")


def _url(source: Path) -> str:
    return URL.create("sqlite", database=str(source)).render_as_string()


def _set_version(source: Path, version: str) -> None:
    try:
        with contextlib.closing(sqlite3.connect(source, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")  # to look whether somebody has it open took it away
            connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
    except sqlite3.Error as error:
        raise DatabaseError(f"{source} cannot be written: {error}") from error


def _version(source: Path, old: Engine) -> str:
    """The version of the file, also where it is marked. Raises DatabaseError where it is not this program's."""
    try:
        version = version_of(old)
    except DBAPIError as error:
        raise DatabaseError(f"{source} cannot be read: {error.orig}") from error
    version = (version or "nothing").removeprefix(MOVED)
    if version != HEAD:
        advice = f"first ODDLOT_DATABASE_URL=sqlite:///{source.absolute()} oddlot db upgrade"
        if version == "nothing" or version > HEAD:
            advice = "name a database of this version of Oddlot"
        raise DatabaseError(f"{source} is of version {version}, not {HEAD}: {advice}")
    return version


def _refuse_used(source: Path, old: Engine, new: Engine) -> None:
    for engine, where in ((old, str(source)), (new, shown(new.url))):
        if living := workers.living(engine):
            raise DatabaseError(
                f"{len(living)} workers are alive on {where}, e.g. process {living[0].pid} on {living[0].host}: stop "
                "them all, wait a minute, then move"
            )


def _refuse_full(new: Engine, connection: Connection) -> None:
    for table in metadata.sorted_tables:
        if table is not worker and (count := connection.execute(select(func.count()).select_from(table)).scalar_one()):
            raise DatabaseError(
                f"the database {shown(new.url)} holds {count} rows of {table.name} already: move into an empty one"
            )


def _copy(table: Table, old: Connection, new: Connection, told: Callable[[str, int], None] | None) -> int:
    """All rows of one table; one statement, so that rows which refer to one another may come in any order."""
    columns = list(table.columns)
    to_driver = [column.type.dialect_impl(new.dialect).bind_processor(new.dialect) for column in columns]
    quoted = new.dialect.identifier_preparer
    names = ", ".join(quoted.quote(column.name) for column in columns)
    driver: Any = new.connection.driver_connection
    count, digest = 0, hashlib.sha256()
    new.execute(table.delete())  # rows that the migrations made
    with driver.cursor() as cursor, cursor.copy(f"COPY {quoted.quote(table.name)} ({names}) FROM STDIN") as stream:
        for row in _rows(table, old):
            digest.update(repr(row).encode("utf-8", "surrogateescape"))
            stream.write_row([value if to is None else to(value) for value, to in zip(row, to_driver, strict=True)])
            count += 1
    arrived = hashlib.sha256()
    for row in _rows(table, new):
        arrived.update(repr(row).encode("utf-8", "surrogateescape"))
    if arrived.digest() != digest.digest():
        raise DatabaseError(f"the rows of {table.name} are not the same after the move; nothing was changed")
    _count_on(table, new)
    if told is not None:
        told(table.name, count)
    return count


def _rows(table: Table, connection: Connection) -> Iterator[Sequence[Any]]:
    order = list(table.primary_key.columns)
    for row in connection.execute(select(table).order_by(*order).execution_options(yield_per=ROWS)):
        yield tuple(row)


def _count_on(table: Table, connection: Connection) -> None:
    """New rows get numbers behind those that were brought along."""
    number = table.autoincrement_column
    if number is None or number.foreign_keys:
        return
    sequence = func.pg_get_serial_sequence(table.name, number.name)
    highest = select(func.max(number)).scalar_subquery()
    if connection.execute(select(sequence)).scalar() is not None:
        connection.execute(select(func.setval(sequence, func.coalesce(highest, 1), highest.is_not(None))))
