"""Bringing a database to the version of this program."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.exc import DBAPIError

from db.engine import make_engine, reason_of, refuse_moved, shown, version_of, writing
from db.schema import HEAD
from db.views import SINCE, create_views, drop_views
from oddlot.errors import DatabaseError

_ADVISORY_LOCK = 0x0DD107


def upgrade(url: str) -> tuple[str | None, str]:
    """Run the migrations that are missing; returns the version before (None: empty) and after.

    Two at once do no harm: the second waits and finds nothing to do. Raises DatabaseError.
    """
    engine = make_engine(url)
    try:
        with alone(engine):
            before = version_of(engine)
            refuse_moved(engine, before or "")
            if before is not None and before > HEAD:
                raise DatabaseError(
                    f"the database {shown(engine.url)} is of version {before}, newer than {HEAD}: update Oddlot"
                )
            if before != HEAD:
                run(engine)
            else:
                with migrating(engine):  # makes the views anew, also those whose text has changed
                    pass
            return before, HEAD
    except DBAPIError as error:
        reason = reason_of(engine.url, error)
        raise DatabaseError(f"the database {shown(engine.url)} cannot be upgraded: {reason}") from error
    finally:
        engine.dispose()


def run(engine: Engine) -> None:
    """Run the migrations that are missing, on a database that nobody else migrates meanwhile."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    with migrating(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD)


@contextmanager
def migrating(engine: Engine) -> Iterator[Connection]:
    """A transaction in which tables may be changed, on an engine that is used for nothing else afterwards.

    The views stand aside meanwhile: with them no table could be changed.
    """
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            # Both only outside a transaction. WAL is kept in the file from now on: readers and a writer do not wait for
            # each other. SQLite alters a table by copying it and dropping the old one; with foreign keys on, dropping
            # it deletes every row that refers to it.
            for pragma in ("journal_mode = WAL", "foreign_keys = OFF"):
                connection.connection.driver_connection.execute(f"PRAGMA {pragma}")  # type: ignore[union-attr]
    with writing(engine) as connection:
        drop_views(connection)
        yield connection
        if (_version(connection) or "") >= SINCE:
            create_views(connection)
        if engine.dialect.name == "sqlite":
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
            if broken is not None:
                raise DatabaseError(
                    f"the database {shown(engine.url)} cannot be upgraded: rows of {broken[0]} refer to rows of "
                    f"{broken[2]} that are not there; nothing was changed, restore a backup"
                )


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()


@contextmanager
def alone(engine: Engine) -> Iterator[None]:
    """Only one process migrates at a time."""
    if engine.dialect.name == "sqlite":
        if not engine.url.database or engine.url.database == ":memory:":
            yield
            return
        try:
            lock = os.open(f"{engine.url.database}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DatabaseError(f"{engine.url.database} cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)
        return
    with engine.connect() as connection:
        connection.exec_driver_sql(f"SELECT pg_advisory_lock({_ADVISORY_LOCK})")
        try:
            yield
        finally:
            connection.exec_driver_sql(f"SELECT pg_advisory_unlock({_ADVISORY_LOCK})")
