"""The views say what counting by hand says, on both engines, and stand aside when tables are changed."""

import datetime as dt
import random
import sqlite3
from collections import defaultdict
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from making import claimed, files, finish, open_job, scored

from db import batches, endings, listing, migrate, verdicts
from db.batches import Outcome
from db.engine import make_engine, reading, writing
from db.nightly_summary import COUNTS, list_nights
from db.results import ResultFilter, iter_results
from db.schema import job, result
from db.views import VIEWS
from oddlot.errors import DatabaseError
from oddlot.words import ItemState, JobState, Verdict


@pytest.fixture
def nights(engine, register, submit) -> list[int]:
    """Jobs of all kinds: finished, half inspected, cancelled, held, discarded, pruned; some items have verdicts."""
    rng = random.Random(5)
    models = [register(), register(), register("gear")]
    job_ids = []
    for number in range(16):
        model, line = models[number % 3], rng.choice(["press 3", "press 4", None, ""])
        job_id = open_job(engine, model, line=line, lot=f"lot {number}")
        listing.add_items(engine, job_id, files(10), 1, 5)
        row = listing.close_listing(engine, job_id, found=10, seen_before=0, left_out={}, deferred=[])
        for batch in (1, 2):
            if number % 5 == 1 and batch == 2:
                continue  # still open
            claim = claimed(engine, row, batch)
            outcomes = [scored(item, rng.choice([0.1, 0.4, 0.6, 0.9])) for item in claim.items[:-1]]
            outcomes.append(Outcome(claim.items[-1].id, rng.choice([ItemState.UNREADABLE, ItemState.QUARANTINED])))
            finish(engine, claim, outcomes)
            for item in rng.sample([item.id for item in claim.items], 3):
                for _ in range(rng.randint(1, 3)):
                    verdicts.add_verdict(engine, item, rng.choice(list(Verdict)), reviewer="ann", kind=None)
        if number == 6:
            endings.cancel_job(engine, job_id)
        job_ids.append(job_id)
    with writing(engine) as connection:
        for job_id, state in ((job_ids[2], JobState.HELD), (job_ids[3], JobState.DISCARDED)):
            connection.execute(sa.update(job).where(job.c.id == job_id).values(state=state))
        for job_id in job_ids[8:12]:
            connection.execute(sa.update(job).where(job.c.id == job_id).values(night=dt.date(2026, 1, 31)))
        connection.execute(sa.update(job).where(job.c.id == job_ids[4]).values(pruned_at=sa.func.current_timestamp()))
        connection.execute(sa.delete(result).where(result.c.job_id == job_ids[4]))
    return job_ids


def test_the_summary_is_what_counting_by_hand_gives(engine, nights):
    from db.jobs import list_jobs

    expected = defaultdict(lambda: dict.fromkeys(COUNTS, 0))
    for row in list_jobs(engine, limit=100):
        sums = expected[row.night, row.line, row.model_name, row.model_version]
        sums["jobs"] += 1
        for name in ("listed", "scored", "flagged", "unreadable", "quarantined", "cancelled", "unaccounted"):
            sums[name] += getattr(row, name)
        sums["held"] += row.state == JobState.HELD
        sums["discarded"] += row.state == JobState.DISCARDED
        sums["pruned"] += row.pruned_at is not None
        for item in iter_results(engine, ResultFilter(job_id=row.id)):
            sums["reviewed"] += item["verdict"] is not None
            sums["confirmed_defects"] += item["verdict"] == Verdict.DEFECT
    found = list_nights(engine)
    assert {(row["night"], row["line"], row["model"], row["model_version"]): row for row in found} == {
        key: {**dict(zip(("night", "line", "model", "model_version"), key, strict=True)), **sums}
        for key, sums in expected.items()
    }
    assert len(found) == len(expected)
    assert sum(row["unaccounted"] for row in found) > 0
    assert [row["night"] for row in found] == sorted((row["night"] for row in found), reverse=True)
    pages, after = [], None
    while page := list_nights(engine, after=after, limit=2):
        pages += page
        after = tuple(page[-1][name] for name in ("night", "line", "model", "model_version"))
    assert pages == found


def test_flagged_items_are_those_of_oddlot_flagged(engine, nights):
    expected = {row["item"]: row for row in iter_results(engine, ResultFilter(flagged_only=True))}
    with reading(engine) as connection:
        rows = connection.exec_driver_sql("SELECT * FROM flagged_items").mappings().all()
    assert len(rows) == len(expected) > 30
    for row in rows:
        known = expected[row["item_id"]]
        same = {"job_id": "job", "job_state": "job_state", "path": "path", "line": "line", "lot": "lot",
                "model": "model", "model_version": "version", "raw_score": "raw_score", "score": "score",
                "p_value": "p_value", "sha256": "sha256", "verdict": "verdict"}  # fmt: skip
        assert {name: row[name] for name in same} == {name: known[other] for name, other in same.items()}
        assert str(row["night"]) == str(known["night"])
        assert (row["reviewer"] == "ann") == (known["verdict"] is not None)


def test_documented_columns_are_those_that_there_are(engine):
    documented = Path("docs/queries.md").read_text(encoding="utf-8")
    for name in VIEWS:
        section = documented.partition(f"### `{name}`")[2].partition("\n#")[0]
        rows = [line.split("|")[1].strip(" `") for line in section.splitlines() if line.startswith("| `")]
        with reading(engine) as connection:
            assert rows == list(connection.exec_driver_sql(f"SELECT * FROM {name}").keys())


def test_a_reader_who_may_only_read_sees_them_and_changes_nothing(database_url, engine, nights):
    if engine.dialect.name == "sqlite":
        path = engine.url.database
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            assert connection.execute("SELECT count(*) FROM flagged_items").fetchone()[0] > 0
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                connection.execute("DELETE FROM verdict")
        connection.close()
        return
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE ROLE bi LOGIN PASSWORD 'secret'")
        connection.exec_driver_sql("GRANT USAGE ON SCHEMA public TO bi")
        connection.exec_driver_sql("GRANT SELECT ON flagged_items, nightly_summary TO bi")
        connection.exec_driver_sql("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO bi")
    with migrate.migrating(engine):
        pass  # as an upgrade does: the views are made anew, and the reader still sees them
    try:
        with psycopg.connect(database_url.replace("postgresql+psycopg", "postgresql")) as connection:
            connection.execute("SET ROLE bi")
            assert connection.execute("SELECT count(*) FROM flagged_items").fetchone()[0] > 0
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("DELETE FROM verdict")
    finally:
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP OWNED BY bi")
            connection.exec_driver_sql("DROP ROLE bi")


def test_tables_can_be_changed_and_the_views_are_there_again(database_url, engine, nights):
    before = list_nights(engine)
    other = make_engine(database_url)
    with migrate.migrating(other) as connection:
        operations = Operations(MigrationContext.configure(connection))
        for name in ("job", "item", "result", "verdict", "model"):
            with operations.batch_alter_table(name, recreate="auto") as table:
                table.add_column(sa.Column("more", sa.Text(), nullable=True))
    other.dispose()
    engine.dispose()
    assert list_nights(engine) == before


def test_views_of_somebody_elses_that_stand_in_the_way_are_named_in_one_line(database_url, engine):
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite drops a view without asking who looks through it")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE VIEW mine AS SELECT * FROM flagged_items")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0004'")
    with pytest.raises(DatabaseError, match=r"cannot be upgraded: cannot drop view flagged_items"):
        migrate.upgrade(database_url)


def test_unfinished_work_is_counted_as_it_is_now(engine, submit):
    row = submit(8, batch_size=4)
    finish(engine, batches.claim_batch(engine, row.id, 1, "me", 60.0))
    (night,) = list_nights(engine)
    assert (night["listed"], night["scored"], night["unaccounted"]) == (8, 4, 4)
