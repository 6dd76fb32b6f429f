"""Batches in a worker's hands: claimed by one, with a lease and a fencing number, closed with all results at once."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, bindparam, insert, select, update

from db import choosing, tallies
from db.choosing import Loaded
from db.engine import now, writing
from db.jobs import JobRow
from db.schema import audit, batch, item, job, result
from db.settling import settle_job
from db.verdict_marks import mark_judged
from oddlot.appearance import NEAREST, STATISTICS
from oddlot.errors import LateResult
from oddlot.words import BatchState, ItemState, JobState

WORKED_ON = choosing.WORKED_ON

CLOCK_SLACK = timedelta(minutes=1)
"""A time further ahead than that was written before the clock was set back."""


_NOTHING = Loaded()


@dataclass(frozen=True)
class ItemRow:
    """A picture to look at, as it was when its folder was listed."""

    id: int
    path: str
    size: int
    mtime_ns: int
    etag: str | None = None


@dataclass(frozen=True)
class Claim:
    """A batch that is ours as long as its lease is renewed.

    `fencing` is higher than in every earlier claim of it, `attempts` counts them, this one included; `source` is the
    folder, `model_id` the model, `listed` the number of items and `created_at` the beginning of its job.
    """

    batch_id: int
    job_id: int
    number: int
    owner: str
    fencing: int
    attempts: int
    source: str
    model_id: int
    listed: int
    created_at: datetime
    items: tuple[ItemRow, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of one item. The scores are there exactly where `state` is `scored`.

    `audit_share` is there where it was drawn for the audit, and says with which probability; `appearance` says how the
    picture looks, with the names of `oddlot.appearance` and finite numbers, None for what cannot be told.
    """

    item_id: int
    state: ItemState
    error: str | None = None
    sha256: str | None = None
    note: str | None = None
    raw_score: float | None = None
    score: float | None = None
    p_value: float | None = None
    flagged: bool | None = None
    parts: dict[str, float] = field(default_factory=dict)
    map_uri: str | None = None
    audit_share: float | None = None
    appearance: dict[str, float | None] | None = None


def claim_batch(
    engine: Engine, job_id: int, number: int, owner: str, lease_seconds: float, loaded: Loaded = _NOTHING
) -> Claim | None:
    """Take a waiting batch of a job that is worked on; None where it is not to be had, or its line has its quota.

    It is another one where the model of the named one is not `loaded` and one of a model that is waits as urgently:
    `db.choosing`. The attempt is counted here, before anything is read: a worker that dies of it has used it up.
    """
    with writing(engine) as connection:
        chosen = choosing.choose(connection, job_id, number, loaded)
        if chosen is None:
            return None
        job_id, number = chosen.job_id, chosen.number
        row = connection.execute(
            update(batch)
            .where(batch.c.id == chosen.id)
            .values(
                state=BatchState.LEASED, owner=owner, lease_expires_at=_until(connection, lease_seconds),
                attempts=batch.c.attempts + 1, fencing=batch.c.fencing + 1,
            )
            .returning(batch.c.id, batch.c.fencing, batch.c.attempts)
        ).one()  # fmt: skip
        items = connection.execute(
            select(item.c.id, item.c.path, item.c.size, item.c.mtime_ns, item.c.etag)
            .where(item.c.batch_id == row.id, item.c.state == ItemState.WAITING)
            .order_by(item.c.id)
        )
        of_job = connection.execute(
            select(job.c.source, job.c.model_id, job.c.listed, job.c.created_at).where(job.c.id == job_id)
        ).one()
        claim = Claim(
            row.id, job_id, number, owner, row.fencing, row.attempts, *of_job,
            tuple(ItemRow(*found) for found in items),
        )  # fmt: skip
        connection.execute(
            update(job)
            .where(job.c.id == job_id, job.c.state == JobState.QUEUED)
            .values(state=JobState.RUNNING, started_at=now(connection))
        )
        return claim


def renew_lease(engine: Engine, claim: Claim, lease_seconds: float) -> bool:
    """Keep a batch for so many seconds from now; False where it is somebody else's by now."""
    with writing(engine) as connection:
        return _change(connection, claim, lease_expires_at=_until(connection, lease_seconds))


def finish_batch(
    engine: Engine, claim: Claim, outcomes: Sequence[Outcome], *, host: str, code_version: str,
    scored_on: str | None = None, hold: bool = True, seconds: Mapping[str, float] | None = None,
) -> JobRow | None:  # fmt: skip
    """Write all outcomes and close the batch, in one transaction; returns the job where that finished it, done or, but
    for `hold`, held. `scored_on` says by which library and on what; `seconds` how long its stages took
    (`db.schema.STAGES`), but for the writing.

    Raises LateResult, with nothing written, where the batch is not held under this claim any more, and ValueError
    where the outcomes are not one for each of its items.
    """
    if sorted(outcome.item_id for outcome in outcomes) != [row.id for row in claim.items]:
        raise ValueError(f"batch {claim.number} of job {claim.job_id}: outcomes and items do not match")
    began = time.monotonic()
    with writing(engine) as connection:
        moment = now(connection)
        ours = _change(
            connection, claim, state=BatchState.DONE, owner=None, lease_expires_at=None, error=None,
            host=host, code_version=code_version, scored_on=scored_on, finished_at=moment, look=_looks(outcomes),
        )  # fmt: skip
        if not ours:
            raise LateResult(f"batch {claim.number} of job {claim.job_id} is held by somebody else now")
        if outcomes:
            connection.execute(_ITEM_ENDS, [_item_values(outcome) for outcome in outcomes])
        scored = [outcome for outcome in outcomes if outcome.state == ItemState.SCORED]
        if scored:
            night, line = connection.execute(select(job.c.night, job.c.line).where(job.c.id == claim.job_id)).one()
            shared = {
                "job_id": claim.job_id,
                "model_id": claim.model_id,
                "scored_at": moment,
                "night": night,
                "line": line,
            }
            connection.execute(insert(result), [shared | _result_values(outcome) for outcome in scored])
        if drawn := [outcome for outcome in scored if outcome.audit_share is not None]:
            connection.execute(
                insert(audit),
                [{"item_id": one.item_id, "job_id": claim.job_id, "share": one.audit_share} for one in drawn],
            )
        mark_judged(connection, [outcome.item_id for outcome in scored])
        finished = settle_job(connection, claim.job_id, hold=hold)
        spent = {f"{stage}_seconds": value for stage, value in (seconds or {}).items()}
        # Waiting for the lock included, the commit itself not: nobody could say afterwards how long it took.
        spent["writing_seconds"] = time.monotonic() - began
        tallies.add(connection, claim.job_id, batches=1, **_ends(outcomes), **spent)
        return finished


def _ends(outcomes: Sequence[Outcome]) -> dict[str, int]:
    counts = Counter(str(outcome.state) for outcome in outcomes)
    return dict(counts) | {"flagged": sum(bool(outcome.flagged) for outcome in outcomes)}


def _looks(outcomes: Sequence[Outcome]) -> dict[str, list[Any]] | None:
    """How the scored pictures look, as parallel lists beside their item numbers; those can never be scored again."""
    seen = [(one.item_id, one.appearance) for one in outcomes if one.state == ItemState.SCORED and one.appearance]
    if not seen:
        return None
    names = (*STATISTICS, NEAREST)
    return {"items": [item_id for item_id, _ in seen]} | {
        name: [None if (value := look.get(name)) is None else round(value, 2) for _, look in seen] for name in names
    }


def release_batch(engine: Engine, claim: Claim, error: str, *, count_attempt: bool) -> bool:
    """Give a batch back, unfinished, with the reason; False where it is somebody else's by now.

    `count_attempt` False: the batch had no part in it. The attempt does not count, and it waits for as long as before:
    nothing has come of it.
    """
    with writing(engine) as connection:
        waiting = waiting_again(connection)
        if not count_attempt:
            del waiting["waiting_since"]
        return _change(
            connection, claim, **waiting, error=error, attempts=batch.c.attempts - (0 if count_attempt else 1)
        )


def waiting_again(connection: Connection) -> dict[str, object]:
    """What a batch has that is in nobody's hands any more and not in the queue."""
    return {
        "state": BatchState.WAITING, "owner": None, "lease_expires_at": None, "published_at": None,
        "waiting_since": now(connection),
    }  # fmt: skip


def _change(connection: Connection, claim: Claim, **values: object) -> bool:
    """Change the batch if it is still held under this very claim."""
    return connection.execute(update(batch).where(*held_under(claim)).values(**values)).rowcount == 1


def held_under(claim: Claim) -> tuple[ColumnElement[bool], ...]:
    """The batch is still held under this very claim."""
    return batch.c.id == claim.batch_id, batch.c.fencing == claim.fencing, batch.c.state == BatchState.LEASED


def _until(connection: Connection, seconds: float) -> object:
    return now(connection) + timedelta(seconds=seconds)


_ITEM_ENDS = (
    update(item)
    .where(item.c.id == bindparam("of_item"))
    .values(
        state=bindparam("new_state"), error=bindparam("new_error"), sha256=bindparam("new_sha256"),
        note=bindparam("new_note"),
    )
)  # fmt: skip


def _item_values(outcome: Outcome) -> dict[str, object]:
    return {
        "of_item": outcome.item_id, "new_state": outcome.state, "new_error": outcome.error,
        "new_sha256": outcome.sha256, "new_note": outcome.note,
    }  # fmt: skip


def _result_values(outcome: Outcome) -> dict[str, object]:
    return {
        "item_id": outcome.item_id, "raw_score": outcome.raw_score, "score": outcome.score,
        "p_value": outcome.p_value, "flagged": outcome.flagged, "parts": outcome.parts,
        "map_uri": outcome.map_uri,
    }  # fmt: skip
