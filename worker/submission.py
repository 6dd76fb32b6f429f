"""From a folder to a job: list, write items and batches, commit, then publish."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Engine

from db import endings, jobs, listing, models
from db.jobs import JobRow
from db.types import LONGEST_PATH, is_too_long
from oddlot.errors import OddlotError, StateError
from oddlot.places import Place, place_of
from oddlot.queue import DEFAULT_PRIORITY
from oddlot.settings import Settings
from oddlot.words import JobState
from pictures.listing import FoundFile, ListingReport
from pictures.sources import check_source, list_source
from worker import broker, publishing

LISTING_CHUNK = 10_000
"""Items that go into SQL in one transaction: long enough to be fast, short enough not to block others."""
LEAST_BATCH = 32
"""Items in the smallest batches: one call of the network."""
LISTING_SECONDS = 20.0
"""Seconds after which fewer go: a listing that says nothing for some minutes may be taken over."""


@dataclass(frozen=True)
class Submission:
    """What a user asks for: a folder, or a prefix in an object store, against a model."""

    model: str
    folder: Place
    line: str | None = None
    lot: str | None = None
    only_new: bool = False
    recursive: bool = True
    glob: str | None = None
    priority: int = DEFAULT_PRIORITY
    key: str | None = None
    version: int | None = None
    night: date | None = None


def submit(
    engine: Engine,
    settings: Settings,
    submission: Submission,
    *,
    on_listed: Callable[[int], None] | None = None,
) -> JobRow:
    """Store the job with all its items; they are in SQL, and so safe, when this returns.

    `on_listed` is told now and then how many files were found. With a `key` that an earlier job has, that job is
    returned as it is, but for one whose listing died: that is listed now. Raises OddlotError for a folder that cannot
    be listed and NotFoundError for a model that is not there.
    """
    source = check_source(submission.folder)  # before there is a job, which could not be listed then
    model = models.get_model(engine, submission.model, submission.version)
    job_id, created = jobs.create_job(
        engine, model_id=model.id, source=str(source), line=submission.line,
        lot=submission.lot if submission.lot is not None else source.name, priority=submission.priority,
        recursive=submission.recursive, glob=submission.glob, only_new=submission.only_new, key=submission.key,
        night=submission.night,
    )  # fmt: skip
    job = jobs.get_job(engine, job_id)
    if not created:
        if (job.source, job.model_name) != (str(source), model.name):
            raise StateError(
                f"the key {submission.key!r} is that of job {job.id}, of another folder or model: choose another"
            )
        if job.state != JobState.LISTING:
            return job
        try:
            endings.retry_job(engine, job_id, settings.batch_size)
        except StateError:  # somebody alive is listing it
            return jobs.get_job(engine, job_id)
        job = jobs.get_job(engine, job_id)
        if job.state != JobState.LISTING:
            return job
    return list_items(engine, settings, job, on_listed=on_listed)


def list_items(
    engine: Engine, settings: Settings, job: JobRow, *, on_listed: Callable[[int], None] | None = None
) -> JobRow:
    """Fill a job that is in state `listing` from its folder and close the listing.

    Raises OddlotError where the folder cannot be listed; the job stays in state `listing` then, for `retry`. Raises
    StateError where the job was cancelled meanwhile, or taken over by another command.
    """
    try:
        return _list_items(engine, settings, job, on_listed)
    except KeyboardInterrupt:
        endings.cancel_job(engine, job.id)  # half a folder is nobody's wish
        raise


def _list_items(engine: Engine, settings: Settings, job: JobRow, on_listed: Callable[[int], None] | None) -> JobRow:
    report = ListingReport()
    found, seen_before, batch = 0, 0, 1
    listed = list_source(
        place_of(job.source), report,
        recursive=job.recursive, glob=job.glob, settle_seconds=settings.settle_seconds,
    )  # fmt: skip
    files = _with_paths_of_a_database(listed, report)
    ended, beyond = False, list[jobs.Listed]()
    while not ended:
        chunk, ended = _next_chunk(files, job, beyond)
        chunk, beyond = chunk[:LISTING_CHUNK], chunk[LISTING_CHUNK:]
        if not chunk:
            break
        found += len(chunk)
        fresh = jobs.unseen(engine, job.model_id, chunk) if job.only_new else chunk
        seen_before += len(chunk) - len(fresh)
        least = LEAST_BATCH if ended else None
        batch = listing.add_items(engine, job.id, fresh, batch, settings.batch_size, least=least)
        if on_listed is not None:
            on_listed(found)
    return listing.close_listing(
        engine,
        job.id,
        found=found,
        seen_before=seen_before,
        left_out=report.left_out,
        deferred=report.still_written,
    )


def _with_paths_of_a_database(files: Iterator[FoundFile], report: ListingReport) -> Iterator[FoundFile]:
    """One file in many nested folders must not keep all others from being written."""
    for file in files:
        if is_too_long(file.path):
            report.leave_out(f"path of more than {LONGEST_PATH} bytes")
        else:
            yield file


def _next_chunk(files: Iterator[FoundFile], job: JobRow, chunk: list[jobs.Listed]) -> tuple[list[jobs.Listed], bool]:
    """`chunk` with the next files, LISTING_CHUNK and one more, and whether there is none beyond them; fewer on a slow
    share, so that the listing is heard of in time."""
    began = time.monotonic()
    try:
        for file in files:
            chunk.append((file.path, file.size, file.mtime_ns, file.etag))
            if len(chunk) > LISTING_CHUNK or time.monotonic() - began > LISTING_SECONDS:
                return chunk, False
    except OddlotError as error:
        raise OddlotError(f"{error}; job {job.id} is not listed: `oddlot retry {job.id}` begins it again") from error
    return chunk, True


def publish(engine: Engine, settings: Settings) -> bool:
    """Put what waits into the queue; False where it cannot be reached: the sweeper of the next worker does it then."""
    if not broker.broker_answers(settings):
        return False
    import redis
    from kombu.exceptions import OperationalError

    from worker.app import app

    try:
        publishing.publish_due(engine, app)
    except (OperationalError, redis.RedisError, OSError):  # it has died since it answered
        return False
    return True


def retry(engine: Engine, settings: Settings, job_id: int) -> tuple[JobRow, int]:
    """Put back what is not scored, or list again where the submitter died while listing.

    Returns the job and how many items are to be inspected (again).
    """
    count = endings.retry_job(engine, job_id, settings.batch_size, hold=settings.hold)
    job = jobs.get_job(engine, job_id)
    if job.state == JobState.LISTING:
        job = list_items(engine, settings, job)
        count = job.listed
    return job, count
