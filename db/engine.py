"""One engine a process; transactions that read, and transactions that write."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event, func, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError, ProgrammingError

from db.schema import HEAD
from oddlot import half_open
from oddlot.errors import DatabaseError, UnstorableValue

BUSY_SECONDS = 60.0
"""How long a write on SQLite waits for another one to end."""
CONNECT_SECONDS = 10
"""How long a PostgreSQL server may take to answer."""
MOVED = "moved:"
"""Begins the version of a database whose rows were moved to another one (`db.moving`)."""


def open_database(url: str) -> Engine:
    """An engine on the database at `url`, at the version of this program.

    An empty database is set up. Raises DatabaseError where it cannot be reached, or is of another version.
    """
    engine = make_engine(url)
    try:
        version = version_of(engine)
        if version is None:
            from db import migrate

            migrate.upgrade(url)
        elif version != HEAD:
            refuse_moved(engine, version)
            older = version < HEAD
            advice = "bring it up to date with `oddlot db upgrade`" if older else "a newer Oddlot wrote it: update this"
            raise DatabaseError(f"the database {shown(engine.url)} is of version {version}, not {HEAD}: {advice}")
        return engine
    except DBAPIError as error:
        engine.dispose()
        raise _unreachable(engine.url, error) from error
    except BaseException:
        engine.dispose()
        raise


def refuse_moved(engine: Engine, version: str) -> None:
    """Raises DatabaseError where what was done in this database would be done in vain."""
    if version.startswith(MOVED):
        raise DatabaseError(
            f"the database {shown(engine.url)} was moved: set ODDLOT_DATABASE_URL to where it is now; if the move was "
            f"killed, do it again, or give it up with `oddlot db move --undo {engine.url.database}`"
        )


def make_engine(url: str) -> Engine:
    """An engine without a look at what is behind it. Raises DatabaseError for a URL that cannot be used."""
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return _refuse_odd_values(_sqlite_engine(parsed))
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        engine = create_engine(
            parsed,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": CONNECT_SECONDS,
                "application_name": "oddlot",
                **half_open.postgresql_options(),
                "options": " ".join([half_open.postgresql_server_options(), *_options_of(parsed)]),
            },
        )
        _refuse_other_encodings(engine)
        return _refuse_odd_values(engine)
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise DatabaseError("ODDLOT_DATABASE_URL is not a URL of SQLite or PostgreSQL") from error


def _options_of(url: URL) -> tuple[str, ...]:
    """What the URL itself asks of the server; it comes last, and so wins."""
    found = url.query.get("options", ())
    return (found,) if isinstance(found, str) else tuple(found)


def _refuse_other_encodings(engine: Engine) -> None:
    """A file's name may have any letter; a database in LATIN1 has 191 of them, and one in SQL_ASCII knows none."""

    @event.listens_for(engine, "connect", insert=True)  # before SQLAlchemy asks the server, and trips over the answer
    def refuse(connection: Any, _: Any) -> None:
        encoding = connection.info.parameter_status("server_encoding")
        if encoding not in (None, "UTF8"):  # a pool between may keep it to itself
            raise DatabaseError(
                f"the database {shown(engine.url)} keeps text in {encoding}, not in UTF8: make another one, with "
                f"CREATE DATABASE name ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
            )


def _refuse_odd_values(engine: Engine) -> Engine:
    """Numbers and texts that no database takes come from a command line: one line, and not a driver's traceback."""

    @event.listens_for(engine, "handle_error")
    def refuse(context: ExceptionContext) -> None:
        cause = context.original_exception
        # psycopg's errors, which need not be there: text that PostgreSQL never keeps, and numbers beyond a column's
        with_nul = type(cause).__name__ == "DataError" and "NUL" in str(cause)
        too_large = type(cause).__name__ == "NumericValueOutOfRange"
        if with_nul or too_large or isinstance(cause, OverflowError | UnicodeEncodeError):
            raise UnstorableValue(
                "a number that is too large, or text that is not UTF-8 or has a NUL in it, can neither be stored nor "
                "looked up"
            ) from cause

    return engine


def is_refused(error: Exception) -> bool:
    """Whether a database answers, and does not take what it was given: another try would end in the same way."""
    # SQLSTATE: data exception, integrity constraint violation, program limit exceeded
    return (getattr(getattr(error, "orig", None), "sqlstate", None) or "")[:2] in ("22", "23", "54")


def version_of(engine: Engine) -> str | None:
    """The migration that the database is at; None where it is empty. Raises DBAPIError where it does not answer."""
    with engine.connect() as connection:
        try:
            return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        except (OperationalError, ProgrammingError) as error:
            # SQLite says OperationalError both for a missing table and for a database that it cannot read.
            if isinstance(error, ProgrammingError) or "no such table" in str(error.orig):
                return None
            raise


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that only reads."""
    with engine.connect() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes: committed at the end of the block, undone by an exception."""
    with engine.connect() as connection:
        connection = connection.execution_options(oddlot_writes=True)
        with connection.begin():
            yield connection


def now(connection: Connection) -> datetime:
    """The time by the database's own clock: hosts need not agree about it to keep each other's leases."""
    if connection.dialect.name == "sqlite":
        return datetime.now(UTC)
    moment: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return moment.astimezone(UTC)


def shown(url: URL) -> str:
    """A URL for people, without its password and options, among which one may stand too."""
    return url.set(query={}).render_as_string(hide_password=True)


def _sqlite_engine(url: URL) -> Engine:
    if url.database and url.database != ":memory:":
        try:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DatabaseError(f"{Path(url.database).parent} cannot be made: {error.strerror}") from error
        if not url.database.startswith("file:"):
            with suppress(OSError):  # it holds hashes of passwords, so a new one is its owner's alone
                os.close(os.open(url.database, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions begin where we say so, below
        # FULL: what was committed survives a power cut, so that a job whose number was printed is not forgotten.
        for pragma in ("foreign_keys = ON", "synchronous = FULL"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # IMMEDIATE: a transaction that reads first and writes later could otherwise fail in between, unawaited.
        writes = connection.get_execution_options().get("oddlot_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def reason_of(url: URL, error: DBAPIError) -> str:
    """The first line of what the driver says, without the password."""
    lines = [line.strip() for line in str(error.orig).splitlines() if line.strip()]
    reason = lines[0] if lines else type(error.orig).__name__
    return reason.replace(str(url.password), "***") if url.password else reason


def _unreachable(url: URL, error: DBAPIError) -> DatabaseError:
    advice = ""
    if url.get_backend_name() == "postgresql":
        advice = "; is the server there, and are ODDLOT_DATABASE_URL and ODDLOT_DATABASE_PASSWORD_FILE right?"
    return DatabaseError(f"the database {shown(url)} cannot be opened: {reason_of(url, error)}{advice}")
