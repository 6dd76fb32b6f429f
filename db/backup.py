"""A copy of the whole database in one file, made while jobs run, and the way back."""

import contextlib
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import which

from sqlalchemy import URL, Connection, Engine, func, select, update
from sqlalchemy.exc import DBAPIError

from db import migrate, workers
from db.engine import make_engine, now, open_database, reason_of, shown, version_of, writing
from db.schema import HEAD, batch, fit, job, metadata, session, worker
from db.views import drop_views
from oddlot.errors import DatabaseError
from oddlot.words import BatchState, FitState

PAGES = 1000
"""Pages of SQLite that are copied in one step; between two of them Ctrl-C is heard."""


def backup(url: str, target: Path, *, force: bool = False) -> None:
    """Write the database as it is in one moment into `target`; writers go on meanwhile.

    The file appears whole or not at all. Raises DatabaseError.
    """
    if target.exists() and not target.is_file():
        raise DatabaseError(f"{target} is not a file: name a file to write")
    if target.exists() and not force:
        raise DatabaseError(f"{target} exists: choose another name, or --force to replace it")
    engine = _of_any_version(url)
    try:
        with _appearing(target) as part:
            if engine.dialect.name == "sqlite":
                _copy(_file(engine), part)
                _check(part)
            else:
                _run("pg_dump", engine.url, "--format=custom", "--no-owner", f"--file={part}")
    finally:
        engine.dispose()


def _of_any_version(url: str) -> Engine:
    """The database as it is: who has installed a new version saves what was before, and then upgrades."""
    engine = make_engine(url)
    with contextlib.suppress(DBAPIError):  # said below
        version = version_of(engine)
        if version is not None and version < HEAD:
            return engine
    engine.dispose()
    return open_database(url)


def restore(url: str, source: Path, *, force: bool = False) -> str:
    """Put the database in the state that is in `source` and bring it to the version of this program.

    What was in work then is to be done again, and everything that waits is put into the queue anew. Returns the
    version that the backup was of. Raises DatabaseError, where it refuses with nothing changed.
    """
    if not source.is_file():
        raise DatabaseError(f"{source} is not a file")
    engine = make_engine(url)
    try:
        if not force:
            _refuse_if_used(engine)
        before = _restore_sqlite(engine, source) if engine.dialect.name == "sqlite" else _restore_dump(engine, source)
        engine.dispose()
        migrate.upgrade(url)
        with writing(engine) as connection:
            hand_out_again(connection)
        return before
    except DBAPIError as error:
        reason = reason_of(engine.url, error)
        raise DatabaseError(f"{source} cannot be restored into {shown(engine.url)}: {reason}") from error
    finally:
        engine.dispose()


def _refuse_if_used(engine: Engine) -> None:
    if engine.dialect.name == "sqlite" and not _file(engine).exists():
        return
    try:
        version = version_of(engine)
    except DBAPIError as error:
        raise DatabaseError(
            f"the database {shown(engine.url)} cannot be read: --force replaces it, whatever is in it"
        ) from error
    if version is None:
        return
    if living := workers.living(engine):
        raise DatabaseError(
            f"{len(living)} workers are alive, e.g. process {living[0].pid} on {living[0].host}: stop them all, "
            "wait a minute, then restore"
        )
    with engine.connect() as connection:
        jobs = connection.execute(select(func.count()).select_from(job)).scalar_one()
    if jobs:
        raise DatabaseError(
            f"the database {shown(engine.url)} holds {jobs} jobs, which would be lost: back it up first, "
            "then --force replaces it"
        )


def hand_out_again(connection: Connection) -> None:
    """Nobody who held something when the rows were copied holds it now, and no queue knows of what waits."""
    past = now(connection)
    for table, waits, held in ((batch, BatchState.WAITING, BatchState.LEASED),
                               (fit, FitState.QUEUED, FitState.RUNNING)):  # fmt: skip
        connection.execute(update(table).where(table.c.state == waits).values(published_at=None))
        connection.execute(update(table).where(table.c.state == held).values(lease_expires_at=past))
    connection.execute(worker.delete())
    connection.execute(session.delete())  # one that was ended since would live again


def _file(engine: Engine) -> Path:
    if not engine.url.database or engine.url.database == ":memory:":
        raise DatabaseError("a database in memory has no backup")
    return Path(engine.url.database)


def _copy(source: Path, target: Path) -> None:
    try:
        with (
            contextlib.closing(sqlite3.connect(source, isolation_level=None)) as old,
            contextlib.closing(sqlite3.connect(target, isolation_level=None)) as new,
        ):
            # A transaction that reads holds one state of the database. Without it the copy begins anew each time that
            # another process writes, and would not end while workers run.
            old.execute("BEGIN")
            old.execute("SELECT count(*) FROM sqlite_master").fetchone()
            old.backup(new, pages=PAGES)
            old.execute("COMMIT")
            new.execute("PRAGMA journal_mode = DELETE")  # one file, with nothing beside it
    except sqlite3.Error as error:
        raise DatabaseError(f"{source} cannot be copied to {target.parent}: {error}") from error


def _check(path: Path) -> str:
    """The version of the database in a file. Raises DatabaseError where it is damaged, or not one of Oddlot's."""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            version = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise DatabaseError(f"{path} is not a backup of Oddlot's database on SQLite: {error}") from error
    if found != "ok" or version is None:
        raise DatabaseError(f"{path} is damaged: {str(found).splitlines()[0]}")
    _refuse_newer(path, version[0])
    return str(version[0])


def _refuse_newer(path: Path, version: str) -> None:
    if version > HEAD:
        raise DatabaseError(f"{path} is of version {version}, newer than {HEAD}: update Oddlot")


def _restore_sqlite(engine: Engine, source: Path) -> str:
    target = _file(engine)
    version = _check(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    with migrate.alone(engine), _appearing(target) as part:
        _copy(source, part)
        _check(part)
        part_engine = make_engine(engine.url.set(database=str(part)).render_as_string())
        try:
            migrate.run(part_engine)  # what cannot be migrated replaces nothing
        finally:
            part_engine.dispose()
        engine.dispose()
        _put_away(target)
    return version


def _put_away(target: Path) -> None:
    """Leave nothing beside the file that SQLite would take for a part of the next one.

    Raises DatabaseError where somebody has it open: what he writes afterwards would be lost.
    """
    if target.exists():
        with contextlib.suppress(sqlite3.DatabaseError):  # damaged: a reason to restore
            refuse_in_use(target)
    for suffix in ("-wal", "-shm", "-journal"):
        Path(f"{target}{suffix}").unlink(missing_ok=True)


def refuse_in_use(path: Path) -> None:
    """Raises DatabaseError where somebody has the file open, sqlite3.DatabaseError where it is no database."""
    with contextlib.closing(sqlite3.connect(path, timeout=1, isolation_level=None)) as connection:
        try:
            connection.execute("PRAGMA journal_mode = DELETE")  # only whoever is alone may do this
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise DatabaseError(f"{path} is in use: stop everything that has it open, then try again") from None
            raise


def _restore_dump(engine: Engine, source: Path) -> str:
    with source.open("rb") as stream:
        if stream.read(16) == b"SQLite format 3\0":
            raise DatabaseError(f"{source} is a backup of an SQLite database, and {shown(engine.url)} is none: bring "
                                f"it into an empty database with `oddlot db move --keep {source}`")  # fmt: skip
    listed = _run("pg_restore", None, "--list", str(source))
    if "TABLE DATA public alembic_version" not in listed:
        raise DatabaseError(f"{source} is not a backup of Oddlot's database on PostgreSQL")
    copied = _run("pg_restore", None, "--data-only", "--table=alembic_version", "--file=-", str(source))
    rows = copied.partition("FROM stdin;\n")[2]
    version = rows.partition("\n")[0].strip()
    _refuse_newer(source, version)
    with writing(engine) as connection:
        # Whatever this version has, and an older backup does not, goes as well.
        drop_views(connection)
        metadata.drop_all(connection)
        connection.exec_driver_sql("DROP TABLE IF EXISTS alembic_version")
    try:
        _run(
            "pg_restore", engine.url, "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges",
            str(source),
        )  # fmt: skip
    except DatabaseError as error:
        raise DatabaseError(f"{error}; the database is empty now: restore again when that is mended") from error
    return version


def _run(program: str, url: URL | None, *arguments: str) -> str:
    """Standard output of a program of PostgreSQL. The password goes through the environment, where `ps` shows none."""
    found = which(program)
    if found is None:
        raise DatabaseError(
            f"{program} is not on the PATH: install PostgreSQL's client programs (Debian: postgresql-client), of the "
            "server's version or a newer one"
        )
    environment = dict(os.environ)
    command = [found, *arguments]
    password = ""
    if url is not None:
        from psycopg.conninfo import make_conninfo

        asked = {name: value if isinstance(value, str) else ",".join(value) for name, value in url.query.items()}
        password = asked.pop("password", "") or str(url.password or "")
        given = {"host": url.host, "port": url.port, "user": url.username, "dbname": url.database}
        address = make_conninfo(**{name: str(value) for name, value in (given | asked).items() if value is not None})
        command += ["--no-password", f"--dbname={address}"]
        if password:
            environment["PGPASSWORD"] = password
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, errors="replace")
    if ran.returncode != 0:
        lines = [line for line in ran.stderr.splitlines() if line.strip()]
        reason = lines[0] if lines else f"status {ran.returncode}"
        raise DatabaseError(f"{program} failed: {reason.replace(password, '***') if password else reason}")
    return ran.stdout


@contextlib.contextmanager
def _appearing(target: Path) -> Iterator[Path]:
    """A name beside `target` to write to, which becomes `target` at the end of the block, or is removed."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o600
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
    except OSError as error:
        raise DatabaseError(f"{target} cannot be written: {error.strerror}") from error
    try:
        yield part
        _flush(part)
        part.replace(target)
        _flush(target.parent)
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            Path(f"{part}{suffix}").unlink(missing_ok=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
