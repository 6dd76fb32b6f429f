"""Starting what is due: schedules and clock in, submissions out.

Any number of ticks may happen at once. The row of a due time says whose run it is, and the key of the submission is
made of schedule and due time: whoever goes on with a run that somebody else has begun finds the job of that one.
"""

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from db import schedules
from db.engine import is_refused, now, reading
from db.jobs import JobRow, night_of
from db.schedules import RunRow, ScheduleRow
from oddlot.errors import DatabaseError, OddlotError, StateError
from oddlot.places import place_of
from oddlot.processes import identity, is_provably_dead
from oddlot.settings import Settings
from worker import scoring_process
from worker.due_times import DueTimes
from worker.folder_pattern import folder_on
from worker.submission import Submission, submit

log = structlog.get_logger()

_MOMENT = dt.timedelta(microseconds=1)
WITHIN = dt.timedelta(days=3)
"""The latest due time of a schedule lies no longer ago, whatever clocks and calendars do."""

AT_ONCE = 8
"""Runs that a tick starts at the same time."""

Listed = Callable[[int], None]


def tick(engine: Engine, settings: Settings, moment: dt.datetime, *, on_listed: Listed | None = None) -> None:
    """Start every run that is due at `moment`, and those that somebody began who is gone.

    What keeps one from starting is recorded with it and keeps no other. Raises SQLAlchemyError or DatabaseError where
    the database does not answer: the next tick goes on then.
    """
    started = schedules.runs_since(engine, moment - WITHIN)
    for schedule in schedules.list_schedules(engine):
        if not schedule.paused:
            try:
                _claim_due(engine, schedule, moment, started.get(schedule.id, set()))
            except OddlotError as error:  # this machine does not know its time zone
                log.error("a schedule cannot be read", schedule=schedule.name, error=str(error))
    # Side by side, because most of the time of a submission is waiting for a disk, a share, or a file to settle.
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="tick") as pool:
        taken_up = [
            pool.submit(_take_up, engine, settings, schedule, run, on_listed)
            for schedule, run in schedules.unfinished_runs(engine)
        ]
        try:
            for one in taken_up:
                one.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _take_up(engine: Engine, settings: Settings, schedule: ScheduleRow, run: RunRow, on_listed: Listed | None) -> None:
    """Start a run that nobody else is at. Raises SQLAlchemyError or DatabaseError."""
    gone = run.owner is None or is_provably_dead(run.owner)
    if run.owner != identity() and not schedules.take_over_run(engine, run, identity(), dead=gone):
        return
    try:
        job = _start(engine, settings, schedule, run, on_listed)
    except Exception as error:
        if _is_away(error):
            raise
        # Recorded; the other schedules are not to suffer from it.
        log.error("a nightly run failed", schedule=schedule.name, due_at=run.due_at.isoformat(),
                  error=scoring_process.one_line(error))  # fmt: skip
    else:
        log.info("a nightly run was started", schedule=schedule.name, due_at=run.due_at.isoformat(),
                 job=job.id, state=str(job.state), priority=job.priority)  # fmt: skip


def run_now(
    engine: Engine, settings: Settings, schedule: ScheduleRow, *, on_listed: Listed | None = None
) -> tuple[JobRow, dt.datetime]:
    """Start the last run again where it failed, otherwise one for this moment; returns its job and due time.

    Raises OddlotError where it cannot be started, StateError where somebody else is starting the failed one just now.
    """
    last = schedules.latest_run(engine, schedule.id)
    if last is not None and last.failed:
        if not schedules.take_over_run(engine, last, identity(), dead=True):
            raise StateError(f"the failed run of {schedule.name} is being started just now: see `oddlot nightly list`")
        return _start(engine, settings, schedule, last, on_listed), last.due_at
    with reading(engine) as connection:
        moment = now(connection)
    job = submit(engine, settings, _submission(schedule, moment), on_listed=on_listed)
    schedules.record_extra_run(engine, schedule.id, moment, identity(), job.id)
    return job, moment


def due_times(schedule: ScheduleRow) -> DueTimes:
    """Raises OddlotError where this machine does not know the schedule's time zone."""
    return DueTimes.parse(schedule.at, schedule.time_zone)


def _claim_due(engine: Engine, schedule: ScheduleRow, moment: dt.datetime, started: set[dt.datetime]) -> None:
    """Claim the latest due time, if it is not `started`, and no earlier one: the pictures of missed nights come with
    it, or are asked for by somebody."""
    times = due_times(schedule)
    due = times.latest(moment, since=schedule.active_since)
    if due is None or due in started:
        return
    known = schedules.due_times_with_a_run(engine, schedule.id, schedule.active_since)
    missed, at = 0, due
    while (before := times.latest(at - _MOMENT, since=schedule.active_since)) and before not in known:
        missed, at = missed + 1, before
    schedules.claim_run(engine, schedule.id, due, identity(), missed)


def _start(engine: Engine, settings: Settings, schedule: ScheduleRow, run: RunRow, on_listed: Listed | None) -> JobRow:
    """Submit, or go on with what was submitted; a failure is recorded with the run and raised."""
    try:
        job = submit(engine, settings, _submission(schedule, run.due_at), on_listed=on_listed)
    except Exception as error:
        if _is_away(error):
            raise
        reason = str(error) if isinstance(error, OddlotError) else scoring_process.one_line(error)
        schedules.record_failure(engine, run.id, identity(), _key(schedule, run.due_at), " ".join(reason.split()))
        raise
    schedules.record_job(engine, run.id, job.id)
    return job


def _is_away(error: Exception) -> bool:
    """Whether the database is, so that nothing can be recorded either."""
    return isinstance(error, SQLAlchemyError | DatabaseError) and not is_refused(error)


def _submission(schedule: ScheduleRow, due_at: dt.datetime) -> Submission:
    times = due_times(schedule)
    day = times.day_of(due_at)
    return Submission(
        model=schedule.model_name, folder=place_of(folder_on(schedule.folder, day)), line=schedule.line,
        only_new=schedule.only_new, key=_key(schedule, due_at), night=night_of(times.local(due_at)),
    )  # fmt: skip


def _key(schedule: ScheduleRow, due_at: dt.datetime) -> str:
    return f"nightly {schedule.name} {due_at.isoformat()}"
