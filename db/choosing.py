"""Which batch a message leads to: the one that it names, or one of a model that the process has loaded.

A message is a hint; what is claimed is decided here, in the transaction of the claim. A batch that loses its message
like that is put back among those that the queue was not told of, and whoever asks next tells it again.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, exists, or_, select, update

from db import lines
from db.schema import IS_WAITING, batch, job, model
from oddlot.words import BatchState, JobState

WORKED_ON = (JobState.QUEUED, JobState.RUNNING)

LOOKED_AT = 8
"""Jobs of loaded models of which a batch is looked for: that of the first may be just in somebody else's hands."""


@dataclass(frozen=True)
class Loaded:
    """What a process has loaded: hashes of bundles. Up to `turns` turns of a job of another model are passed over."""

    bundles: Collection[str] = ()
    turns: int = 0


def choose(connection: Connection, job_id: int, number: int, loaded: Loaded) -> Any | None:
    """The batch to take (`id`, `job_id`, `number`), locked; None where the named one is not to be had, or its line has
    as many batches in work as its quota allows.

    Another one than the named is of at least its priority. Each time, that is noted with the job that is passed over:
    so it has its turn after so many, whatever else waits.
    """
    query = (
        select(
            batch.c.id, batch.c.job_id, batch.c.number, job.c.priority, job.c.line, job.c.passed_over,
            model.c.bundle_sha256,
        )
        .join(job, job.c.id == batch.c.job_id)
        .join(model, model.c.id == job.c.model_id)
        .where(
            batch.c.job_id == job_id, batch.c.number == number, batch.c.state == BatchState.WAITING,
            job.c.state.in_(WORKED_ON),
        )
        .with_for_update(of=batch)
    )  # fmt: skip
    named = connection.execute(query).one_or_none()
    if named is None:
        return None
    chosen = named
    if loaded.bundles and named.bundle_sha256 not in loaded.bundles and named.passed_over < loaded.turns:
        chosen = _of_a_loaded_model(connection, named.priority, loaded.bundles) or named
    # Batches are locked before quotas, and quotas before jobs: so no two wait for each other.
    taken = lines.may_take(connection, chosen.line)
    if not taken or chosen is not named:
        connection.execute(update(batch).where(batch.c.id == named.id).values(published_at=None))
    if not taken:
        return None
    _note_turns(connection, taken=chosen.job_id, named=job_id)
    return chosen


def _of_a_loaded_model(connection: Connection, priority: int, bundles: Collection[str]) -> Any | None:
    """A waiting batch that nobody is about to take; of the most urgent jobs that whose turns were passed over most."""
    jobs = (
        select(job.c.id)
        .join(model, model.c.id == job.c.model_id)
        .where(
            job.c.state.in_(WORKED_ON), job.c.priority >= priority, model.c.bundle_sha256.in_(list(bundles)),
            or_(job.c.line.is_(None), job.c.line.not_in(lines.full_lines(connection))),
            exists().where(batch.c.job_id == job.c.id, IS_WAITING),
        )
        .order_by(job.c.priority.desc(), job.c.passed_over.desc(), job.c.id)
        .limit(LOOKED_AT)
    )  # fmt: skip
    for of_job in connection.execute(jobs).scalars().all():
        query = (
            select(batch.c.id, batch.c.job_id, batch.c.number, job.c.line)
            .join(job, job.c.id == batch.c.job_id)
            .where(batch.c.job_id == of_job, IS_WAITING)
            .order_by(batch.c.id)
            .limit(1)
            .with_for_update(of=batch, skip_locked=True)
        )
        if (found := connection.execute(query).one_or_none()) is not None:
            return found
    return None


def _note_turns(connection: Connection, *, taken: int, named: int) -> None:
    if taken != named:
        # In the order of their numbers: another process may pass over the one for the other.
        both = select(job.c.id).where(job.c.id.in_([taken, named])).order_by(job.c.id)
        connection.execute(both.with_for_update(key_share=True)).all()
        connection.execute(update(job).where(job.c.id == named).values(passed_over=job.c.passed_over + 1))
    connection.execute(update(job).where(job.c.id == taken, job.c.passed_over > 0).values(passed_over=0))
