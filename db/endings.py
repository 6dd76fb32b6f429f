"""What ends a job before its time, and what opens it again."""

from datetime import timedelta

from sqlalchemy import Connection, Engine, select

from db.audit_log import Act, Actor, record
from db.engine import now, writing
from db.jobs import JobRow, get_job, read_job, set_state
from db.listing import add_batches, begin_again, change_items, next_number
from db.schema import item, job
from db.settling import close_waiting, lock_job, settle_job
from oddlot.errors import StateError
from oddlot.processes import identity, is_provably_dead
from oddlot.words import FINISHED_JOB_STATES, ItemState, JobState

_UNSCORED = (ItemState.UNREADABLE, ItemState.QUARANTINED, ItemState.CANCELLED)

LISTING_SILENCE = timedelta(minutes=2)
"""A listing that has said nothing for so long may be taken over by another command."""


def cancel_job(engine: Engine, job_id: int, by: Actor | None = None) -> JobRow:
    """Cancel what waits; results stay, and a batch in work is finished.

    Raises StateError where the job has ended already.
    """
    with writing(engine) as connection:
        state = lock_job(connection, job_id)
        if state in (JobState.DONE, JobState.HELD, JobState.DISCARDED, JobState.FAILED):
            raise StateError(f"job {job_id} is {state} already: there is nothing to cancel")
        set_state(connection, job_id, JobState.CANCELLED)
        record(connection, by, Act.JOB_CANCELLED, f"job {job_id}")
    return _close(engine, job_id)


def fail_job(engine: Engine, job_id: int, error: str) -> JobRow:
    """End a job for a reason that no picture has: what waits is quarantined with that reason."""
    with writing(engine) as connection:
        if lock_job(connection, job_id) not in FINISHED_JOB_STATES:
            set_state(connection, job_id, JobState.FAILED, error=error)
    return _close(engine, job_id)


def _close(engine: Engine, job_id: int) -> JobRow:
    # A transaction of its own, because batches are locked before their job. Killed between the two, the job is
    # closed by the sweeper.
    with writing(engine) as connection:
        close_waiting(connection, job_id)
        settle_job(connection, job_id)
        return read_job(connection, job_id)


def retry_job(engine: Engine, job_id: int, batch_size: int, *, hold: bool = True) -> int:
    """Open a finished job again for what it has not scored; returns how many items that are.

    A job whose folder was never listed to its end, because the listing died or was cancelled, is emptied and put in
    state `listing`, to be listed anew by the caller. Raises StateError where the job is still worked on or listed, or
    was pruned.
    """
    if get_job(engine, job_id).state in (JobState.CANCELLED, JobState.FAILED):
        _close(engine, job_id)  # where a `cancel` was killed half way, or is at it just now
    with writing(engine) as connection:
        state = lock_job(connection, job_id)
        listed_at, finished_at, pruned_at = connection.execute(
            select(job.c.listed_at, job.c.finished_at, job.c.pruned_at).where(job.c.id == job_id)
        ).one()
        if state not in (*FINISHED_JOB_STATES, JobState.LISTING):
            raise StateError(f"job {job_id} is {state}: wait for it, or cancel it first")
        if state != JobState.LISTING and finished_at is None:
            raise StateError(f"job {job_id} is {state}, but a worker still has a batch of it: wait for that")
        if pruned_at is not None:  # its record could not be counted again
            raise StateError(
                f"the results of job {job_id} were pruned on {pruned_at:%Y-%m-%d}: submit its folder anew instead"
            )
        if listed_at is None:
            _take_over_listing(connection, job_id, state)
            return 0
        ids = (
            connection.execute(
                select(item.c.id).where(item.c.job_id == job_id, item.c.state.in_(_UNSCORED)).order_by(item.c.id)
            )
            .scalars()
            .all()
        )
        if not ids and state in (JobState.DONE, JobState.HELD, JobState.DISCARDED):
            return 0
        if state == JobState.HELD:  # or its flags would count while it is worked on
            raise StateError(f"job {job_id} is held: release it first, or submit its folder anew")
        if state == JobState.DISCARDED:
            raise StateError(f"job {job_id} was discarded: submit its folder anew instead")
        first = next_number(connection, job_id)
        chunks = [ids[start : start + batch_size] for start in range(0, len(ids), batch_size)]
        batches = add_batches(connection, job_id, range(first, first + len(chunks)))
        for number, chunk in enumerate(chunks, start=first):
            change_items(
                connection, chunk, state=ItemState.WAITING, error=None, note=None, batch_id=batches[number]
            )  # fmt: skip
        set_state(connection, job_id, JobState.QUEUED, finished_at=None, error=None)
        settle_job(connection, job_id, hold=hold)
        return len(ids)


def _take_over_listing(connection: Connection, job_id: int, state: JobState) -> None:
    submitter, listing_at = connection.execute(
        select(job.c.submitter, job.c.listing_at).where(job.c.id == job_id)
    ).one()
    gone = submitter == identity() or is_provably_dead(submitter)
    if state == JobState.LISTING and not gone and now(connection) - listing_at < LISTING_SILENCE:
        raise StateError(f"job {job_id} is being listed by another command just now: wait for that")
    begin_again(connection, job_id)
