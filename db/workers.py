"""Signs of life: who works, and whether work waits for nobody."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from db.engine import now, reading, writing
from db.schema import worker, worker_restart
from oddlot.processes import is_provably_dead

SUPERVISOR, CHILD, CLOCK = "supervisor", "child", "clock"
"""Kinds of workers: the process beside a pool, heard of regularly; one child of the pool; Celery's beat."""

FORGOTTEN_AFTER = timedelta(days=1)
RESTARTS_KEPT = timedelta(days=30)
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
    started_at: datetime


@dataclass(frozen=True)
class Restart:
    """A worker that was ended by its watchdog."""

    host: str
    pid: int
    reason: str
    at: datetime


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
    return [row for row, in_time in _all_of(engine, kind) if in_time and not is_provably_dead(row.name)]


def silent(engine: Engine) -> list[WorkerRow]:
    """The last supervisor of each host that fell silent without having ended in order: off, cut off, or killed.

    A host that is heard of is not among them, nor is one that has not been heard of for a day.
    """
    rows = _all_of(engine, SUPERVISOR)
    heard_of = {row.host for row, in_time in rows if in_time and not is_provably_dead(row.name)}
    last = {row.host: row for row, _ in sorted(rows, key=lambda found: found[0].seen_at)}
    return [row for host, row in sorted(last.items()) if host not in heard_of]


def _all_of(engine: Engine, kind: str) -> list[tuple[WorkerRow, bool]]:
    """All workers of a kind that were seen within a day, and whether each was heard of in time."""
    wanted = ("name", "host", "pid", "kind", "seen_at", "progress_at", "started_at")
    columns = [worker.c[name] for name in wanted]
    with reading(engine) as connection:
        moment = now(connection)
        query = select(*columns, worker.c.alive_until).where(
            worker.c.kind == kind, worker.c.alive_until >= moment - FORGOTTEN_AFTER
        )
        rows = connection.execute(query.order_by(worker.c.name)).all()
    return [(WorkerRow(*row[:-1]), row.alive_until >= moment) for row in rows]


def count(engine: Engine, kind: str) -> int:
    """How many workers of a kind were heard of in time, also where some have died since."""
    with reading(engine) as connection:
        query = select(func.count()).where(worker.c.kind == kind, worker.c.alive_until >= now(connection))
        return connection.execute(query).scalar_one()


def record_restart(engine: Engine, host: str, pid: int, reason: str) -> None:
    """A worker is about to be ended because it makes no progress."""
    with writing(engine) as connection:
        moment = now(connection)
        connection.execute(delete(worker_restart).where(worker_restart.c.at < moment - RESTARTS_KEPT))
        connection.execute(insert(worker_restart).values(host=host, pid=pid, reason=reason, at=moment))


def restarts(engine: Engine, within: timedelta) -> list[Restart]:
    """Workers that were ended by their watchdogs, the latest first."""
    columns = (worker_restart.c.host, worker_restart.c.pid, worker_restart.c.reason, worker_restart.c.at)
    with reading(engine) as connection:
        query = select(*columns).where(worker_restart.c.at >= now(connection) - within)
        return [Restart(*row) for row in connection.execute(query.order_by(worker_restart.c.id.desc()))]


def last_progress(engine: Engine) -> dict[str, datetime]:
    """When a batch was last finished, of each host that finished one of late."""
    latest = select(worker.c.host, func.max(worker.c.progress_at)).group_by(worker.c.host)
    with reading(engine) as connection:
        query = latest.where(worker.c.progress_at.is_not(None), worker.c.alive_until >= now(connection))
        return dict(connection.execute(query).tuples().all())
