"""What has come to an end so far, by model and line: counters that nobody has to count for, and that never go down.

A row is one model version on one line. It is changed last in the transaction that ends items, with the job locked
before: so every transaction takes its locks in the order batch, job, tally. Batches of one job wait for each other at
the lock on the job anyway, so the row costs no waiting that was not there.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from db.schema import STAGES, TALLIED, job, model, tally

_NAMES = (*TALLIED, *(f"{name}_seconds" for name in STAGES))


@dataclass(frozen=True)
class Tally:
    """The sums of all versions of a model on one line; `line` is empty where its jobs have none.

    `counts` has the names of `db.schema.TALLIED`, `seconds` those of `STAGES`.
    """

    model: str
    line: str
    counts: dict[str, int]
    seconds: dict[str, float]


def add(connection: Connection, job_id: int, **ended: float) -> None:
    """Count what has just come to an end in a job, whose row is locked. Names are those of the table."""
    _add(connection, job_id, ended)


def begin(connection: Connection, job_id: int) -> None:
    """Make sure that the row is there, with zeros: a counter that begins with its first value has no growth to show."""
    _add(connection, job_id, {})


def _add(connection: Connection, job_id: int, ended: Mapping[str, float]) -> None:
    model_id, line = connection.execute(select(job.c.model_id, job.c.line).where(job.c.id == job_id)).one()
    this = {"model_id": model_id, "line": line or ""}
    grown = {name: tally.c[name] + value for name, value in ended.items()}
    change = update(tally).where(*(tally.c[name] == value for name, value in this.items()))
    change = change.values(grown or {"batches": tally.c.batches})
    if connection.execute(change).rowcount:
        return
    try:
        with connection.begin_nested():
            connection.execute(insert(tally).values(**(this | dict.fromkeys(_NAMES, 0) | dict(ended))))
    except IntegrityError:  # somebody made it at the same moment
        connection.execute(change)


def tallies(connection: Connection) -> list[Tally]:
    """All of them, in the order in which their models and lines were first seen."""
    sums = [func.sum(tally.c[name]).label(name) for name in _NAMES]
    query = (
        select(model.c.name, tally.c.line, *sums)
        .join(model, model.c.id == tally.c.model_id)
        .group_by(model.c.name, tally.c.line)
        .order_by(func.min(tally.c.id))
    )
    return [
        Tally(
            row.name, row.line, {name: int(getattr(row, name)) for name in TALLIED},
            {name: float(getattr(row, f"{name}_seconds")) for name in STAGES},
        )
        for row in connection.execute(query)
    ]  # fmt: skip
