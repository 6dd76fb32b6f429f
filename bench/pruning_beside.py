"""Pruning while somebody else writes: how long the other one waits."""

import multiprocessing
import time
from dataclasses import replace
from datetime import timedelta
from multiprocessing.synchronize import Event
from pathlib import Path
from queue import Queue

from sqlalchemy import Engine, select

from db import pruning
from db.engine import make_engine, now, reading, writing
from db.schema import IS_FLAGGED, job, result, worker_restart
from oddlot.settings import Settings
from worker.pruning import prune

FILE = b"x" * 2000
"""About as large as a heat map."""


def prune_beside(engine: Engine, settings: Settings, rows: int, *, files: bool) -> str:
    """Remove the oldest `rows` results, keeping what was judged, beside a writer in a process of its own; one line.

    With `files`, each flagged item has a heat map and a thumbnail.
    """
    rule, jobs = _oldest(engine, rows)
    if files:
        _put_files(engine, settings, jobs)
    context = multiprocessing.get_context("spawn")
    stop, answer = context.Event(), context.SimpleQueue()
    url = engine.url.render_as_string(hide_password=False)
    writer = context.Process(target=_write, args=(url, stop, answer))
    writer.start()
    answer.get()  # it has begun
    began = time.monotonic()
    freed = prune(engine, settings, [rule])
    seconds = time.monotonic() - began
    stop.set()
    waits: list[float] = sorted(answer.get())
    writer.join()
    middle, most, longest = (f"{1000 * waits[int(share * (len(waits) - 1))]:.0f} ms" for share in (0.5, 0.99, 1))
    return (
        f"{engine.dialect.name}: pruned {freed.results:,} results and {freed.files.total():,} files of {freed.jobs} "
        f"jobs in {seconds:.0f} s; meanwhile {len(waits):,} writes of another, median {middle}, 99 % below {most}, "
        f"longest {longest}"
    )


def _oldest(engine: Engine, rows: int) -> tuple[pruning.Rule, list[int]]:
    with reading(engine) as connection:
        rule = pruning.Rule(now(connection), keep_verdicts=True)
    due = pruning.due_jobs(engine, rule)
    columns = select(job.c.id, job.c.finished_at, job.c.scored).where(job.c.id.in_(due)).order_by(job.c.finished_at)
    chosen: list[int] = []
    with reading(engine) as connection:
        for found in connection.execute(columns):
            if rows <= 0:
                break
            rows -= found.scored
            rule = replace(rule, before=found.finished_at + timedelta(microseconds=1))
            chosen.append(found.id)
    return rule, chosen


def _put_files(engine: Engine, settings: Settings, jobs: list[int]) -> None:
    with reading(engine) as connection:
        for job_id in jobs:
            folders = settings.map_store / str(job_id), settings.thumb_store / str(job_id)
            for folder in folders:
                folder.mkdir(parents=True, exist_ok=True)
            query = select(result.c.item_id).where(IS_FLAGGED, result.c.job_id == job_id)
            for number in connection.execute(query).scalars():
                Path(folders[0], f"{number}.png").write_bytes(FILE)
                Path(folders[1], f"{number}.webp").write_bytes(FILE)


def _write(url: str, stop: Event, answer: "Queue[object]") -> None:
    """A row again and again, as workers write theirs."""
    engine = make_engine(url)
    waits: list[float] = []
    while not stop.wait(0.005):
        began = time.monotonic()
        with writing(engine) as connection:
            connection.execute(worker_restart.insert().values(host="h", pid=1, reason="bench", at=now(connection)))
        waits.append(time.monotonic() - began)
        if len(waits) == 1:
            answer.put(None)
    answer.put(waits)
    engine.dispose()
