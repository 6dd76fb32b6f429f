"""One PC grows up: its SQLite file into PostgreSQL, its queue into Redis, and not a result is lost on the way."""

import contextlib
import shutil
import sqlite3

import psycopg
import pytest

from db import batches, workers
from db.engine import open_database
from oddlot.settings import load_settings


@pytest.fixture
def plant(inspected, drawn):
    """A PC in use: a night inspected and judged, a schedule, and a job in work of which one batch is in dead hands."""
    inspected.environ["ODDLOT_BATCH_SIZE"] = "8"
    item = inspected.json("results", "--job", "1")[0]["item"]
    inspected.run("verdict", item, "defect", "--note", "Kratzer über Ø 5")
    inspected.run("nightly", "add", "flange", drawn / "tonight", "--at", "02:00", "--line", "press-3")
    inspected.json("submit", "flange", drawn / "tonight", "--lot", "second")
    engine = open_database(load_settings(inspected.environ).database_url)
    assert batches.claim_batch(engine, 2, 1, "gone", 3600.0) is not None
    engine.dispose()
    return inspected


def told(oddlot) -> list:
    """What the commands tell of all that was done, without what depends on the time of asking."""
    nightly = [{k: v for k, v in row.items() if "next" not in k} for row in oddlot.json("nightly", "list")]
    kept = ("job", "model", "version", "lot", "line", "state", "night", "listed", "scored", "flagged", "unreadable",
            "unaccounted", "created_at", "finished_at", "source", "waiting_batches")  # fmt: skip
    jobs = [{name: row[name] for name in kept} for row in oddlot.json("jobs")]
    results = [oddlot.json("results", "--job", number) for number in ("1", "2")]
    return [oddlot.json("models"), jobs, results, oddlot.json("flagged", "--job", "1"), nightly]


def results(oddlot, environ=None) -> list:
    mine, oddlot.environ = oddlot.environ, environ or oddlot.environ
    try:
        return oddlot.json("results", "--model", "flange")
    finally:
        oddlot.environ = mine


def grown_up(oddlot, postgres_url, redis_url) -> None:
    oddlot.environ |= {"ODDLOT_DATABASE_URL": postgres_url, "ODDLOT_BROKER_URL": redis_url}


def test_everything_arrives_and_work_goes_on_where_it_was(plant, drawn, postgres_url, redis_url):
    file = plant.home / "oddlot.db"
    before = told(plant)
    grown_up(plant, postgres_url, redis_url)
    said = plant.run("db", "move", file)
    assert "rows moved and compared" in said
    assert str(plant.home / "models") in said
    assert told(plant) == before
    worker = plant.start("worker", "--concurrency", "1")
    try:
        done = plant.json("job", "2", "--watch")
        assert (done["state"], done["listed"], done["scored"], done["unaccounted"]) == ("done", 24, 24, 0)
        new = plant.json("submit", "flange", drawn / "tonight", "--wait")
        assert (new["job"], new["scored"]) == (3, 24)
    finally:
        worker.terminate()
        worker.communicate(timeout=60)
    scores = [{row["path"]: row["raw_score"] for row in plant.json("results", "--job", job)} for job in ("2", "3")]
    assert scores[0] == scores[1]
    del plant.environ["ODDLOT_DATABASE_URL"]
    assert "was moved: set ODDLOT_DATABASE_URL to where it is now" in plant.run("jobs", status=1)
    assert "was moved" in plant.run("db", "upgrade", status=1)
    plant.run("db", "move", "--undo", file)
    assert [row["job"] for row in plant.json("jobs")] == [2, 1]


def test_a_file_that_is_kept_or_was_marked_by_a_move_that_was_killed_moves_as_well(plant, postgres_url, redis_url):
    file = plant.home / "oddlot.db"
    before = results(plant)
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'moved:' || version_num")
    assert "if the move was killed, do it again" in plant.run("jobs", status=1)
    grown_up(plant, postgres_url, redis_url)
    plant.run("db", "move", "--keep", file)
    assert results(plant) == before
    del plant.environ["ODDLOT_DATABASE_URL"], plant.environ["ODDLOT_BROKER_URL"]
    assert results(plant) == before
    with contextlib.closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_what_cannot_be_moved_is_refused_with_nothing_changed(plant, tmp_path, postgres_url, redis_url):
    file = plant.home / "oddlot.db"
    before = results(plant)
    assert "must name the PostgreSQL database" in plant.run("db", "move", file, status=1)
    beside = plant.environ.copy()
    grown_up(plant, postgres_url, redis_url)

    def refused(source=file) -> str:
        error = plant.run("db", "move", source, status=1)
        *tables, line = error.strip().splitlines()
        assert all(table.endswith(" rows") for table in tables), error
        return line

    assert "is not a file" in refused(tmp_path / "missing.db")
    (tmp_path / "rubbish.db").write_bytes(b"this is no database" * 500)
    assert "cannot be read: file is not a database" in refused(tmp_path / "rubbish.db")
    shutil.copy(file, tmp_path / "old.db")
    with contextlib.closing(sqlite3.connect(tmp_path / "old.db", isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    assert "oddlot db upgrade" in refused(tmp_path / "old.db")
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("SELECT count(*) FROM job").fetchone()
        assert "is in use: stop everything" in refused()
    engine = open_database(f"sqlite:///{file}")
    workers.beat(engine, "press-pc", "press-pc", 4711, workers.SUPERVISOR, progress=False, silent_seconds=600)
    engine.dispose()
    assert "process 4711 on press-pc: stop them all" in refused()
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("DELETE FROM worker")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        # As if a disk were full in the middle of it.
        connection.execute("ALTER TABLE verdict ADD CONSTRAINT none CHECK (note IS NULL)")
        assert "nothing was changed" in refused()
        connection.execute("ALTER TABLE verdict DROP CONSTRAINT none")
    assert plant.json("models") == []
    assert results(plant, beside) == before
    plant.run("db", "move", file)
    assert "already: move into an empty one" in refused()
    plant.environ = beside
    assert "was moved" in plant.run("jobs", status=1)
