"""Queries, exports and pruning over a large database: memory of a stream, time of a page, how long others wait.

    python -m bench.old_nights [ROWS]

Rows are made in SQL, without pictures. Prints a table.
"""

import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

from db import models, pruning
from db.engine import now, open_database, writing
from db.nightly_summary import list_nights
from db.results import ResultFilter, iter_results
from db.schema import worker_restart
from oddlot.settings import load_settings
from worker.pruning import prune

JOBS = 20
PEAK = (
    "import resource, sys; sys.argv = ['oddlot', *sys.argv[1:]]\n"
    "from cli.main import main\n"
    "try:\n    main()\n"
    "except SystemExit:\n    pass\n"
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, file=sys.stderr)"
)


def fill(path: Path, rows: int) -> None:
    """Jobs of 200 days ago, one item in twenty flagged."""
    engine = open_database(f"sqlite:///{path}")
    models.register_model(
        engine, name="flange", bundle_uri="flange/1", bundle_sha256="0" * 64, architecture="paper", threshold=0.5,
        false_alarms=0.05, card={},
    )  # fmt: skip
    engine.dispose()
    each, moment = rows // JOBS, "strftime('%Y-%m-%d %H:%M:%f000', 'now', '-200 days')"
    with sqlite3.connect(path) as connection:
        connection.execute(
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {JOBS}) INSERT INTO job (id,"
            " model_id, source, lot, priority, recursive, only_new, state, night, submitter, listing_at, listed_at,"
            " found, seen_before, left_out, deferred, listed, scored, flagged, unreadable, quarantined, cancelled,"
            " created_at, started_at, finished_at, first_item, last_item)"
            f" SELECT i, 1, '/data/lot', 'lot', 5, 1, 0, 'done', date('now', '-200 days', '+' || i || ' days'), 'x',"
            f" {moment}, {moment}, {each}, 0, '{{}}', '[]', {each}, {each}, {each // 20}, 0, 0, 0, {moment}, {moment},"
            f" {moment}, (i - 1) * {each} + 1, i * {each} FROM n"
        )
        connection.execute(
            "INSERT INTO batch (id, job_id, number, state, attempts, fencing, waiting_since)"
            f" SELECT id, id, 1, 'done', 1, 1, {moment} FROM job"
        )
        connection.execute(
            f"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {each * JOBS - 1}) INSERT INTO"
            " item (id, job_id, batch_id, path, size, mtime_ns, sha256, state) SELECT i + 1, i / :each + 1,"
            " i / :each + 1, '/data/lot/' || printf('%09d', i) || '.png', 1, 1, :sha, 'scored' FROM n",
            {"each": each, "sha": "a" * 64},
        )
        connection.execute(
            "INSERT INTO result (item_id, job_id, model_id, raw_score, score, p_value, flagged, parts, scored_at,"
            " night) SELECT item.id, job_id, 1, 0.5, CASE WHEN item.id % 20 = 0 THEN 0.5 + (item.id % 9973) / 20000.0"
            " ELSE 0.25 END, 0.5, item.id % 20 = 0, '{\"latent\": 0.5}', job.finished_at, job.night"
            " FROM item JOIN job ON job.id = item.job_id"
        )
    connection.close()


def streams(home: Path) -> None:
    environ = {**os.environ, "ODDLOT_HOME": str(home)}
    for limit in ("1000", "0"):
        for kind in ("csv", "json", "jsonl", "parquet"):
            target, began = home / f"out.{kind}", time.monotonic()
            command = ["results", "--format", kind, "-o", str(target), "--limit", limit]
            ran = subprocess.run(
                [sys.executable, "-c", PEAK, *command], env=environ, capture_output=True, text=True, check=True
            )
            rows = "all" if limit == "0" else limit
            print(f"results, {rows} rows as {kind}: {ran.stderr.split()[-1]} MiB at most, "
                  f"{time.monotonic() - began:.1f} s, {target.stat().st_size / 2**20:.1f} MiB written")  # fmt: skip


def pages(path: Path) -> None:
    engine = open_database(f"sqlite:///{path}")
    list(iter_results(engine, ResultFilter(limit=1)))
    for name, wanted in (("flagged", ResultFilter(flagged_only=True)), ("results", ResultFilter())):
        rows = list(iter_results(engine, wanted))
        for share in (0.0, 0.5, 0.99):
            last = rows[int(share * (len(rows) - 1))]
            after = (last["score"], last["item"]) if name == "flagged" else last["item"]
            began = time.monotonic()
            list(iter_results(engine, replace(wanted, limit=100, after=after if share else None)))
            print(f"page of 100 of {len(rows)} {name}, at {share:.0%}: {1000 * (time.monotonic() - began):.1f} ms")
    began = time.monotonic()
    print(f"nightly summary: {len(list_nights(engine))} rows in {1000 * (time.monotonic() - began):.1f} ms")
    engine.dispose()


def pruned(home: Path, path: Path) -> None:
    """Prune while somebody writes a row again and again, as workers do."""
    engine, settings = open_database(f"sqlite:///{path}"), load_settings({"ODDLOT_HOME": str(home)})
    waits: list[float] = []
    stop = threading.Event()

    def write() -> None:
        while not stop.wait(0.005):
            began = time.monotonic()
            with writing(engine) as connection:
                connection.execute(worker_restart.insert().values(host="h", pid=1, reason="bench", at=now(connection)))
            waits.append(time.monotonic() - began)

    writer = threading.Thread(target=write)
    writer.start()
    began = time.monotonic()
    freed = prune(engine, settings, [pruning.older_than(engine, 90, keep_verdicts=True)])
    seconds = time.monotonic() - began
    stop.set()
    writer.join()
    waits.sort()
    free = pruning.free_bytes(engine)
    print(f"pruned {freed.results} results of {freed.jobs} jobs in {seconds:.1f} s; meanwhile {len(waits)} writes of "
          f"another, median {1000 * waits[len(waits) // 2]:.1f} ms, longest {1000 * waits[-1]:.0f} ms; "
          f"{(free or 0) / 2**20:.1f} MiB free in a file of {path.stat().st_size / 2**20:.1f} MiB")  # fmt: skip
    engine.dispose()


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        path = home / "oddlot.db"
        fill(path, rows)
        streams(home)
        pages(path)
        pruned(home, path)


if __name__ == "__main__":
    main()
