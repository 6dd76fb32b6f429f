"""How things stand just now, as numbers for metrics: each found by an index, or among the newest rows only.

All are asked in one transaction and tell of one moment, `at`, by the clock of the database. What only grows is in
`db.tallies`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, case, func, select

from db.batches import WORKED_ON
from db.schema import IS_OPEN, batch, delivery, fit, job, model, schedule, schedule_run, worker, worker_restart
from db.splitting import HAS_FAILED
from db.workers import CLOCK, STUCK_AFTER, SUPERVISOR
from oddlot.words import BatchState, FitState, JobState, ModelState

NEWEST = 2000
"""Jobs and deliveries that are looked at for what was last: some nights of hundreds of lines."""
A_DAY = timedelta(days=1)


@dataclass(frozen=True)
class OpenBatches:
    """What is open of one job: waiting batches, those in work, and those whose lease is over and nobody put back.

    `open_seconds` is how long ago the first of them could be taken; `failing`: one was tried, and ended with an error.
    """

    line: str
    waiting: int
    leased: int
    stuck: int
    oldest_waiting_seconds: float | None
    open_seconds: float
    failing: bool


@dataclass(frozen=True)
class Host:
    """A host of which a worker was heard in the last day and did not say that it stops. `progress_seconds` is how long
    ago one of its batches ended well, None where that is more than a day ago; `up_seconds` for how long the oldest of
    its living workers has run, 0 without any."""

    host: str
    workers: int
    progress_seconds: float | None
    restarts: int
    up_seconds: float = 0.0


@dataclass(frozen=True)
class LastJob:
    """The newest job of a line and model that was worked off."""

    id: int
    line: str
    model: str
    scored: int
    flagged: int


@dataclass(frozen=True)
class Nightly:
    """A schedule that is not paused, with its newest run, if there was one."""

    name: str
    model: str
    line: str
    at: str
    time_zone: str
    active_since: datetime
    due_at: datetime | None
    started_at: datetime | None
    failed: bool
    missed: int


def open_batches(connection: Connection, at: datetime) -> list[OpenBatches]:
    """Of each job that has open batches."""
    waiting, leased = batch.c.state == BatchState.WAITING, batch.c.state == BatchState.LEASED
    over = and_(leased, batch.c.lease_expires_at < at - STUCK_AFTER)
    query = (
        select(
            batch.c.job_id, func.count(case((waiting, 1))).label("waiting"),
            func.count(case((leased, 1))).label("leased"), func.count(case((over, 1))).label("stuck"),
            func.min(case((waiting, batch.c.waiting_since))).label("oldest"),
            func.min(batch.c.waiting_since).label("since"), func.count(case((HAS_FAILED, 1))).label("failed"),
        )
        .where(IS_OPEN)
        .group_by(batch.c.job_id)
    )  # fmt: skip
    rows = connection.execute(query).all()
    # Of a job that was cancelled nobody waits for anything.
    worked_on = select(job.c.id, job.c.line).where(job.c.state.in_(WORKED_ON))
    lines = dict(connection.execute(worked_on).tuples().all())
    return [
        OpenBatches(
            lines[row.job_id] or "", row.waiting, row.leased - row.stuck, row.stuck,
            None if row.oldest is None else _seconds(at, row.oldest), _seconds(at, row.since), row.failed > 0,
        )
        for row in rows
        if row.job_id in lines
    ]  # fmt: skip


def jobs_by_state(connection: Connection) -> dict[JobState, int]:
    """How many jobs there are of each state."""
    rows = connection.execute(select(job.c.state, func.count()).group_by(job.c.state)).tuples().all()
    found: dict[JobState, int] = dict(rows)
    return {state: found.get(state, 0) for state in JobState}


def jobs_in(connection: Connection, state: JobState, since: datetime | None = None) -> dict[tuple[str, str], int]:
    """Jobs of a rare state by line and model name; with `since`, those that ended after it."""
    query = (
        select(job.c.line, model.c.name, func.count())
        .join(model, model.c.id == job.c.model_id)
        .where(job.c.state == state)
        .group_by(job.c.line, model.c.name)
    )
    if since is not None:
        query = query.where(job.c.finished_at >= since)
    return {(line or "", name): count for line, name, count in connection.execute(query)}


def last_jobs(connection: Connection) -> list[LastJob]:
    """The newest job of each line and model that was worked off, among the newest of all."""
    worked_off = (JobState.DONE, JobState.HELD, JobState.DISCARDED)
    newest = select(func.max(job.c.id) - NEWEST).scalar_subquery()
    query = (
        select(job.c.id, job.c.line, model.c.name, job.c.scored, job.c.flagged)
        .join(model, model.c.id == job.c.model_id)
        .where(job.c.id > newest, job.c.state.in_(worked_off))
        .order_by(job.c.id)
    )
    rows = connection.execute(query).all()
    found = {(row.line, row.name): LastJob(row.id, row.line or "", *row[2:]) for row in rows}
    return list(found.values())


def validity_of(connection: Connection, job_id: int) -> dict[str, Any]:
    """The validity record of a job; empty where it has none."""
    return connection.execute(select(job.c.validity).where(job.c.id == job_id)).scalar() or {}


def hosts(connection: Connection, at: datetime) -> list[Host]:
    """All hosts whose workers have not said that they stop, by name."""
    alive = and_(worker.c.kind == SUPERVISOR, worker.c.alive_until >= at)
    of_workers = select(
        worker.c.host, func.count(case((alive, 1))).label("workers"),
        func.count(case((worker.c.kind == SUPERVISOR, 1))).label("known"),
        func.max(worker.c.progress_at).label("progress_at"),
        func.min(case((alive, worker.c.started_at))).label("started_at"),
    ).where(worker.c.alive_until >= at - A_DAY).group_by(worker.c.host).order_by(worker.c.host)  # fmt: skip
    rows = connection.execute(of_workers).all()
    lately = select(worker_restart.c.host, func.count()).where(worker_restart.c.at >= at - A_DAY)
    restarts: dict[str, int] = dict(connection.execute(lately.group_by(worker_restart.c.host)).tuples().all())
    return [
        Host(
            row.host, row.workers, None if row.progress_at is None else _seconds(at, row.progress_at),
            restarts.get(row.host, 0), 0.0 if row.started_at is None else _seconds(at, row.started_at),
        )
        for row in rows
        if row.known
    ]  # fmt: skip


def clocks(connection: Connection, at: datetime) -> int:
    """How many clocks of the schedules are alive."""
    alive = and_(worker.c.kind == CLOCK, worker.c.alive_until >= at)
    return connection.execute(select(func.count()).select_from(worker).where(alive)).scalar_one()


def fits(connection: Connection, at: datetime) -> tuple[dict[FitState, int], float]:
    """Queued and running fits, and for how many seconds the oldest queued one waits."""
    wanted = (FitState.QUEUED, FitState.RUNNING)
    query = select(fit.c.state, func.count(), func.min(fit.c.created_at)).where(fit.c.state.in_(wanted))
    rows = {row[0]: row for row in connection.execute(query.group_by(fit.c.state))}
    oldest = _seconds(at, rows[FitState.QUEUED][2]) if FitState.QUEUED in rows else 0.0
    return {state: rows[state][1] if state in rows else 0 for state in wanted}, oldest


def active_models(connection: Connection) -> list[tuple[str, int, str]]:
    """Name, version and architecture of each active model."""
    query = select(model.c.name, model.c.version, model.c.architecture).where(model.c.state == ModelState.ACTIVE)
    return list(connection.execute(query.order_by(model.c.name)).tuples())


def nightly(connection: Connection) -> list[Nightly]:
    """All schedules that are not paused, by name."""
    of_schedule = schedule_run.alias()
    newest = (
        select(of_schedule.c.id)
        .where(of_schedule.c.schedule_id == schedule.c.id)
        .order_by(of_schedule.c.due_at.desc())
        .limit(1)
        .scalar_subquery()
    )
    # As `db.schedules.RunRow.failed`: a job whose folder was listed after all is no failure of the schedule.
    failed = and_(
        schedule_run.c.error.is_not(None), func.coalesce(job.c.state, JobState.LISTING) == JobState.LISTING
    )  # fmt: skip
    query = (
        select(
            schedule.c.name, schedule.c.model_name, schedule.c.line, schedule.c.at, schedule.c.time_zone,
            schedule.c.active_since, schedule_run.c.due_at, schedule_run.c.started_at,
            case((failed, 1), else_=0).label("failed"), func.coalesce(schedule_run.c.missed, 0).label("missed"),
        )
        .select_from(schedule)
        .outerjoin(schedule_run, schedule_run.c.id == newest)
        .outerjoin(job, job.c.id == schedule_run.c.job_id)
        .where(~schedule.c.paused)
        .order_by(schedule.c.name)
    )  # fmt: skip
    return [
        Nightly(row[0], row[1], row[2] or "", *row[3:8], bool(row.failed), row.missed)
        for row in connection.execute(query)
    ]


def deliveries(connection: Connection, at: datetime) -> dict[tuple[str, str], int]:
    """By kind and state, among the newest: `waiting` for the first attempt, `retrying`, `failed` in the last day."""
    newest = select(func.max(delivery.c.id) - NEWEST).scalar_subquery()
    on_its_way = delivery.c.next_at.is_not(None)
    state = case(
        (and_(delivery.c.next_at.is_(None), delivery.c.created_at >= at - A_DAY), "failed"),
        (and_(on_its_way, delivery.c.error.is_not(None)), "retrying"), (on_its_way, "waiting"), else_="",
    )  # fmt: skip
    owed = select(delivery.c.kind, state.label("state"))
    found = owed.where(delivery.c.id > newest, delivery.c.delivered_at.is_(None)).subquery()
    query = select(found.c.kind, found.c.state, func.count()).group_by(found.c.kind, found.c.state)
    return {(str(kind), state): count for kind, state, count in connection.execute(query) if state}


def _seconds(at: datetime, since: datetime) -> float:
    return max(0.0, (at - since).total_seconds())
