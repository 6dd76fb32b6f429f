"""A backup that is made while workers write is the database of one moment, and a restore goes on from there."""

import contextlib
import os
import sqlite3
from functools import partial
from pathlib import Path

import polling
import psycopg
import pytest
from oddlot_program import Oddlot

from db import workers
from db.engine import open_database
from oddlot.settings import load_settings

DEADLINE = 180.0


eventually = partial(polling.eventually, seconds=DEADLINE)


@pytest.fixture
def on_sqlite(oddlot):
    return oddlot


@pytest.fixture
def on_postgresql(oddlot, postgres_url, postgres_server, tmp_path):
    """The same model in a PostgreSQL database, and the programs of that server on the PATH."""
    oddlot.run("models", "export", "flange", tmp_path / "flange.oddlot")
    with psycopg.connect(postgres_server) as connection:
        (folder,) = connection.execute("SHOW data_directory").fetchone()
    server = int((Path(folder) / "postmaster.pid").read_text().splitlines()[0])
    programs = Path(f"/proc/{server}/exe").resolve().parent
    oddlot.environ |= {"ODDLOT_DATABASE_URL": postgres_url, "PATH": f"{programs}:{oddlot.environ['PATH']}"}
    oddlot.run("models", "import", tmp_path / "flange.oddlot")
    return oddlot


@pytest.fixture(params=["on_sqlite", "on_postgresql"])
def home(request):
    return request.getfixturevalue(request.param)


@contextlib.contextmanager
def worker(oddlot):
    process = oddlot.start("worker", "--concurrency", "1")
    try:
        yield
    finally:
        process.terminate()
        _, log = process.communicate(timeout=60)
    assert process.returncode == 0, log


def scores(oddlot) -> dict[str, tuple]:
    rows = oddlot.json("results", "--job", "1")
    found = {row["path"]: (row["state"], row["raw_score"], row["flagged"]) for row in rows}
    assert len(found) == len(rows)
    return found


def test_work_goes_on_from_a_backup_that_was_made_while_a_worker_wrote(home, drawn, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(12):
        for original in (drawn / "tonight").iterdir():
            os.link(original, folder / f"{i}-{original.name}")
    home.environ |= {"ODDLOT_BATCH_SIZE": "8", "ODDLOT_HOLD": "false"}  # a night of copies
    home.json("submit", "flange", folder)
    copy = tmp_path / "copy"
    with worker(home):
        eventually(lambda: home.json("job", "1")["scored"], "nothing is scored")
        home.run("db", "backup", copy)
        done = home.json("job", "1", "--watch")
    undisturbed = scores(home)
    assert (done["state"], done["scored"], len(undisturbed)) == ("done", 288, 288)
    assert "holds 1 jobs" in home.run("db", "restore", copy, status=1)
    assert "is that of" in home.run("db", "restore", copy, "--force")
    then = home.json("job", "1")
    assert then["state"] == "running"
    assert 0 < then["scored"] < 288 == then["listed"]
    before = scores(home)
    assert all(undisturbed[path] == row for path, row in before.items() if row[0] == "scored")
    with worker(home):
        again = home.json("job", "1", "--watch")
    assert (again["state"], again["scored"], again["unaccounted"]) == ("done", 288, 0)
    assert scores(home) == undisturbed
    assert [path.name for path in tmp_path.iterdir() if ".part" in path.name] == []


def test_a_backup_replaces_no_file_unasked(home, tmp_path):
    copy = tmp_path / "copy"
    copy.write_text("precious")
    assert "exists" in home.run("db", "backup", copy, status=1)
    assert copy.read_text() == "precious"
    assert str(home.home / "models") in home.run("db", "backup", copy, "--force")
    home.run("db", "restore", copy)
    assert [row["model"] for row in home.json("models")] == ["flange"]


@pytest.mark.parametrize("target", ["", "/", ".."])
def test_a_backup_never_takes_the_place_of_a_folder(home, target):
    assert "is not a file" in home.run("db", "backup", target, "--force", status=1)


def test_what_is_no_backup_restores_nothing(home, drawn, tmp_path):
    home.json("submit", "flange", drawn / "tonight")
    (tmp_path / "other").write_bytes(b"this is no database, but it is long enough to be read as one" * 20)
    for file in (tmp_path / "other", tmp_path / "missing"):
        error = home.run("db", "restore", file, "--force", status=1)
        assert len(error.strip().splitlines()) == 1
    assert home.json("job", "1")["listed"] == 24


def test_nothing_is_restored_under_living_workers(home, tmp_path):
    home.run("db", "backup", tmp_path / "copy")
    engine = open_database(load_settings(home.environ).database_url)
    workers.beat(engine, "press-pc", "press-pc", 4711, workers.SUPERVISOR, progress=False, silent_seconds=600)
    engine.dispose()
    assert "1 workers are alive, e.g. process 4711 on press-pc" in home.run(
        "db", "restore", tmp_path / "copy", status=1
    )
    home.run("db", "restore", tmp_path / "copy", "--force")


def test_a_database_that_is_open_elsewhere_is_not_replaced(oddlot, drawn, tmp_path):
    oddlot.run("db", "backup", tmp_path / "copy")
    oddlot.json("submit", "flange", drawn / "tonight")
    with contextlib.closing(sqlite3.connect(oddlot.home / "oddlot.db")) as connection:
        connection.execute("SELECT count(*) FROM job").fetchone()
        assert "is in use" in oddlot.run("db", "restore", tmp_path / "copy", "--force", status=1)
        assert connection.execute("SELECT count(*) FROM item").fetchone() == (24,)
    oddlot.run("db", "restore", tmp_path / "copy", "--force")
    assert oddlot.json("jobs") == []


def test_a_destroyed_database_is_replaced(oddlot, tmp_path):
    oddlot.run("db", "backup", tmp_path / "copy")
    (oddlot.home / "oddlot.db").write_bytes(b"a disk that has gone bad" * 1000)
    assert "--force replaces it" in oddlot.run("db", "restore", tmp_path / "copy", status=1)
    oddlot.run("db", "restore", tmp_path / "copy", "--force")
    assert [row["model"] for row in oddlot.json("models")] == ["flange"]


def test_a_backup_of_a_newer_version_is_refused(oddlot, tmp_path):
    oddlot.run("db", "backup", tmp_path / "copy")
    with contextlib.closing(sqlite3.connect(tmp_path / "copy", isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    assert "newer than" in oddlot.run("db", "restore", tmp_path / "copy", "--force", status=1)


def test_a_database_of_the_version_before_is_still_backed_up(oddlot, tmp_path):
    """The new version was installed first. To upgrade is not taken back, so the copy must be possible before it."""
    copy, before = tmp_path / "copy", "0011"
    with contextlib.closing(sqlite3.connect(oddlot.home / "oddlot.db", isolation_level=None)) as connection:
        connection.execute("ALTER TABLE job DROP COLUMN told_at")
        connection.execute(f"UPDATE alembic_version SET version_num = '{before}'")
    assert f"is of version {before}" in oddlot.run("jobs", status=1)
    oddlot.run("db", "backup", copy)
    oddlot.run("db", "upgrade")
    assert f"brought from version {before}" in oddlot.run("db", "restore", copy, "--force")
    assert [row["model"] for row in oddlot.json("models")] == ["flange"]


def test_a_backup_of_sqlite_goes_to_postgresql_by_a_move(on_postgresql, oddlot, tmp_path):
    other = Oddlot(oddlot.home)
    other.run("db", "backup", tmp_path / "copy")
    said = on_postgresql.run("db", "restore", tmp_path / "copy", "--force", status=1)
    assert f"`oddlot db move --keep {tmp_path}/copy`" in said


def test_the_password_is_on_no_command_line_and_in_no_message(on_postgresql, postgres_url, tmp_path):
    seen = tmp_path / "seen"
    program = tmp_path / "bin" / "pg_dump"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" > {seen}\necho "$PGPASSWORD" >> {seen}\necho "no: geheim" >&2\nexit 1\n')
    program.chmod(0o755)
    on_postgresql.environ |= {
        "ODDLOT_DATABASE_URL": postgres_url.replace("postgres:@", "postgres:geheim@"),
        "PATH": f"{program.parent}:{os.environ['PATH']}",
    }
    error = on_postgresql.run("db", "backup", tmp_path / "copy", status=1)
    arguments, password = seen.read_text().splitlines()
    assert ("geheim" in arguments, password) == (False, "geheim")
    assert "no: ***" in error
    assert len(error.strip().splitlines()) == 1
    program.unlink()
    on_postgresql.environ["PATH"] = str(program.parent)
    assert "pg_dump is not on the PATH: install" in on_postgresql.run("db", "backup", tmp_path / "copy", status=1)
    assert not (tmp_path / "copy").exists()
