"""kill -9 of everything while pictures and maps are in an object store: the same record as of a folder."""

import threading
from pathlib import PurePosixPath

import polling
import pytest
from sqlalchemy import select

from db.engine import open_database
from db.jobs import get_job
from db.schema import result

COPIES = 4
KILLED_AT = 30
"""Pictures that have been asked for when everything is killed."""


@pytest.mark.slow
def test_workers_that_are_killed_while_they_read_objects_lose_and_double_nothing(oddlot, drawn, object_store):
    oddlot.environ |= object_store.variables | {
        "ODDLOT_BATCH_SIZE": "8", "ODDLOT_SWEEP_SECONDS": "0.3", "ODDLOT_HOLD": "false", "ODDLOT_AUDIT_ITEMS": "50",
        "ODDLOT_MAX_ATTEMPTS": "20", "ODDLOT_MAP_STORE": f"{object_store.url}/maps",
    }  # fmt: skip
    oddlot.run("inspect", "flange", drawn / "tonight")
    expected = {PurePosixPath(row["path"]).name: row["raw_score"] for row in oddlot.json("results", "--job", "last")}
    for copy in range(COPIES):
        for path in (drawn / "tonight").iterdir():
            object_store.put(f"night/{copy}/{path.name}", path.read_bytes())
    asked, reading = [], threading.Event()

    def noted(method: str, key: str) -> None:
        if method == "GET" and key.startswith("night/"):
            asked.append(key)
            if len(asked) == KILLED_AT:
                reading.set()

    object_store.fault = noted
    job = oddlot.json("submit", "flange", f"{object_store.url}/night")["job"]
    worker = oddlot.start("worker", "--concurrency", "2")
    assert reading.wait(120), "the worker reads nothing"
    oddlot.kill_all()
    worker.communicate()
    worker = oddlot.start("worker", "--concurrency", "2")
    engine = open_database(f"sqlite:///{oddlot.home}/oddlot.db")
    try:
        polling.eventually(lambda: get_job(engine, job).finished_at, "the job is not done", seconds=180)
        with engine.connect() as connection:  # of what is flagged, or drawn for an audit
            named = connection.execute(select(result.c.map_uri).where(result.c.job_id == job)).scalars().all()
    finally:
        engine.dispose()
        worker.terminate()
        worker.communicate(timeout=60)
    rows = oddlot.json("results", "--job", str(job))
    assert sorted(row["path"] for row in rows) == sorted(
        f"{object_store.url}/night/{copy}/{name}" for copy in range(COPIES) for name in expected
    )
    assert [row["raw_score"] for row in rows] == [expected[PurePosixPath(row["path"]).name] for row in rows]
    done = oddlot.json("job", str(job))
    assert (done["state"], done["unaccounted"], done["scored"]) == ("done", 0, COPIES * len(expected))
    assert len(asked) > len(rows), "nobody was killed while it read"
    stored = {one["Key"] for one in object_store.client.list_objects_v2(Bucket=object_store.bucket)["Contents"]}
    maps = {f"maps/{name}" for name in named if name}
    assert maps
    assert maps <= stored
