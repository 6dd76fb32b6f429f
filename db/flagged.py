"""Which index the flagged are found by: that of their jobs, or that of the scores of all jobs together.

A question about items is first answered for jobs, of which there are a thousand where there are ten million results.
Without statistics, which SQLite does not keep, neither engine could know which of the two ways is short; the records of
the jobs tell it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, false, literal_column, select

from db.schema import job, model, result

SORTED_APART = 5000
"""Up to so many flagged items are found by their jobs and sorted; of more, the highest are found by the scores."""


@dataclass(frozen=True)
class Jobs:
    """Numbers of jobs, and how many flagged items they have; of jobs that are open nothing is counted yet."""

    numbers: tuple[int, ...]
    flagged: int


def find(connection: Connection, *wanted: ColumnElement[bool], model_name: str | None = None) -> Jobs:
    """The jobs that fulfil all of `wanted`, in the order in which they were submitted."""
    query = select(job.c.id, job.c.flagged).where(*wanted).order_by(job.c.id)
    if model_name is not None:
        query = query.where(job.c.model_id.in_(select(model.c.id).where(model.c.name == model_name)))
    rows = connection.execute(query).all()
    return Jobs(tuple(row.id for row in rows), sum(row.flagged for row in rows))


def of_jobs(column: ColumnElement[int], jobs: Sequence[int]) -> ColumnElement[bool]:
    """Thousands of numbers as parameters would be refused: they stand in the statement itself."""
    if not jobs:
        return false()
    if len(jobs) == 1:
        return column == jobs[0]
    return column.in_(jobs) if len(jobs) <= 5000 else column.in_([literal_column(str(one)) for one in jobs])


def highest_of(jobs: Jobs, *, by_time: bool = False) -> ColumnElement[bool]:
    """The results of these jobs, said so that the highest scores are found the short way; `by_time` where another
    condition narrows them down by the time at which they were scored."""
    if by_time or (jobs.flagged > SORTED_APART and len(jobs.numbers) > 1):
        return of_jobs(result.c.job_id + 0, jobs.numbers)  # a sum is in no index
    return of_jobs(result.c.job_id, jobs.numbers)
