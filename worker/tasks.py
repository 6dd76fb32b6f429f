"""The task that the queue carries. Its message holds two whole numbers; everything else comes from SQL."""

from oddlot.queue import INSPECT_TASK
from worker import inspection, scoring_process
from worker.app import app


@app.task(name=INSPECT_TASK, ignore_result=True)
def inspect_batch(job_id: int, number: int) -> None:
    """Inspect one batch. A message of another shape is refused before anything is looked up."""
    if type(job_id) is not int or type(number) is not int:
        raise TypeError(f"{INSPECT_TASK} takes two whole numbers")
    inspection.inspect_batch(scoring_process.engine(), scoring_process.settings(), job_id, number)
