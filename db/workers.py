"""Signs of life: who works, and whether work waits for nobody."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from db.batches import WORKED_ON
from db.engine import now, reading, writing
from db.schema import batch, job, worker
from oddlot.processes import is_provably_dead
from oddlot.words import BatchState

SUPERVISOR, CHILD = "supervisor", "child"
"""Kinds of workers: the process beside a pool, which is heard of regularly, and one child of the pool."""

FORGOTTEN_AFTER = timedelta(days=1)
STUCK_AFTER = timedelta(seconds=60)
"""A lease that is over for so long shows that no sweeper is alive."""


@dataclass(frozen=True)
class WorkerRow:
    """A worker that was seen."""

    name: str
    host: str
    pid: int
    kind: str
    seen_at: datetime
    progress_at: datetime | None


@dataclass(frozen=True)
class QueueHealth:
    """Batches as SQL knows them: `oldest_waiting_seconds` is None where none waits."""

    waiting: int
    leased: int
    stuck: int
    oldest_waiting_seconds: float | None


def beat(engine: Engine, name: str, host: str, pid: int, kind: str, *, progress: bool, silent_seconds: float) -> None:
    """Say that worker `name` lives, and will be heard of again within `silent_seconds`.

    `progress`: it has also finished something.
    """
    with writing(engine) as connection:
        moment = now(connection)
        values = {"seen_at": moment, "alive_until": moment + timedelta(seconds=silent_seconds)}
        if progress:
            values["progress_at"] = moment
        if connection.execute(update(worker).where(worker.c.name == name).values(**values)).rowcount:
            return
        connection.execute(delete(worker).where(worker.c.alive_until < moment - FORGOTTEN_AFTER))
        try:
            with connection.begin_nested():
                connection.execute(
                    insert(worker).values(name=name, host=host, pid=pid, kind=kind, started_at=moment, **values)
                )
        except IntegrityError:  # the same worker, from another thread
            return


def stop(engine: Engine, name: str) -> None:
    """A worker has ended in order."""
    with writing(engine) as connection:
        connection.execute(delete(worker).where(worker.c.name == name))


def living(engine: Engine, kind: str = SUPERVISOR) -> list[WorkerRow]:
    """Workers of a kind that were heard of in time and are not known to be dead."""
    columns = (worker.c.name, worker.c.host, worker.c.pid, worker.c.kind, worker.c.seen_at, worker.c.progress_at)
    with reading(engine) as connection:
        query = select(*columns).where(worker.c.kind == kind, worker.c.alive_until >= now(connection))
        rows = [WorkerRow(*row) for row in connection.execute(query.order_by(worker.c.name))]
    return [row for row in rows if not is_provably_dead(row.name)]


def queue_health(engine: Engine) -> QueueHealth:
    """What waits, what is in work, and what is stuck."""
    with reading(engine) as connection:
        moment = now(connection)
        waiting, oldest = connection.execute(
            select(func.count(), func.min(batch.c.waiting_since))
            .join(job, job.c.id == batch.c.job_id)
            .where(batch.c.state == BatchState.WAITING, job.c.state.in_(WORKED_ON))
        ).one()
        held = batch.c.state == BatchState.LEASED
        leased = connection.execute(select(func.count()).select_from(batch).where(held)).scalar_one()
        stuck = connection.execute(
            select(func.count()).select_from(batch).where(held, batch.c.lease_expires_at < moment - STUCK_AFTER)
        ).scalar_one()
    return QueueHealth(waiting, leased, stuck, (moment - oldest).total_seconds() if oldest else None)
