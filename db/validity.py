"""A person's word on a held job: its results count, or they say nothing about the parts."""

from typing import Any

from sqlalchemy import Engine, select

from db.audit_log import Act, Actor, record
from db.engine import now, writing
from db.jobs import JobRow, read_job, set_state
from db.judging import DISCARDED, RELEASED
from db.schema import job
from db.settling import lock_job
from oddlot.errors import StateError
from oddlot.words import JobState


def release_job(engine: Engine, job_id: int, *, by: str, note: str | None = None, actor: Actor | None = None) -> JobRow:
    """A held job becomes done. Raises NotFoundError, and StateError where it is not held."""
    return _decide(engine, job_id, JobState.DONE, RELEASED, by, note, actor)


def discard_job(engine: Engine, job_id: int, *, by: str, note: str | None = None, actor: Actor | None = None) -> JobRow:
    """A held job becomes discarded. Raises NotFoundError, and StateError where it is not held."""
    return _decide(engine, job_id, JobState.DISCARDED, DISCARDED, by, note, actor)


def _decide(
    engine: Engine, job_id: int, state: JobState, word: str, by: str, note: str | None, actor: Actor | None
) -> JobRow:
    with writing(engine) as connection:
        found = lock_job(connection, job_id)
        if found != JobState.HELD:
            raise StateError(f"job {job_id} is {found}, not held: only a held job is released or discarded")
        validity: dict[str, Any] = connection.execute(select(job.c.validity).where(job.c.id == job_id)).scalar() or {}
        decided = {"word": word, "by": by, "at": now(connection).isoformat(timespec="seconds"), "note": note}
        set_state(connection, job_id, state, validity=validity | {"decided": decided})
        record(connection, actor, Act.JOB_RELEASED if word == RELEASED else Act.JOB_DISCARDED, f"job {job_id}", note)
        return read_job(connection, job_id)
