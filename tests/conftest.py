"""A real PostgreSQL server for the whole run, and a fresh database in it for each test that wants one."""

import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from postgres import postgres_folder, start_postgres
from sqlalchemy import Engine

from db.engine import open_database

if TYPE_CHECKING:
    from object_store import ObjectStore


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a server that this run started, as psycopg takes it."""
    folder = postgres_folder()
    server = start_postgres(folder)
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


_numbers = itertools.count(1)


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield postgres_server.replace("/postgres?", f"/{name}?")
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def object_store_server() -> Iterator["ObjectStore"]:
    from object_store import ObjectStore  # takes a second

    server = ObjectStore()
    yield server
    server.stop()


@pytest.fixture
def object_store(object_store_server: "ObjectStore", monkeypatch: pytest.MonkeyPatch) -> Iterator["ObjectStore"]:
    """A server without faults and with an empty bucket, which the settings of this process and its children name."""
    from oddlot import objects

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in object_store_server.variables.items():
        monkeypatch.setenv(name, value)
    object_store_server.begin(f"plant-{next(_numbers)}")
    yield object_store_server
    objects.close()
    object_store_server.begin(None)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, once on each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/oddlot.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An open database with all tables and no rows, once on each engine."""
    opened = open_database(database_url)
    yield opened
    opened.dispose()
