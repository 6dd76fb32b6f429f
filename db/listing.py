"""Writing a job's items and batches while its folder is listed."""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from db import lines, tallies
from db.engine import now, writing
from db.jobs import JobRow, Listed, read_job
from db.schema import batch, item, job
from db.settling import settle_job
from oddlot.errors import StateError
from oddlot.processes import identity
from oddlot.queue import LOWEST_PRIORITY
from oddlot.words import BatchState, ItemState, JobState

SHARES = 8
"""A batch of those that get smaller is such a part of what is left."""


def add_items(
    engine: Engine, job_id: int, files: Sequence[Listed], first_batch: int, batch_size: int,
    *, least: int | None = None,
) -> int:  # fmt: skip
    """Store `files` as waiting items in batches numbered from `first_batch`.

    With `least` the batches get smaller towards the end, down to so many items: all processes have a part in a small
    job, and none has long to do when the others have nothing left (guided self-scheduling; Polychronopoulos and Kuck,
    IEEE Transactions on Computers C-36, 1987).

    Returns the next free number; all in one transaction. Raises StateError where the job is not being listed (any
    more) by this process.
    """
    with writing(engine) as connection:
        # New numbers are above all that can be seen, also beside somebody else who lists.
        first = (connection.execute(select(func.max(item.c.id))).scalar() or 0) + 1
        _change_ours(
            connection, job_id, listed=job.c.listed + len(files), listing_at=now(connection),
            first_item=func.coalesce(job.c.first_item, first),
        )  # fmt: skip
        sizes = list(_sizes(len(files), batch_size, batch_size if least is None else least))
        ids = add_batches(connection, job_id, range(first_batch, first_batch + len(sizes)))
        number_of = [number for number, size in enumerate(sizes, start=first_batch) for _ in range(size)]
        if files:
            connection.execute(
                insert(item),
                [
                    {
                        "job_id": job_id, "batch_id": ids[number], "path": path, "size": size, "mtime_ns": mtime_ns,
                        "etag": etag[0] if etag else None, "state": ItemState.WAITING, "sha256": None, "error": None,
                        "note": None,
                    }
                    for number, (path, size, mtime_ns, *etag) in zip(number_of, files, strict=True)
                ],
            )  # fmt: skip
            last = select(func.max(item.c.id)).scalar_subquery()
            connection.execute(update(job).where(job.c.id == job_id).values(last_item=last))
        return first_batch + len(sizes)


def _sizes(count: int, most: int, least: int) -> Iterator[int]:
    """Of the batches of `count` items: equal shares of what is left, from `most` down to `least`."""
    while count > 0:
        size = min(count, most, max(least, -(-count // SHARES)))
        yield size
        count -= size


def add_batches(
    connection: Connection, job_id: int, numbers: Sequence[int], *, attempts: int = 0, error: str | None = None
) -> dict[int, int]:
    """Make empty waiting batches; returns their row numbers by batch number."""
    if not numbers:
        return {}
    moment = now(connection)
    connection.execute(
        insert(batch),
        [
            {
                "job_id": job_id, "number": number, "state": BatchState.WAITING, "attempts": attempts, "fencing": 0,
                "waiting_since": moment, "error": error,
            }
            for number in numbers
        ],
    )  # fmt: skip
    rows = connection.execute(
        select(batch.c.number, batch.c.id).where(
            batch.c.job_id == job_id, batch.c.number.between(min(numbers), max(numbers))
        )
    )
    return {row.number: row.id for row in rows}


def change_items(connection: Connection, ids: Sequence[int], **values: object) -> None:
    """Change items by their row numbers, some hundred in a statement: databases bound its parameters."""
    for start in range(0, len(ids), 500):
        connection.execute(update(item).where(item.c.id.in_(ids[start : start + 500])).values(**values))


def next_number(connection: Connection, job_id: int) -> int:
    """The first free batch number of a job. Hold the job's row while it is used."""
    return (connection.execute(select(func.max(batch.c.number)).where(batch.c.job_id == job_id)).scalar() or 0) + 1


def close_listing(
    engine: Engine, job_id: int, *, found: int, seen_before: int, left_out: dict[str, int], deferred: list[str]
) -> JobRow:
    """The folder is listed: workers may begin. A job without items is done.

    One that brings its line above its items of a night is given the lowest priority: it is done when nothing else is.
    Raises StateError where the job is not being listed (any more) by this process.
    """
    with writing(engine) as connection:
        moment = now(connection)
        _change_ours(
            connection, job_id, state=JobState.QUEUED, found=found, seen_before=seen_before, left_out=left_out,
            deferred=deferred, listed_at=moment,
        )  # fmt: skip
        line, night = connection.execute(select(job.c.line, job.c.night).where(job.c.id == job_id)).one()
        # The quota is held: of two jobs that are listed at the same moment, the second sees the first one's items.
        quota = lines.locked_quota(connection, line)
        if quota and quota.items_per_day is not None and lines.too_many_items(connection, [night], line):
            connection.execute(update(job).where(job.c.id == job_id).values(priority=LOWEST_PRIORITY))
        settle_job(connection, job_id)
        tallies.begin(connection, job_id)
        return read_job(connection, job_id)


def begin_again(connection: Connection, job_id: int) -> None:
    """Drop what a listing that died has written: the folder is listed anew, by this process."""
    connection.execute(delete(item).where(item.c.job_id == job_id))
    connection.execute(delete(batch).where(batch.c.job_id == job_id))
    connection.execute(
        update(job)
        .where(job.c.id == job_id)
        .values(
            state=JobState.LISTING, listed=0, submitter=identity(), listing_at=now(connection), finished_at=None,
            error=None, first_item=None, last_item=None,
        )
    )  # fmt: skip


def _change_ours(connection: Connection, job_id: int, **values: object) -> None:
    """Change a job that this process is listing. Raises StateError where it is not."""
    ours = (job.c.id == job_id, job.c.state == JobState.LISTING, job.c.submitter == identity())
    if connection.execute(update(job).where(*ours).values(**values)).rowcount != 1:
        raise StateError(f"job {job_id} is not being listed by this command any more: `oddlot job {job_id}` says why")
