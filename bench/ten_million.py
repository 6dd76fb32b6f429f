"""How long the questions of a morning take on a database of ten million results, beside one of 20,000.

    python -m bench.ten_million [--rows N] [--database sqlite|postgresql] [--plans] [--prune N]

Real SQLite and a real PostgreSQL server; everything is asked by the functions that the command line and the page use.
Prints the median of 15 rounds in milliseconds and the ratio; with `--plans` how the database finds each answer; with
`--prune` how long another writer waits while so many results are removed, with heat maps and without.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Engine

from bench.many_nights import LINES, Made, fill, made_of
from bench.pruning_beside import prune_beside
from bench.statements import asked_of
from db import fits, jobs, liveness, workers
from db.deliveries import deliveries_of
from db.engine import open_database
from db.nightly_summary import list_nights
from db.quality import quality
from db.results import ResultFilter, count_p_values, held_jobs, iter_results, pruned_jobs
from db.review import Choice, choices, flagged_page, latest_words, newest_night, progress, queue_page
from db.review_nights import held_jobs as held_rows
from db.review_nights import jobs_since, last_night
from oddlot.settings import load_settings
from worker import health
from worker.metrics import Exporter

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from postgres import start_postgres

SMALL = 20_000
ROUNDS = 15
TABLE = 51
"""Rows that a table on the screen reads: fifty, and one to see whether there are more."""
PAGE, AHEAD = 49, 12
"""Rows that a page of the gallery reads, and the queue."""

Question = Callable[[], object]


def questions(engine: Engine, made: Made) -> dict[str, Question]:
    """What is asked, by the words with which people ask it."""

    settings = load_settings()
    exporter = Exporter(engine, settings)

    def rows(wanted: ResultFilter, count: int = TABLE) -> object:
        left_out = held_jobs(engine, wanted) if wanted.job_id is None and wanted.flagged_only else None
        found = list(iter_results(engine, replace(wanted, limit=count)))
        return left_out, found, pruned_jobs(engine, wanted)

    def flagged(**values: Any) -> Question:
        believed = "job_id" not in values
        return lambda: rows(ResultFilter(flagged_only=True, believed_only=believed, **values))

    def together() -> object:
        family = ResultFilter(job_id=made.job_id)
        counted = sorted(count_p_values(engine, family))
        return rows(replace(family, max_p_value=counted[0][0]))

    def gallery(deep: float | None = None, **values: Any) -> Question:
        def ask() -> object:
            choice = Choice(**(values or {"night": newest_night(engine)}))
            found = flagged_page(engine, choice, None if deep is None else (deep, 0), PAGE)
            return found, choices(engine), latest_words(engine, [one.item_id for one in found])

        return ask

    def queue(deep: float | None = None, **values: Any) -> Question:
        choice = Choice(**({"night": made.night, "verdict": "unreviewed"} | values))
        return lambda: queue_page(engine, choice, None if deep is None else (deep, 0), AHEAD)

    def all_jobs() -> object:
        return (
            jobs.list_jobs(engine, limit=20), liveness.open_jobs(engine, max_attempts=3), fits.recent_fits(engine),
            workers.living(engine),
        )  # fmt: skip

    def one_job(which: Any) -> object:
        row = jobs.get_job(engine, which)
        return row, jobs.deferred_files(engine, row.id), deliveries_of(engine, row.id)

    def overview() -> object:
        night = last_night(engine)
        assert night is not None
        return jobs_since(engine, night), progress(engine, Choice(night=night)), held_rows(engine), all_jobs()

    return {
        "flagged --night (last) --line": flagged(night=made.night, line=made.line),
        "flagged --since (last night) --line": flagged(since=made.since, line=made.line),
        "flagged --since (last night)": flagged(since=made.since),
        "flagged --since --line, none there": flagged(since=made.since, line=LINES[-1]),
        "flagged --since 30d --line": flagged(since=made.since - timedelta(days=30), line=made.line),
        "flagged --job N": flagged(job_id=made.job_id),
        "flagged --job last": lambda: flagged(job_id=jobs.get_job(engine, "last").id)(),
        "flagged": flagged(),
        "flagged --model --unreviewed": flagged(model="flange", unreviewed=True),
        "flagged --line": flagged(line=made.line),
        "flagged --job N --fdr 0.1": together,
        "results --job N": lambda: rows(ResultFilter(job_id=made.job_id)),
        "results --job N --limit 1000": lambda: rows(ResultFilter(job_id=made.job_id), 1000),
        "results": lambda: rows(ResultFilter()),
        "gallery (last night)": gallery(),
        "gallery (last night), deep": gallery(0.55, night=made.night),
        "gallery of a job, deep": gallery(0.55, job_id=made.job_id),
        "gallery of a night, unreviewed": gallery(night=made.night, verdict="unreviewed"),
        "gallery of all nights": gallery(model=None),
        "gallery of all nights, deep": gallery(0.55, model=None),
        "gallery of a line, all nights": gallery(line=made.line),
        "gallery of a model, deep": gallery(0.55, model="flange"),
        "gallery of all confirmed defects": gallery(verdict="defect"),
        "gallery of all unreviewed, deep": gallery(0.55, verdict="unreviewed"),
        "gallery of all scores above 0.9": gallery(min_score=0.9),
        "queue (last night), next": queue(),
        "queue (last night), deep": queue(0.55),
        "queue of all nights, next": queue(night=None),
        "queue, how far": lambda: progress(engine, Choice(night=made.night)),
        "quality": lambda: quality(engine),
        "quality --model": lambda: quality(engine, model_name="flange"),
        "quality --line --since": lambda: quality(engine, line=made.line, since=made.since),
        "jobs": all_jobs,
        "job N": lambda: one_job(made.job_id),
        "job last": lambda: one_job("last"),
        "first page": overview,
        "nights (HTTP)": lambda: list_nights(engine, limit=101),
        "metrics (HTTP)": exporter.text,
        "healthz (HTTP)": lambda: health.of_everything(engine, settings),
    }  # fmt: skip


def median(ask: Question) -> float:
    """Milliseconds; the first round is not counted."""
    ask()
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        ask()
        times.append(1000 * (time.perf_counter() - began))
        if sum(times) > 20_000:
            break
    return statistics.median(times)


def plans(engine: Engine, ask: Question) -> list[str]:
    """How the database finds the answer: each statement in one line, and its plan."""
    with asked_of(engine) as asked:
        ask()
    lines = []
    sqlite = engine.dialect.name == "sqlite"
    with engine.connect() as connection:
        for statement, parameters in asked:
            if not statement.lstrip().startswith(("SELECT", "WITH")):
                continue
            lines.append("  " + " ".join(statement.split()))
            explain = "EXPLAIN QUERY PLAN " if sqlite else "EXPLAIN (ANALYZE, BUFFERS) "
            for row in connection.exec_driver_sql(explain + statement, parameters):
                lines.append(f"      {row[3] if sqlite else row[0]}")
    return lines


@contextmanager
def server(database: str, folder: Path) -> Iterator[Callable[[int], str]]:
    """Makes the URL of a database for so many rows; a PostgreSQL server lives as long as this does."""
    if database == "sqlite":
        yield lambda rows: f"sqlite:///{folder}/{rows}.db"
        return
    home = folder / "postgres"
    home.mkdir(exist_ok=True)
    running = start_postgres(home)
    try:

        def make(rows: int) -> str:
            with psycopg.connect(running.get_uri(), autocommit=True) as connection:
                if not connection.execute("SELECT FROM pg_database WHERE datname = %s", (f"rows_{rows}",)).fetchall():
                    connection.execute(f"CREATE DATABASE rows_{rows}")  # type: ignore[arg-type]
            return str(running.get_uri()).replace("/postgres?", f"/rows_{rows}?")

        yield make
    finally:
        running.cleanup()


def filled(url: str, rows: int) -> tuple[Engine, Made]:
    """The database with so many rows; one that was kept is used again."""
    engine = open_database(url)
    if (made := made_of(engine)) is None:
        began = time.monotonic()
        fill(engine, rows)
        made = made_of(engine)
        assert made is not None
        print(f"{engine.dialect.name}: {made.results:,} results made in {time.monotonic() - began:.0f} s", flush=True)
    return engine, made


def compare(url: Callable[[int], str], rows: int, only: str, *, with_plans: bool) -> None:
    small, large = (questions(*filled(url(size), size)) for size in (SMALL, rows))
    engine = open_database(url(rows))
    print(f"{engine.dialect.name:38} {SMALL:>12,} {rows:>12,}   ratio")
    for name, ask in large.items():
        if only in name:
            times = median(small[name]), median(ask)
            print(f"{name:38} {times[0]:>9.1f} ms {times[1]:>9.1f} ms {times[1] / times[0]:>7.1f}", flush=True)
            if with_plans:
                print("\n".join(plans(engine, questions(engine, made_of(engine))[name])))
    engine.dispose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--database", choices=("sqlite", "postgresql"))
    parser.add_argument("--only", default="", help="only questions whose name has this in it")
    parser.add_argument("--plans", action="store_true", help="print how the database finds each answer")
    parser.add_argument("--prune", type=int, default=0, metavar="N", help="then remove so many results beside a writer")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the databases there, and use those that are")
    asked = parser.parse_args()
    for database in (asked.database,) if asked.database else ("sqlite", "postgresql"):
        with tempfile.TemporaryDirectory(prefix="oddlot-") as temporary:
            folder = asked.keep or Path(temporary)
            folder.mkdir(parents=True, exist_ok=True)
            with server(database, folder) as url:
                compare(url, asked.rows, asked.only, with_plans=asked.plans)
                if asked.prune:
                    engine, settings = open_database(url(asked.rows)), load_settings({"ODDLOT_HOME": str(folder)})
                    for files in (False, True):
                        print(prune_beside(engine, settings, asked.prune, files=files), flush=True)
                    engine.dispose()


if __name__ == "__main__":
    main()
