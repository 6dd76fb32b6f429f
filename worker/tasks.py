"""The task that the queue carries. Its message holds two whole numbers; everything else comes from SQL."""

import time

import structlog

from oddlot.errors import DatabaseError
from oddlot.queue import INSPECT_TASK
from worker import inspection, scoring_process
from worker.app import app

log = structlog.get_logger()

DATABASE_PAUSE = 5.0
"""Seconds that a process waits when the database does not answer, before it takes the next message."""

_HIGHEST = 2**63 - 1


@app.task(name=INSPECT_TASK, ignore_result=True)
def inspect_batch(job_id: int, number: int) -> None:
    """Inspect one batch. Raises TypeError for a message of another shape, before anything is looked up."""
    for value in (job_id, number):
        if type(value) is not int or not 0 < value <= _HIGHEST:
            raise TypeError(f"{INSPECT_TASK} takes two whole numbers")
    try:
        inspection.inspect_batch(scoring_process.engine(), scoring_process.settings(), job_id, number)
    except (DatabaseError, *inspection.DATABASE_AWAY) as error:
        # The message is used up, but SQL still says that the batch waits, and it is published again. The pause keeps
        # a queue of thousands from being used up like that in seconds.
        log.error("the database does not answer", job=job_id, batch=number, error=scoring_process.one_line(error))
        time.sleep(DATABASE_PAUSE)
