"""A database that an earlier version has filled keeps every row when it is upgraded, and the commands work on it.

The rows are written in plain SQL, as that version would have: a new migration adds its own below.
"""

import json
import os
from contextlib import contextmanager

import forked
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from db import migrate
from db.engine import make_engine
from db.schema import HEAD
from oddlot.errors import DatabaseError

MOMENT = "'2026-01-31 22:30:00+00:00'"
SHA = "'" + "a" * 64 + "'"

FIRST = [
    "INSERT INTO model (id, name, version, state, architecture, bundle_uri, bundle_sha256, threshold, false_alarms,"
    " card, created_at, previous_id) VALUES"
    f" (1, 'flange', 1, 'retired', 'paper', 'flange/1', {SHA}, 0.25, 0.01, '{{}}',"
    f" {MOMENT}, NULL), (2, 'flange', 2, 'active', 'paper', 'flange/2', {SHA}, 0.5, 0.01, '{{}}', {MOMENT}, 1)",
    *(
        "INSERT INTO job (id, model_id, source, line, lot, key, priority, recursive, glob, only_new, state, night,"
        " submitter, listing_at, listed_at, found, seen_before, left_out, deferred, listed, scored, flagged,"
        " unreadable, quarantined, cancelled, validity, error, created_at, started_at, finished_at) VALUES"
        f" ({number}, 2, '/data/lot', 'press 3', 'lot', '{key}', 5, true, NULL, false, '{state}', '2026-01-31', 'gone',"
        f" {MOMENT}, {MOMENT}, 3, 0, '{{\"hidden\": 1}}', '[]', 3, {scored}, {flagged}, {unreadable}, 0, 0, NULL, NULL,"
        f" {MOMENT}, {MOMENT}, {finished})"
        for number, key, state, scored, flagged, unreadable, finished in (
            (1, "monday", "done", 2, 1, 1, MOMENT), (2, "tuesday", "running", 0, 0, 0, "NULL")
        )
    ),
    "INSERT INTO batch (id, job_id, number, state, attempts, fencing, owner, lease_expires_at, waiting_since,"
    " published_at, error, host, code_version, finished_at) VALUES"
    f" (1, 1, 1, 'done', 1, 1, NULL, NULL, {MOMENT}, {MOMENT}, NULL, 'press-pc', '0.1.0', {MOMENT}),"
    f" (2, 2, 1, 'leased', 1, 1, 'elsewhere|x|1|1', {MOMENT}, {MOMENT}, {MOMENT}, NULL, NULL, NULL, NULL),"
    f" (3, 2, 2, 'waiting', 2, 2, NULL, NULL, {MOMENT}, NULL, 'no memory', NULL, NULL, NULL)",
    "INSERT INTO item (id, job_id, batch_id, path, size, mtime_ns, sha256, state, error, note) VALUES"
    f" (1, 1, 1, '/data/lot/a.png', 10, 1, {SHA}, 'scored', NULL, NULL),"
    f" (2, 1, 1, '/data/lot/b.png', 10, 1, {SHA}, 'scored', NULL, 'first page'),"
    f" (3, 1, 1, 'bytes:/data/lot/%E9.png', 10, 1, {SHA}, 'unreadable', 'the file is empty', NULL),"
    " (4, 2, 2, '/data/lot/a.png', 10, 1, NULL, 'waiting', NULL, NULL),"
    " (5, 2, 2, '/data/lot/b.png', 10, 1, NULL, 'waiting', NULL, NULL),"
    " (6, 2, 3, '/data/lot/c.png', 10, 1, NULL, 'waiting', NULL, NULL)",
    "INSERT INTO result (item_id, job_id, model_id, raw_score, score, p_value, flagged, parts, map_uri, scored_at,"
    " night, line) VALUES"
    f" (1, 1, 2, 0.9, 0.8, 0.01, true, '{{\"latent\": 0.9}}', 'job-1/1.png', {MOMENT}, '2026-01-31',"
    f" 'press 3'), (2, 1, 2, 0.1, 0.2, 0.7, false, '{{\"latent\": 0.1}}', NULL, {MOMENT}, '2026-01-31', 'press 3')",
    "INSERT INTO verdict (id, item_id, verdict, kind, note, reviewer, at) VALUES"
    f" (1, 1, 'defect', 'scratch', 'deep', 'ann', {MOMENT})",
    "INSERT INTO schedule (id, name, model_name, folder, line, at, time_zone, only_new, paused, created_at) VALUES"
    f" (1, 'nightly', 'flange', '/data/lot', NULL, '02:00', 'Europe/Berlin', true, false, {MOMENT})",
    "INSERT INTO schedule_run (id, schedule_id, due_at, job_id, started_at) VALUES"
    f" (1, 1, {MOMENT}, 1, {MOMENT})",
    "INSERT INTO fit (id, name, options, state, attempts, fencing, owner, lease_expires_at, published_at, model_id,"
    f" error, created_at, finished_at) VALUES (1, 'flange', '{{}}', 'done', 1, 1, NULL, NULL, {MOMENT}, 2, NULL,"
    f" {MOMENT}, {MOMENT})",
    "INSERT INTO worker (name, host, pid, kind, started_at, seen_at, alive_until, progress_at) VALUES"
    f" ('gone', 'press-pc', 1, 'supervisor', {MOMENT}, {MOMENT}, {MOMENT}, NULL)",
]  # fmt: skip

SECOND = [
    *FIRST,
    f"INSERT INTO worker_restart (id, host, pid, reason, at) VALUES (1, 'press-pc', 1, 'idle', {MOMENT})",
]

THIRD = [
    *(statement for statement in SECOND if "INTO schedule" not in statement),
    "INSERT INTO schedule (id, name, model_name, folder, line, at, time_zone, only_new, keep_days, paused,"
    " active_since, created_at) VALUES (1, 'nightly', 'flange', '/data/{yesterday:%Y-%m-%d}', NULL, '02:00',"
    f" 'Europe/Berlin', true, 90, false, {MOMENT}, {MOMENT})",
    "INSERT INTO schedule_run (id, schedule_id, due_at, job_id, owner, started_at, error, missed) VALUES"
    f" (1, 1, {MOMENT}, 1, 'press-pc|x|1|1', {MOMENT}, NULL, 2)",
]

FOURTH = [
    *THIRD,
    f"UPDATE job SET pruned_at = {MOMENT} WHERE id = 2",
    "UPDATE batch SET look = '{}' WHERE id = 1",
    "INSERT INTO audit (item_id, job_id, share) VALUES (2, 1, 0.5)",
    "INSERT INTO delivery (id, job_id, kind, target, attempts, owner, next_at, error, created_at, delivered_at) VALUES"
    f" (1, 1, 'folder', '/srv/reports', 1, NULL, NULL, NULL, {MOMENT}, {MOMENT})",
]

FIFTH = [*FOURTH, "UPDATE job SET pruning = false WHERE id = 2"]

SIXTH = [*FIFTH, "UPDATE result SET verdict = 'defect' WHERE item_id = 1"]

SEVENTH = [
    *SIXTH,
    "INSERT INTO account (id, name, key, password_hash, role, active, created_at) VALUES"
    f" (1, 'Ann', 'ann', '$argon2id$', 'admin', true, {MOMENT})",
    "INSERT INTO token (id, name, role, account_id, sha256, created_at, expires_at, used_at, revoked_at) VALUES"
    f" (1, 'mes', 'viewer', 1, {SHA}, {MOMENT}, {MOMENT}, NULL, NULL)",
    f"INSERT INTO session (sha256, account_id, created_at, ends_at) VALUES ({SHA}, 1, {MOMENT}, {MOMENT})",
    f"INSERT INTO sign_in (id, key, address, at) VALUES (1, 'ann', '127.0.0.1', {MOMENT})",
    "INSERT INTO audit_log (id, at, who, via, action, what, detail) VALUES"
    f" (1, {MOMENT}, 'ann', 'cli', 'job submitted', 'job 1', NULL)",
]

EIGHTH = [
    *SEVENTH,
    "INSERT INTO tally (id, model_id, line, batches, scored, flagged, unreadable, quarantined, cancelled,"
    " loading_seconds, reading_seconds, scoring_seconds, writing_seconds) VALUES"
    " (1, 2, 'press 3', 1, 2, 1, 1, 0, 0, 0.5, 1.5, 2.5, 0.25)",
]

NINTH = [*EIGHTH, "UPDATE item SET etag = '9b2cf535f27731c974343645a3985328' WHERE id = 4"]

TENTH = [
    *NINTH,
    "INSERT INTO line_quota (line, batches, items_per_day) VALUES ('press 3', 4, NULL)",
    "UPDATE job SET passed_over = 2 WHERE id = 2",
]

ELEVENTH = [*TENTH, "UPDATE batch SET scored_on = 'OpenVINO 2026.1.0, float32, EPYC' WHERE id = 1"]

TWELFTH = [*ELEVENTH, "UPDATE job SET told_at = '2026-11-20 02:00:01.000002' WHERE id = 2"]

ROWS = {
    "0001": FIRST, "0002": SECOND, "0003": THIRD, "0004": FOURTH, "0005": FIFTH, "0006": SIXTH, "0007": SEVENTH,
    "0008": EIGHTH, "0009": NINTH, "0010": TENTH, "0011": ELEVENTH, "0012": TWELFTH,
}  # fmt: skip
"""What each revision may hold."""


@contextmanager
def engine_of(url):
    engine = make_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def filled(url, revision):
    """A database at an earlier revision with all of its rows."""
    with engine_of(url) as engine, migrate.migrating(engine) as connection:
        config = Config()
        config.set_main_option("script_location", "db/migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        for statement in ROWS[revision]:
            connection.execute(sa.text(statement.replace(":", "\\:")))
        if connection.dialect.name == "postgresql":  # rows that come with their numbers leave the counters behind
            for table in sa.inspect(connection).get_table_names():
                if "id" in [column["name"] for column in sa.inspect(connection).get_columns(table)]:
                    connection.exec_driver_sql(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), 100)")


def contents(url) -> dict[str, list[dict]]:
    """All rows of all tables, as the database itself sees them."""
    with engine_of(url) as engine, engine.connect() as connection:
        tables = sa.MetaData()
        tables.reflect(connection)
        return {
            name: [dict(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key)).mappings()]
            for name, table in tables.tables.items()
            if name != "alembic_version"
        }


def oddlot(url, home, *arguments):
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ODDLOT_")}
    return forked.run(arguments, environ | {"ODDLOT_HOME": str(home), "ODDLOT_DATABASE_URL": url}, 120.0)


def test_every_revision_is_tried():
    revisions = {script.revision for script in ScriptDirectory("db/migrations").walk_revisions()}
    assert set(ROWS) == revisions


@pytest.mark.parametrize("revision", ROWS)
def test_an_upgrade_keeps_every_row(database_url, revision, tmp_path):
    filled(database_url, revision)
    before = contents(database_url)
    assert all(before.values()), "a table without rows proves nothing"
    old = oddlot(database_url, tmp_path, "jobs")
    if revision != HEAD:
        assert (old.status, len(old.err.strip().splitlines())) == (1, 1)
        assert "oddlot db upgrade" in old.err
    upgrade = oddlot(database_url, tmp_path, "db", "upgrade")
    assert upgrade.status == 0, upgrade.err
    after = contents(database_url)
    for table, rows in before.items():
        kept = [{name: row[name] for name in rows[0]} for row in after[table]]
        assert kept == rows
    (tally,) = after["tally"]
    assert [tally[name] for name in ("line", "batches", "scored", "flagged", "unreadable")] == ["press 3", 1, 2, 1, 1]


@pytest.mark.parametrize("revision", [min(ROWS), max(set(ROWS) - {HEAD})])
def test_the_commands_work_on_the_rows_of_an_earlier_version(database_url, revision, tmp_path):
    """Of the first version and of the last one: all end in the same schema, with the rows that are tried above."""
    filled(database_url, revision)
    upgrade = oddlot(database_url, tmp_path, "db", "upgrade")
    assert upgrade.status == 0, upgrade.err

    def read(*arguments):
        ran = oddlot(database_url, tmp_path, *arguments, "--json")
        assert ran.status == 0, ran.err
        return json.loads(ran.out)

    assert [(job["job"], job["state"], job["unaccounted"]) for job in read("jobs")] == [
        (2, "running", 3),
        (1, "done", 0),
    ]
    assert [row["state"] for row in read("results", "--job", "1")] == ["scored", "scored", "unreadable"]
    assert [row["path"] for row in read("flagged")] == ["/data/lot/a.png"]
    assert [row["path"] for row in read("flagged", "--verdict", "defect")] == ["/data/lot/a.png"]
    assert read("flagged", "--unreviewed") == []
    assert [(row["version"], row["state"]) for row in read("models")] == [(1, "retired"), (2, "active")]
    assert read("models", "rollback", "flange")["version"] == 1
    assert read("cancel", "2")["cancelled"] == 1  # the other two are in somebody's hands
    assert read("retry", "1")["put_back"] == 1


def test_a_table_that_others_refer_to_is_changed_without_losing_their_rows(database_url):
    """SQLite alters a table by copying it: with foreign keys on, dropping the old one empties all that refer to it."""
    filled(database_url, HEAD)
    before = contents(database_url)
    with engine_of(database_url) as engine, migrate.migrating(engine) as connection:
        operations = Operations(MigrationContext.configure(connection))
        with operations.batch_alter_table("job", recreate="auto") as table:
            table.alter_column("lot", existing_type=sa.Text(), nullable=True)
            table.add_column(sa.Column("shift", sa.Text(), nullable=True))
    after = contents(database_url)
    assert [row.pop("shift") for row in after["job"]] == [None, None]
    assert after == before


def test_a_migration_that_leaves_rows_without_what_they_refer_to_changes_nothing(tmp_path):
    url = f"sqlite:///{tmp_path}/oddlot.db"
    filled(url, HEAD)
    before = contents(url)
    with (
        engine_of(url) as engine,
        pytest.raises(DatabaseError, match="nothing was changed"),
        migrate.migrating(engine) as connection,
    ):
        connection.exec_driver_sql("DELETE FROM model")
    assert contents(url) == before


def test_a_newer_database_is_refused_by_every_command_in_one_line(database_url, tmp_path):
    filled(database_url, HEAD)
    with engine_of(database_url) as engine, migrate.migrating(engine) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    before = contents(database_url)
    for arguments in (
        ("jobs",),
        ("results",),
        ("db", "upgrade"),
        ("worker",),
        ("db", "backup", str(tmp_path / "copy")),
    ):
        ran = oddlot(database_url, tmp_path / "home", *arguments)
        assert (ran.status, len(ran.err.strip().splitlines())) == (1, 1), ran.err
        assert "9999" in ran.err
        assert "newer" in ran.err
    assert contents(database_url) == before
