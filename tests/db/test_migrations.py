"""The migrations make exactly the schema that the program uses, on both engines."""

import threading

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from db import migrate
from db.engine import make_engine, open_database, version_of, writing
from db.schema import HEAD, metadata
from oddlot.errors import DatabaseError


def test_migrations_give_the_schema_of_the_program(engine):
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_program_knows_the_newest_migration():
    assert ScriptDirectory("db/migrations").get_heads() == [HEAD]


def test_upgrade_says_from_where_to_where_and_is_harmless_when_repeated(database_url):
    assert migrate.upgrade(database_url) == (None, HEAD)
    assert migrate.upgrade(database_url) == (HEAD, HEAD)


def test_many_processes_may_meet_an_empty_database_at_once(database_url):
    failures = []

    def open_it():
        try:
            open_database(database_url).dispose()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    engine = make_engine(database_url)
    assert version_of(engine) == HEAD
    engine.dispose()


@pytest.mark.parametrize(("version", "advice"), [("0000", "oddlot db upgrade"), ("9999", "newer Oddlot")])
def test_a_database_of_another_version_is_refused_with_what_to_do(engine, database_url, version, advice):
    with writing(engine) as connection:
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{version}'")
    with pytest.raises(DatabaseError, match=f"of version {version}.*{advice}"):
        open_database(database_url)


def test_a_database_from_the_future_is_not_migrated(engine, database_url):
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(DatabaseError, match="newer than"):
        migrate.upgrade(database_url)


def test_what_cannot_be_opened_is_one_line(tmp_path):
    (tmp_path / "broken.db").write_bytes(b"this is no database, but it is long enough to be read as one" * 20)
    urls = [
        f"sqlite:///{tmp_path}/broken.db", f"sqlite:///{tmp_path}", "postgresql://me:geheim@127.0.0.1:9/none",
        "sqlite:////proc/nowhere/oddlot.db", "postgresql://[bad",
    ]  # fmt: skip
    for url in urls:
        with pytest.raises(DatabaseError) as refusal:
            open_database(url)
        assert "\n" not in str(refusal.value)
        assert "geheim" not in str(refusal.value)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cannot_hold_every_file_name_is_refused_with_what_to_do(postgres_server, encoding):
    name = f"in_{encoding.lower()}"
    locale = f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} {locale}")
    url = postgres_server.replace("/postgres?", f"/{name}?")
    for way in (open_database, migrate.upgrade):
        with pytest.raises(DatabaseError, match=rf"/{name} keeps text in {encoding}, not in UTF8: .*CREATE DATABASE"):
            way(url)
