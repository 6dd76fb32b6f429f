"""Fits that were asked for with `oddlot fit --queue`: claimed, with lease and fencing number, like a batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, insert, or_, select, update

from db import leases
from db.audit_log import Act, Actor, record
from db.engine import now, reading, writing
from db.schema import fit
from oddlot.errors import LateResult
from oddlot.words import FitState

SHOWN_FOR = timedelta(days=1)
"""How long a fit that failed, or whose model is not active, is shown."""


@dataclass(frozen=True)
class FitRow:
    """A fit that was asked for; `error` says why it failed, or, where it is done, why its model is not active."""

    id: int
    name: str
    state: FitState
    error: str | None


@dataclass(frozen=True)
class FitClaim:
    """A fit that is ours as long as its lease is renewed; `options` are those that were asked for."""

    id: int
    options: dict[str, Any]
    owner: str
    fencing: int


def ask_fit(engine: Engine, name: str, options: dict[str, Any], by: Actor | None = None) -> int:
    """Store the wish for a fit; returns its number."""
    with writing(engine) as connection:
        new = insert(fit).values(
            name=name, options=options, state=FitState.QUEUED, attempts=0, fencing=0, created_at=now(connection)
        )
        number: int = connection.execute(new.returning(fit.c.id)).scalar_one()
        record(connection, by, Act.FIT_ORDERED, name, f"fit {number}")
        return number


def recent_fits(engine: Engine, limit: int = 5) -> list[FitRow]:
    """Fits that were asked for and are not done, and those of late that have something to say: the newest first."""
    with reading(engine) as connection:
        since = now(connection) - SHOWN_FOR
        unfinished = fit.c.state.in_([FitState.QUEUED, FitState.RUNNING])
        speaking = fit.c.error.is_not(None) & (fit.c.finished_at >= since)
        query = select(fit.c.id, fit.c.name, fit.c.state, fit.c.error).where(unfinished | speaking)
        return [FitRow(*row) for row in connection.execute(query.order_by(fit.c.id.desc()).limit(limit))]


def claim_fit(engine: Engine, fit_id: int, owner: str, lease_seconds: float) -> FitClaim | None:
    """Take a queued fit; None where it is not to be had."""
    with writing(engine) as connection:
        row = connection.execute(
            update(fit)
            .where(fit.c.id == fit_id, fit.c.state == FitState.QUEUED)
            .values(
                state=FitState.RUNNING, owner=owner, attempts=fit.c.attempts + 1, fencing=fit.c.fencing + 1,
                lease_expires_at=now(connection) + timedelta(seconds=lease_seconds),
            )
            .returning(fit.c.options, fit.c.fencing)
        ).one_or_none()  # fmt: skip
        return None if row is None else FitClaim(fit_id, row.options, owner, row.fencing)


def renew(engine: Engine, claim: FitClaim, lease_seconds: float) -> bool:
    """Keep a fit for so many seconds from now; False where it is somebody else's by now."""
    with writing(engine) as connection:
        until = now(connection) + timedelta(seconds=lease_seconds)
        return _change(connection, claim, lease_expires_at=until)


def finish_fit(engine: Engine, claim: FitClaim, model_id: int, error: str | None = None) -> None:
    """Close a fit with the model that it made; `error` says why that is not active. Raises LateResult where the fit is
    somebody else's by now."""
    with writing(engine) as connection:
        done = _change(
            connection, claim, state=FitState.DONE, owner=None, lease_expires_at=None, model_id=model_id, error=error,
            finished_at=now(connection),
        )  # fmt: skip
    if not done:
        raise LateResult(f"fit {claim.id} is held by somebody else now")


def fail_fit(engine: Engine, claim: FitClaim, error: str) -> bool:
    """Close a fit that cannot be done, with the reason; False where it is somebody else's by now."""
    with writing(engine) as connection:
        return _change(
            connection, claim, state=FitState.FAILED, owner=None, lease_expires_at=None, error=error,
            finished_at=now(connection),
        )  # fmt: skip


def lease_owners(engine: Engine) -> list[str]:
    """Everybody who holds a fit."""
    return leases.owners(engine, fit, FitState.RUNNING)


def expire_leases(engine: Engine, owner: str) -> int:
    """End all leases of an owner who is known to be dead; returns how many."""
    return leases.expire(engine, fit, FitState.RUNNING, owner)


def sweep(engine: Engine, *, max_attempts: int) -> int:
    """Put back fits whose lease is over, and fail those that failed too often; returns how many."""
    with reading(engine) as connection:
        over = (fit.c.state == FitState.RUNNING, fit.c.lease_expires_at <= now(connection))
        if connection.execute(select(fit.c.id).where(*over).limit(1)).scalar() is None:
            return 0  # the usual case takes no write lock
    with writing(engine) as connection:
        moment = now(connection)
        over = (fit.c.state == FitState.RUNNING, fit.c.lease_expires_at <= moment)
        given_up = connection.execute(
            update(fit)
            .where(*over, fit.c.attempts >= max_attempts)
            .values(
                state=FitState.FAILED, owner=None, lease_expires_at=None, finished_at=moment,
                error=f"the trainer died or fell silent {max_attempts} times",
            )
        )  # fmt: skip
        put_back = connection.execute(
            update(fit)
            .where(*over, fit.c.attempts < max_attempts)
            .values(state=FitState.QUEUED, owner=None, lease_expires_at=None, published_at=None)
        )
        return given_up.rowcount + put_back.rowcount


def due_for_publishing(engine: Engine, *, older_than_seconds: float | None, limit: int) -> list[int]:
    """Queued fits that the queue was not told of (or, with `older_than_seconds`, longer ago than that).

    They count as published from now on; `unpublish` takes that back.
    """
    with reading(engine) as connection:
        if not _due(connection, older_than_seconds, 1):
            return []
    with writing(engine) as connection:
        due = _due(connection, older_than_seconds, limit)
        _mark_published(connection, due, True)
        return due


def unpublish(engine: Engine, fits: Sequence[int]) -> None:
    """Take back that fits were published: the queue could not be told."""
    with writing(engine) as connection:
        _mark_published(connection, fits, False)


def _due(connection: Connection, older_than_seconds: float | None, limit: int) -> list[int]:
    told: ColumnElement[bool] = fit.c.published_at.is_(None)
    if older_than_seconds is not None:
        told = or_(told, fit.c.published_at <= now(connection) - timedelta(seconds=older_than_seconds))
    query = select(fit.c.id).where(fit.c.state == FitState.QUEUED, told).order_by(fit.c.id).limit(limit)
    return list(connection.execute(query).scalars())


def _mark_published(connection: Connection, fits: Sequence[int], published: bool) -> None:
    moment = now(connection) if published else None
    connection.execute(
        update(fit).where(fit.c.id.in_(fits), fit.c.state == FitState.QUEUED).values(published_at=moment)
    )


def _change(connection: Connection, claim: FitClaim, **values: object) -> bool:
    held = (fit.c.id == claim.id, fit.c.fencing == claim.fencing, fit.c.state == FitState.RUNNING)
    return connection.execute(update(fit).where(*held).values(**values)).rowcount == 1
