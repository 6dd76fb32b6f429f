"""Small tools of this room's tests: pictures, processes, and looks into the tables."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polling
import pytest
from PIL import Image
from sqlalchemy import Engine, select

from db import due, jobs, models, sweeping
from db.engine import reading
from db.models import ModelRow
from db.results import ResultFilter, iter_results
from db.schema import batch
from oddlot.settings import Settings
from pictures.preprocessing import Preprocessing
from worker import inspection

DEADLINE = 60.0
ONE_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For tests that take seconds and would learn nothing new on PostgreSQL."""


def draw(path: Path, seed: int) -> None:
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 40), dtype=np.uint8)).save(path)


CARD = {"preprocessing": Preprocessing(32, 1).to_dict()}


def register(engine: Engine, sha256: str, uri: str = "flange/1", card: dict[str, Any] = CARD) -> ModelRow:
    return models.register_model(
        engine, name="flange", bundle_uri=uri, bundle_sha256=sha256, architecture="paper", threshold=0.1,
        false_alarms=0.1, card=card,
    )  # fmt: skip


eventually = partial(polling.eventually, seconds=DEADLINE)


def rows(engine: Engine, job_id: int) -> list[dict[str, Any]]:
    return list(iter_results(engine, ResultFilter(job_id=job_id)))


def by_name(engine: Engine, job_id: int) -> dict[str, dict[str, Any]]:
    return {Path(row["path"]).name: row for row in rows(engine, job_id)}


def batch_row(engine: Engine, job_id: int, number: int) -> Any:
    with reading(engine) as connection:
        return connection.execute(select(batch).where(batch.c.job_id == job_id, batch.c.number == number)).one()


def work_off(engine: Engine, settings: Settings, job_id: int) -> int:
    """Publish, inspect and sweep in turns until the job is finished; returns the rounds that took."""
    for round_ in range(1, 60):
        for of_job, number, _ in due.due_for_publishing(engine, older_than_seconds=None, limit=100):
            inspection.inspect_batch(engine, settings, of_job, number)
        sweeping.sweep(engine, max_attempts=settings.max_attempts)
        if jobs.get_job(engine, job_id).finished_at is not None:
            return round_
    raise AssertionError("the job did not come to an end")


@contextmanager
def child(program: str, *arguments: str, variables: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Another Python that runs `program`; killed at the end where it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments], env={**os.environ, **variables}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
