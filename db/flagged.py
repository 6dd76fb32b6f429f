"""Which index the flagged are found by: that of their jobs, or that of the scores of all jobs together.

A question about items is first answered for jobs, of which there are a thousand where there are ten million results.
Without statistics, which SQLite does not keep, neither engine could know which of the two ways is short; the records of
the jobs tell it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Select, false, select

from db.schema import job, model, result

SORTED_APART = 5000
"""Up to so many flagged items are found by their jobs and sorted; of more, the highest are found by the scores."""


IN_A_STATEMENT = 5000
"""Numbers of so many jobs stand in a statement as parameters; more are found once more by the statement itself."""


@dataclass(frozen=True)
class Jobs:
    """Numbers of jobs, and how many flagged items they have (of jobs that are open nothing is counted yet); `query`
    finds the numbers."""

    numbers: tuple[int, ...]
    flagged: int
    query: Select[tuple[int]]

    def have(self, column: ColumnElement[int]) -> ColumnElement[bool]:
        """The column has the number of one of these jobs."""
        if len(self.numbers) > IN_A_STATEMENT:
            return column.in_(self.query)
        return of_jobs(column, self.numbers)


def find(connection: Connection, *wanted: ColumnElement[bool], model_name: str | None = None) -> Jobs:
    """The jobs that fulfil all of `wanted`, in the order in which they were submitted."""
    query = select(job.c.id).where(*wanted)
    if model_name is not None:
        query = query.where(job.c.model_id.in_(select(model.c.id).where(model.c.name == model_name)))
    rows = connection.execute(query.add_columns(job.c.flagged).order_by(job.c.id)).all()
    return Jobs(tuple(row.id for row in rows), sum(row.flagged for row in rows), query)


def of_jobs(column: ColumnElement[int], jobs: Sequence[int]) -> ColumnElement[bool]:
    """The column has one of these numbers, of which there are a few thousand at most."""
    if not jobs:
        return false()
    return column == jobs[0] if len(jobs) == 1 else column.in_(jobs)


def highest_of(jobs: Jobs, *, by_time: bool = False) -> ColumnElement[bool]:
    """The results of these jobs, said so that the highest scores are found the short way; `by_time` where another
    condition narrows them down by the time at which they were scored."""
    if by_time or (jobs.flagged > SORTED_APART and len(jobs.numbers) > 1):
        return jobs.have(result.c.job_id + 0)  # a sum is in no index
    return jobs.have(result.c.job_id)
