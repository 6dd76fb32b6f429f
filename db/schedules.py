"""Schedules and their runs: one row a due time, claimed by whoever inserts it."""

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import Engine, and_, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from db.engine import now, reading, writing
from db.schema import job, schedule, schedule_run
from db.types import check_name
from oddlot.errors import NotFoundError, StateError
from oddlot.words import JobState

SILENCE = dt.timedelta(minutes=2)
"""A run that was claimed so long ago and is not begun may be taken over by somebody else."""


@dataclass(frozen=True)
class ScheduleRow:
    """A folder that is submitted once a day. `folder` may hold a date, see `worker.folder_pattern`."""

    id: int
    name: str
    model_name: str
    folder: str
    line: str | None
    at: str
    time_zone: str
    only_new: bool
    keep_days: int | None
    paused: bool
    active_since: dt.datetime
    created_at: dt.datetime


@dataclass(frozen=True)
class RunRow:
    """What became of one due time: a job, or the reason why there is none."""

    id: int
    schedule_id: int
    due_at: dt.datetime
    job_id: int | None
    job_state: JobState | None
    job_found: int | None
    owner: str | None
    started_at: dt.datetime
    error: str | None
    missed: int

    @property
    def failed(self) -> bool:
        """It has no listed job; one whose listing failed may have been listed by `oddlot retry` since."""
        return self.error is not None and self.job_state in (None, JobState.LISTING)


_RUNS = select(schedule_run, job.c.state.label("job_state"), job.c.found.label("job_found")).outerjoin(
    job, job.c.id == schedule_run.c.job_id
)
# Until its folder is listed, a job is the business of whoever lists it: no worker takes it up. Jobs that are listed are
# found by their state, not by looking at the job of every run that there ever was.
_LISTED = select(job.c.id).where(job.c.state == JobState.LISTING)
_UNFINISHED = and_(
    schedule_run.c.error.is_(None), or_(schedule_run.c.job_id.is_(None), schedule_run.c.job_id.in_(_LISTED))
)


def add_schedule(
    engine: Engine, *, name: str, model_name: str, folder: str, line: str | None, at: str, time_zone: str,
    only_new: bool, keep_days: int | None,
) -> ScheduleRow:  # fmt: skip
    """Store a schedule that is active from now on. Raises StateError where the name is taken, OddlotError where it or
    that of the line is too long."""
    check_name(name, "the name")
    check_name(line, "the line")
    try:
        with writing(engine) as connection:
            moment = now(connection)
            connection.execute(
                insert(schedule).values(
                    name=name, model_name=model_name, folder=folder, line=line, at=at, time_zone=time_zone,
                    only_new=only_new, keep_days=keep_days, paused=False, active_since=moment, created_at=moment,
                )
            )  # fmt: skip
    except IntegrityError:
        raise StateError(
            f"there is a schedule {name!r} already: choose another name with --name, or remove it"
        ) from None
    return get_schedule(engine, name)


def get_schedule(engine: Engine, name: str) -> ScheduleRow:
    """Raises NotFoundError."""
    with reading(engine) as connection:
        row = connection.execute(select(schedule).where(schedule.c.name == name)).mappings().one_or_none()
    if row is None:
        raise _not_found(name)
    return ScheduleRow(**row)


def list_schedules(engine: Engine) -> list[ScheduleRow]:
    """All of them, by name."""
    with reading(engine) as connection:
        rows = connection.execute(select(schedule).order_by(schedule.c.name)).mappings()
        return [ScheduleRow(**row) for row in rows]


def remove_schedule(engine: Engine, name: str) -> None:
    """Forget a schedule and its runs; their jobs stay. Raises NotFoundError."""
    with writing(engine) as connection:
        if connection.execute(delete(schedule).where(schedule.c.name == name)).rowcount == 0:
            raise _not_found(name)


def pause_schedule(engine: Engine, name: str) -> None:
    """Nothing of it is due from now on. Raises NotFoundError."""
    with writing(engine) as connection:
        if connection.execute(update(schedule).where(schedule.c.name == name).values(paused=True)).rowcount == 0:
            raise _not_found(name)


def resume_schedule(engine: Engine, name: str) -> ScheduleRow:
    """What is due after now is run again; changes nothing where it is not paused. Raises NotFoundError."""
    with writing(engine) as connection:
        connection.execute(
            update(schedule)
            .where(schedule.c.name == name, schedule.c.paused)
            .values(paused=False, active_since=now(connection))
        )
    return get_schedule(engine, name)


def latest_run(engine: Engine, schedule_id: int) -> RunRow | None:
    """The run that was started last, for whatever due time."""
    query = _RUNS.where(schedule_run.c.schedule_id == schedule_id).order_by(schedule_run.c.id.desc()).limit(1)
    with reading(engine) as connection:
        row = connection.execute(query).mappings().one_or_none()
    return None if row is None else RunRow(**row)


def latest_runs(engine: Engine) -> dict[int, RunRow]:
    """The run of each schedule that was started last, by the schedule's number."""
    last = select(func.max(schedule_run.c.id)).group_by(schedule_run.c.schedule_id)
    with reading(engine) as connection:
        rows = connection.execute(_RUNS.where(schedule_run.c.id.in_(last))).mappings()
        return {row["schedule_id"]: RunRow(**row) for row in rows}


def runs_since(engine: Engine, since: dt.datetime) -> dict[int, set[dt.datetime]]:
    """The due times from `since` on for which somebody has started a run, by the schedule's number."""
    query = select(schedule.c.id, schedule_run.c.due_at).join(
        schedule_run, and_(schedule_run.c.schedule_id == schedule.c.id, schedule_run.c.due_at >= since)
    )
    found: dict[int, set[dt.datetime]] = {}
    with reading(engine) as connection:
        for schedule_id, due_at in connection.execute(query):
            found.setdefault(schedule_id, set()).add(due_at)
    return found


def due_times_with_a_run(engine: Engine, schedule_id: int, since: dt.datetime) -> set[dt.datetime]:
    """The due times from `since` on for which somebody has started a run."""
    query = select(schedule_run.c.due_at).where(
        schedule_run.c.schedule_id == schedule_id, schedule_run.c.due_at >= since
    )
    with reading(engine) as connection:
        return set(connection.execute(query).scalars())


def claim_run(engine: Engine, schedule_id: int, due_at: dt.datetime, owner: str, missed: int) -> bool:
    """Make the run of a due time one's own; False where somebody was faster, or the schedule is not active any more."""
    try:
        with writing(engine) as connection:
            # Locked, so that a pause comes before or after it; neither is it removed in between.
            paused = select(schedule.c.paused).where(schedule.c.id == schedule_id).with_for_update()
            if connection.execute(paused).scalar() in (True, None):
                return False
            connection.execute(
                insert(schedule_run).values(
                    schedule_id=schedule_id, due_at=due_at, owner=owner, started_at=now(connection), missed=missed
                )
            )
            return True
    except IntegrityError:
        return False


def unfinished_runs(engine: Engine) -> list[tuple[ScheduleRow, RunRow]]:
    """Runs that were claimed, have not failed, and whose folder is not listed yet: the oldest first."""
    with reading(engine) as connection:
        runs = [RunRow(**row) for row in connection.execute(_RUNS.where(_UNFINISHED).order_by("due_at")).mappings()]
        if not runs:
            return []
        of = {row["id"]: ScheduleRow(**row) for row in connection.execute(select(schedule)).mappings()}
    return [(of[run.schedule_id], run) for run in runs if run.schedule_id in of]


def take_over_run(engine: Engine, run: RunRow, owner: str, *, dead: bool) -> bool:
    """Make an unfinished or failed run one's own, as it was seen in `run`.

    `dead`: its owner is known to begin nothing any more; otherwise that is believed only after a while.
    """
    with writing(engine) as connection:
        moment = now(connection)
        seen = [
            schedule_run.c.id == run.id, schedule_run.c.owner.is_not_distinct_from(run.owner),
            schedule_run.c.started_at == run.started_at, schedule_run.c.error.is_not_distinct_from(run.error),
        ]  # fmt: skip
        if not dead:
            seen.append(schedule_run.c.started_at <= moment - SILENCE)
        taken = update(schedule_run).where(*seen).values(owner=owner, started_at=moment, error=None)
        return connection.execute(taken).rowcount == 1


def record_job(engine: Engine, run_id: int, job_id: int) -> None:
    """The job of a run is there; whether it is listed to its end, its state says."""
    with writing(engine) as connection:
        connection.execute(update(schedule_run).where(schedule_run.c.id == run_id).values(job_id=job_id, error=None))


def record_failure(engine: Engine, run_id: int, owner: str, key: str, error: str) -> None:
    """The run cannot be started, or its folder not be listed; says nothing where somebody else has taken it over."""
    with writing(engine) as connection:
        of_key = select(job.c.id).where(job.c.key == key).scalar_subquery()
        failed = update(schedule_run).where(schedule_run.c.id == run_id, schedule_run.c.owner == owner)
        connection.execute(failed.values(error=error, job_id=func.coalesce(schedule_run.c.job_id, of_key)))


def record_extra_run(engine: Engine, schedule_id: int, due_at: dt.datetime, owner: str, job_id: int) -> None:
    """A run that somebody asked for between two due times. Raises NotFoundError where the schedule was removed."""
    try:
        with writing(engine) as connection:
            connection.execute(
                insert(schedule_run).values(
                    schedule_id=schedule_id, due_at=due_at, owner=owner, started_at=now(connection), missed=0,
                    job_id=job_id,
                )
            )  # fmt: skip
    except IntegrityError:
        raise NotFoundError(f"the schedule was removed meanwhile; its job {job_id} stays") from None


def _not_found(name: str) -> NotFoundError:
    return NotFoundError(f"there is no schedule {name!r}: `oddlot nightly list` shows them")
