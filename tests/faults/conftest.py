"""The two plants, made once; each test takes one up where the last one left it."""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from plant import Plant, draw_pictures, eventually, train_bundle


@pytest.fixture(scope="session")
def model_store(tmp_path_factory) -> tuple[Path, str]:
    """A model store with the bundle `flange/1`, and the bundle's hash."""
    folder = tmp_path_factory.mktemp("store")
    return folder, train_bundle(folder / "flange" / "1")


@pytest.fixture(scope="session")
def pictures(request, tmp_path_factory) -> Path:
    """Thousands where the tests were asked for that take long, else hundreds; FAULT_PICTURES sets another number."""
    many = any(item.get_closest_marker("faults") for item in request.session.items)
    folder = tmp_path_factory.mktemp("lot") / "night"
    count = int(os.environ.get("FAULT_PICTURES", 2000 if many else 400))
    draw_pictures(folder, count, count // 50)
    return folder


def running(kind: str, tmp_path_factory, model_store, pictures) -> Iterator[Plant]:
    made = Plant(tmp_path_factory.mktemp(kind), *model_store, pictures, many_hosts=kind == "postgresql")
    try:
        made.start_worker()
        job = made.submit()
        eventually(lambda: made.job(job.id).finished_at, f"the undisturbed run does not end: {made.log_text()}")
        made.expected = made.results(job.id)
        made.check(job.id)
        scored = [score for state, score, _, _ in made.expected.values() if state == "scored"]
        assert len(set(scored)) > 0.9 * len(made.expected), "pictures whose scores are alike would prove nothing"
        yield made
        made.stop_worker()
        made.check_no_orphan()
    finally:
        made.close()


@pytest.fixture(scope="session")
def sqlite_plant(tmp_path_factory, model_store, pictures) -> Iterator[Plant]:
    """SQLite and the embedded queue."""
    yield from running("sqlite", tmp_path_factory, model_store, pictures)


@pytest.fixture(scope="session")
def postgresql_plant(tmp_path_factory, model_store, pictures) -> Iterator[Plant]:
    """PostgreSQL and a Redis-protocol server on TCP."""
    yield from running("postgresql", tmp_path_factory, model_store, pictures)


@pytest.fixture(params=["sqlite", "postgresql"])
def plant(request) -> Plant:
    made: Plant = request.getfixturevalue(f"{request.param}_plant")
    made.begin()
    return made


@pytest.fixture
def chance() -> random.Random:
    """The moments at which something is killed; pytest shows the seed of a test that fails."""
    seed = time.time_ns() % 10**9
    print(f"seed of the moments: {seed}")  # noqa: T201
    return random.Random(seed)
