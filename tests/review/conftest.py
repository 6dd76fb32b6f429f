"""A morning, made once; each test gets a home of its own with it, and a page over that."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from morning import Home, make_morning
from page_server import serving
from people import make_people
from sqlalchemy import Engine

from db.accounts import Account
from db.engine import open_database
from oddlot.settings import load_settings
from oddlot.words import Role


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("morning")
    settings = load_settings({"ODDLOT_HOME": str(folder / "home")})
    engine = open_database(settings.database_url)
    made = make_morning(engine, settings, folder / "pictures")
    engine.dispose()
    return Home(settings, made)


@pytest.fixture
def home(template: Home, tmp_path: Path) -> Home:
    """The morning in a home that the test may change; the pictures themselves are shared."""
    shutil.copytree(template.settings.home, tmp_path / "home")
    return Home(load_settings({"ODDLOT_HOME": str(tmp_path / "home")}), template.jobs)


@pytest.fixture
def morning_engine(home: Home) -> Iterator[Engine]:
    engine = open_database(home.settings.database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def server(home: Home) -> Iterator[str]:
    """The page without a password, as this machine sees it; its address."""
    with serving(home.settings) as address:
        yield address


@pytest.fixture
def people(morning_engine: Engine) -> dict[Role, Account]:
    """A user of each role."""
    return make_people(morning_engine)


@pytest.fixture
def manned(home: Home, people: dict[Role, Account]) -> Iterator[str]:
    """The page with a user of each role; its address."""
    with serving(home.settings) as address:
        yield address


@pytest.fixture
def locked(home: Home) -> Iterator[httpx.Client]:
    """The page behind the password `open sesame`."""
    with (
        serving(replace(home.settings, review_password="open sesame")) as address,
        httpx.Client(base_url=address, timeout=60) as opened,
    ):
        yield opened


@pytest.fixture
def client(server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server, timeout=60) as opened:
        yield opened
