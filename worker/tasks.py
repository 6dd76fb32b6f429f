"""The tasks that the queue carries. A message holds whole numbers, or nothing; everything else comes from SQL."""

import time

import redis
import structlog
from kombu.exceptions import OperationalError
from sqlalchemy.exc import SQLAlchemyError

from db.engine import now, reading
from oddlot.errors import DatabaseError
from oddlot.processes import identity
from oddlot.queue import INSPECT_TASK, TICK_TASK, TICK_TIME_LIMIT
from worker import inspection, nightly, pruning, publishing, scoring_process
from worker.app import app

log = structlog.get_logger()

DATABASE_PAUSE = 5.0
"""Seconds that a process waits when the database does not answer, before it takes the next message."""

PRUNING_SECONDS = 10.0
"""How long one tick removes what schedules do not keep any more; the next goes on."""

_HIGHEST = 2**63 - 1


@app.task(name=INSPECT_TASK, ignore_result=True)
def inspect_batch(job_id: int, number: int) -> None:
    """Inspect one batch. Raises TypeError for a message of another shape, before anything is looked up."""
    for value in (job_id, number):
        if type(value) is not int or not 0 < value <= _HIGHEST:
            raise TypeError(f"{INSPECT_TASK} takes two whole numbers")
    with structlog.contextvars.bound_contextvars(job=job_id, batch=number):
        _inspect(job_id, number)


def _inspect(job_id: int, number: int) -> None:
    try:
        inspection.inspect_batch(scoring_process.engine(), scoring_process.settings(), job_id, number)
    except (DatabaseError, *inspection.DATABASE_AWAY) as error:
        # The message is used up, but SQL still says that the batch waits, and it is published again. The pause keeps
        # a queue of thousands from being used up like that in seconds.
        log.error("the database does not answer", job=job_id, batch=number, error=scoring_process.one_line(error))
        time.sleep(DATABASE_PAUSE)
        return
    try:
        publishing.fill_up(scoring_process.engine(), scoring_process.settings(), app)
    except (DatabaseError, SQLAlchemyError, redis.RedisError, OperationalError, OSError) as error:
        log.warning("the queue was not filled up: a sweeper does it", error=scoring_process.one_line(error))


@app.task(name=TICK_TASK, ignore_result=True, time_limit=TICK_TIME_LIMIT)
def tick() -> None:
    """Start what is due by now, by the clock of the database, of which there is one; prune what is not to be kept."""
    try:
        engine = scoring_process.engine()
        with reading(engine) as connection:
            moment = now(connection)
        nightly.tick(
            engine, scoring_process.settings(), moment,
            # A child that lists a large folder holds no batch, and is not to be taken for one that hangs.
            on_listed=lambda _: inspection.beat(engine, identity(), progress=False),
        )  # fmt: skip
        pruning.prune_schedules(engine, scoring_process.settings(), seconds=PRUNING_SECONDS)
    except (DatabaseError, *inspection.DATABASE_AWAY) as error:
        log.error("the database does not answer", error=scoring_process.one_line(error))
