"""How a job ends: by counting in SQL, never by a counter in the queue."""

from typing import Any

from sqlalchemy import Connection, exists, select, update

from db import tallies
from db.engine import now
from db.jobs import JobRow, count_items, read_job
from db.judging import judge
from db.schema import IS_OPEN, IS_WAITING, batch, item, job
from oddlot.errors import NotFoundError
from oddlot.words import BatchState, ItemState, JobState


def lock_job(connection: Connection, job_id: int) -> JobState:
    """Hold the job's row until the transaction ends, and say its state. Raises NotFoundError.

    NO KEY UPDATE on PostgreSQL: rows that refer to the job can still be written beside it.
    """
    state: JobState | None = connection.execute(
        select(job.c.state).where(job.c.id == job_id).with_for_update(key_share=True)
    ).scalar()
    if state is None:
        raise NotFoundError(f"there is no job {job_id}: `oddlot jobs` lists them")
    return state


def settle_job(connection: Connection, job_id: int, *, hold: bool = True) -> JobRow | None:
    """Finish the job if none of its batches is open any more; returns it where this call finished it.

    One that would be done is compared with what its model knows, in this very transaction: so nobody sees it done
    before it is held, and who dies here leaves a job that is settled anew. Without `hold` it is done all the same.

    The job's row is locked before the batches are looked at. So of two workers that close the last two batches at
    the same moment, the second sees the first one's.
    """
    state = lock_job(connection, job_id)
    still_open = exists().where(batch.c.job_id == job_id, IS_OPEN)
    if state == JobState.LISTING or connection.execute(select(still_open)).scalar_one():
        return None
    if connection.execute(select(job.c.finished_at).where(job.c.id == job_id)).scalar() is not None:
        return None
    ended: JobState = state
    counts = count_items(connection, job_id)
    changes: dict[str, Any] = {}
    if state in (JobState.QUEUED, JobState.RUNNING):
        ended, changes["validity"] = judge(connection, job_id, counts, hold=hold)
    connection.execute(
        update(job).where(job.c.id == job_id).values(state=ended, finished_at=now(connection), **counts, **changes)
    )
    return read_job(connection, job_id)


def close_waiting(connection: Connection, job_id: int) -> int:
    """Close all waiting batches of a job that was cancelled or has failed; returns how many.

    Their items become `cancelled`, or `quarantined` with the job's error where that is why it ended. Batches in a
    worker's hands are left to end by themselves.
    """
    closed = (
        connection.execute(
            update(batch)
            .where(
                batch.c.job_id == job_id,
                IS_WAITING,
                exists().where(job.c.id == job_id, job.c.state.in_([JobState.CANCELLED, JobState.FAILED])),
            )
            .values(state=BatchState.CANCELLED, finished_at=now(connection))
            .returning(batch.c.id)
        )
        .scalars()
        .all()
    )
    state, error = connection.execute(select(job.c.state, job.c.error).where(job.c.id == job_id)).one()
    ended = ItemState.QUARANTINED if state == JobState.FAILED else ItemState.CANCELLED
    reason = error if state == JobState.FAILED else "the job was cancelled"
    items = 0
    for start in range(0, len(closed), 500):
        items += connection.execute(
            update(item)
            .where(item.c.batch_id.in_(closed[start : start + 500]), item.c.state == ItemState.WAITING)
            .values(state=ended, error=reason)
        ).rowcount
    if items:
        lock_job(connection, job_id)
        tallies.add(connection, job_id, **{str(ended): items})
    return len(closed)
